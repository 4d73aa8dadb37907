package job

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"

	"github.com/flowbeam/flowbeam/internal/filesystem"
)

const dataflowRunner = "dataflow"

// runnerName is a runner as the options name it: launchers and Beam's pages write DataflowRunner.
func runnerName(s string) string {
	if s := strings.ToLower(s); strings.HasSuffix(s, "runner") {
		return strings.TrimSuffix(s, "runner")
	}
	return s
}

// templateLocation is where the launcher of a template wants the job's graph: the program builds
// it, stages it there and ends.
func templateLocation() string {
	if f := flag.CommandLine.Lookup("template_location"); f != nil {
		return f.Value.String()
	}
	return ""
}

// asks says whether sources are asked before the start: a template's launcher only builds the graph,
// and need not reach what the workers reach.
func asks() bool { return templateLocation() == "" }

// launched are the arguments of a launcher less those that nobody here declares: the service adds
// flags of its own, and other versions of it others. Anywhere else an unknown flag is a problem.
func launched(args []string, known func(name string) (boolean, ok bool), warn io.Writer) []string {
	launcher := false
	for _, a := range args {
		launcher = launcher || strings.HasPrefix(strings.TrimLeft(a, "-"), "template_location=")
	}
	if !launcher {
		return args
	}
	ours := map[string]bool{}
	for _, f := range Defaults().fields() {
		ours[f.name] = true
	}
	var kept, dropped []string
	for _, a := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if _, theirs := known(name); ours[name] || theirs {
			kept = append(kept, a)
		} else {
			dropped = append(dropped, "--"+name)
		}
	}
	if len(dropped) > 0 {
		fmt.Fprintf(warn, "flags of the launcher that mean nothing here are left out: %s\n", strings.Join(dropped, " "))
	}
	return kept
}

func (o *Options) validateDataflow(add func(string, error)) {
	for _, name := range []string{"project", "region", "staging_location"} {
		if f := flag.CommandLine.Lookup(name); f == nil || f.Value.String() == "" {
			add(name, errors.New("Dataflow needs it")) //nolint:staticcheck // a name
		}
	}
	o.validateElsewhere(add)
}

// validateElsewhere checks that input and output are named, and are where other machines find them.
func (o *Options) validateElsewhere(add func(string, error)) {
	if filesystem.Scheme(o.Output) == "" {
		add("output", fmt.Errorf("%s is a folder of this machine, which the workers of Dataflow have not: give gs://bucket/prefix", o.Output))
	}
	if len(o.Input) == 0 && !o.readsKafka() && !o.readsPubSub() && o.Raw == "" && o.DeadLetters == "" {
		add("input", errors.New("name files, topics or subscriptions to read"))
	}
	for _, in := range o.Input {
		if filesystem.Scheme(in) == "" {
			add("input", fmt.Errorf("%s is a file of this machine, which the workers of Dataflow have not", in))
		}
	}
}

// useOwnBinary makes the running program that of the workers. Beam would build one anew, from
// sources that a container has not.
func useOwnBinary() error {
	if *jobopts.WorkerBinary != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("worker_binary: %w", err)
	}
	*jobopts.WorkerBinary = self
	return nil
}
