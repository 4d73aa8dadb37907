package main

import (
	"bytes"
	"flag"
	"strings"
	"testing"
)

func TestEveryProblemOfTheFlagsIsReportedAtOnce(t *testing.T) {
	var stderr bytes.Buffer
	status := run(t.Context(), []string{
		"--listen=router:2055", "--sockets=x", "--no_such_flag", "--receive_buffer=0", "--allow=192.0.2.0/33", "--queue=1", "--max_exporters=0", "--forget=-1s",
		"--datacenter=a/b", "--host=a/b", "--output=" + t.TempDir(), "--kafka=nowhere", "--kafka_user=me", "--kafka_password=secret", "--kafka_compression=rar",
		"--pubsub=flows", "--metrics=nowhere:x", "--log_format=xml", "--run_for=-1s", "file",
	}, &stderr)
	if status != 2 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{
		"listen", "sockets", "no_such_flag", "receive_buffer", "allow", "queue", "max_exporters", "forget", "datacenter", "host", "broker", "kafka_user", "kafka_compression",
		"pubsub", "metrics", "log_format", "run_for", `"file"`, "want one of", "nothing was started",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("nothing about %s in\n%s", want, &stderr)
		}
	}
	if strings.Contains(stderr.String(), "secret\"") || strings.Contains(stderr.String(), "=secret") {
		t.Errorf("a secret is shown:\n%s", &stderr)
	}
}

func TestAServerThatIsNotThereIsToldBeforeAnythingStarts(t *testing.T) {
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"--listen=127.0.0.1:0", "--kafka=127.0.0.1:1"}, &stderr)
	if status != 2 || !strings.Contains(stderr.String(), "--kafka: topic") || !strings.Contains(stderr.String(), "refused") || strings.Contains(stderr.String(), "listening") {
		t.Errorf("status %d\n%s", status, &stderr)
	}
}

func TestHelpHasEveryFlag(t *testing.T) {
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{"--help"}, &stderr); status != 0 {
		t.Errorf("status %d", status)
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	new(Options).RegisterFlags(fs)
	readme := read(t, "README.md")
	fs.VisitAll(func(f *flag.Flag) {
		if strings.Count(stderr.String(), "\n  --"+f.Name+"\n") != 1 {
			t.Errorf("--%s is not in the help, or twice", f.Name)
		}
		if strings.Count(readme, "\n| `--"+f.Name+"` |") != 1 {
			t.Errorf("--%s is not in README.md, or twice", f.Name)
		}
	})
}
