// Command mutants shows that the guards of flowbeam are held by tests: it takes each of
// them away, one at a time, and expects the test that is named for it to fail. A guard is
// a line whose loss would lose, double or misread records without a sign.
//
// It compiles a package once, with a switch for each of its guards, from changed files in
// an overlay (go help build), so that the work tree is never touched. scripts/mutants runs
// it. The exit status is non-zero
// unless every guard's test failed without it, and all of them pass with it.
//
// To add a guard, add it to its list, in the files guards_*.go beside this one.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// guard is one thing that the code does to keep records safe, and how to take it away.
type guard struct {
	name string // package/what, unique
	why  string // what goes wrong without it
	file string // from the repository's root
	// old must be in file exactly once, within one function's body; new takes its place.
	old, new string
	test     string // of the file's package, must fail then
}

// pkg is the guard's package, as go test takes it.
func (g *guard) pkg() string { return "./" + g.file[:strings.LastIndexByte(g.file, '/')] }

// guards are all of them.
func guards() []guard {
	return slices.Concat(
		avroGuards, bigqueryGuards, collectGuards, elasticGuards, flowGuards, kafkaSourceGuards, logSinkGuards, objectStoreGuards, pipelineGuards, pubsubSourceGuards, runnerGuards, sinkGuards, sourceGuards, transformGuards, windowingGuards, wireGuards,
	)
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(errOut)
	list := flags.Bool("list", false, "list the guards and run nothing")
	only := flags.String("run", "", "only guards whose name matches this regular expression")
	verbose := flags.Bool("v", false, "print what the test said")
	workers := flags.Int("p", min(runtime.NumCPU(), 2), "packages to try at a time; each may take 2 GiB")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintf(errOut, "mutants: -run: %v\n", err)
		return 2
	}
	chosen := slices.DeleteFunc(guards(), func(g guard) bool { return !match.MatchString(g.name) })
	if len(chosen) == 0 {
		fmt.Fprintln(errOut, "mutants: no guard has such a name")
		return 2
	}
	if *list {
		for _, g := range chosen {
			fmt.Fprintf(out, "%-36s %s: %s\n", g.name, g.test, g.why)
		}
		return 0
	}
	tmp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		fmt.Fprintf(errOut, "mutants: %v\n", err)
		return 2
	}
	defer os.RemoveAll(tmp)
	// An interrupt ends the commands; the temporary files still go.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	began := time.Now()
	l := &lab{root: ".", tmp: tmp}
	count := map[verdict]int{}
	for r := range l.tryAll(ctx, chosen, max(*workers, 1)) {
		count[r.verdict]++
		fmt.Fprintf(out, "%-8s  %-36s  %-60s  %5.1f s\n", r.verdict, r.guard.name, r.guard.test, r.took.Seconds())
		if r.note != "" {
			fmt.Fprintf(out, "          %s\n", r.note)
		}
		if *verbose || r.verdict == broken {
			fmt.Fprintf(out, "%s\n", indent(r.output))
		}
	}
	fmt.Fprintf(out, "%d guards: %d killed, %d survived, %d broken, in %.0f s\n",
		len(chosen), count[killed], count[survived], count[broken], time.Since(began).Seconds())
	if count[killed] != len(chosen) {
		return 1
	}
	return 0
}

// indent sets off the last lines of a command's output.
func indent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	const most = 30
	if len(lines) > most {
		lines = append([]string{"…"}, lines[len(lines)-most:]...)
	}
	return "          | " + strings.Join(lines, "\n          | ")
}
