package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/internal/datagram"
)

// childVariable makes the test binary the program, to be sent signals.
const childVariable = "FLOWBEAM_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(program(os.Args[1:], os.Stderr))
	}
	os.Exit(m.Run())
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// child is the program as it runs.
type child struct {
	testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner
	text  strings.Builder
}

func start(t testing.TB, args ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{TB: t, cmd: exec.Command(exe, args...)}
	c.cmd.Env = append(os.Environ(), childVariable+"=collect")
	out, err := c.cmd.StderrPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill(); c.cmd.Wait() })
	c.lines = bufio.NewScanner(out)
	return c
}

// until reads what the program says until it matches, and returns the first group.
func (c *child) until(pattern string) string {
	c.Helper()
	re := regexp.MustCompile(pattern)
	for c.lines.Scan() {
		c.text.WriteString(c.lines.Text() + "\n")
		if m := re.FindStringSubmatch(c.lines.Text()); m != nil {
			return m[1]
		}
	}
	c.Fatalf("it has not said %s:\n%s", pattern, &c.text)
	return ""
}

// end waits for its end and returns its status.
func (c *child) end() int {
	for c.lines.Scan() {
		c.text.WriteString(c.lines.Text() + "\n")
	}
	c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// number is one of the summary.
func (c *child) number(name string) int {
	c.Helper()
	m := regexp.MustCompile(`(?m)^ *` + name + ` +([\d,]+)`).FindStringSubmatch(c.text.String())
	if m == nil {
		c.Fatalf("no %s in\n%s", name, &c.text)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// envelopes are the datagrams of all files, by what they say.
func envelopes(t testing.TB, dir string) map[string]int {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out := map[string]int{}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			t.Errorf("%s is left", f.Name())
			continue
		}
		b, err := d.DecodeAll([]byte(read(t, filepath.Join(dir, f.Name()))), nil)
		if err != nil {
			t.Fatal(err)
		}
		for len(b) > 0 {
			n := int(binary.BigEndian.Uint32(b))
			_, _, data, ok := datagram.OpenEnvelope(b[4 : 4+n])
			if !ok {
				t.Fatal("no envelope")
			}
			out[string(data)]++
			b = b[4+n:]
		}
	}
	return out
}

// SIGTERM comes while datagrams do. What was received is in the files, once, and that is all that
// was sent before the signal.
func TestSIGTERMLosesNothing(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir := t.TempDir()
		c := start(t, "--listen=127.0.0.1:0", "--sockets=2", "--output="+dir, "--datacenter=fra", "--zstd", "--file_bytes=20000", "--receive_buffer=4000000")
		address := c.until(`listening at (\S+),`)
		sent := [3]int{}
		stop := make(chan struct{})
		done := make(chan int)
		const least = 1000
		enough := make(chan struct{}, len(sent))
		for i := range sent {
			conn, err := net.Dial("udp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						sent[i] = n
						done <- i
						return
					default:
					}
					if n == least {
						enough <- struct{}{}
					}
					if n%5 == 0 {
						time.Sleep(time.Millisecond) // it is not the kernel's buffer that is tried
					}
					fmt.Fprintf(conn, "%d/%d", i, n) // after the end nobody is there
				}
			}()
		}
		for range sent {
			<-enough
		}
		if err := c.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		status := c.end()
		close(stop)
		for range sent {
			<-done
		}
		got := envelopes(t, filepath.Join(dir, "dc=fra"))
		for key, n := range got {
			if n != 1 {
				t.Errorf("%s is there %d times", key, n)
			}
		}
		missing := 0
		for i := range sent {
			for n := range least {
				if got[fmt.Sprintf("%d/%d", i, n)] == 0 {
					missing++
				}
			}
		}
		if kernel := c.number("dropped by the kernel, not received"); missing > kernel {
			t.Errorf("%v: %d that were sent before it are not there, and the kernel dropped %d", signal, missing, kernel)
		}
		if status != 0 || c.number("written") != len(got) || c.number("dropped") != 0 {
			t.Errorf("%v: status %d, %d datagrams in the files\n%s", signal, status, len(got), &c.text)
		}
		t.Logf("%v after %d and more of %v: %d are written", signal, len(sent)*least, sent, len(got))
	}
}

// The same into Kafka, whose topic has what was received.
func TestSIGTERMLosesNothingOnTheWayToKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "netflow"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	c := start(t, "--listen=127.0.0.1:0", "--kafka="+strings.Join(cluster.ListenAddrs(), ","), "--kafka_topic=netflow", "--datacenter=fra")
	conn, err := net.Dial("udp", c.until(`listening at (\S+),`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 200
	for i := range n {
		fmt.Fprint(conn, i)
	}
	c.cmd.Process.Signal(syscall.SIGTERM)
	if status := c.end(); status != 0 || c.number("written") != n || c.number("dropped") != 0 {
		t.Fatalf("status %d\n%s", status, &c.text)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("netflow"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for next := 0; next < n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(next, err)
		}
		for _, r := range fetches.Records() {
			from, _, data, ok := datagram.OpenEnvelope(r.Value)
			if !ok || string(data) != strconv.Itoa(next) || string(r.Key) != "127.0.0.1" || from.Addr().String() != "127.0.0.1" {
				t.Fatalf("%q of %s in place of %d", data, r.Key, next)
			}
			next++
		}
	}
}

// What cannot be written at the end is told by the status.
func TestTheStatusTellsWhatWasNotWritten(t *testing.T) {
	dir := t.TempDir()
	c := start(t, "--listen=127.0.0.1:0", "--output="+dir, "--drain=300ms", "--log_format=json")
	address := c.until(`listening at (\S+),`)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 3 {
		fmt.Fprint(conn, i)
	}
	c.until(`("level":"WARN","msg":"collect: a file cannot be written)`)
	c.cmd.Process.Signal(syscall.SIGTERM)
	if status := c.end(); status != 1 || c.number("dropped") != 3 || c.number("written") != 0 || !strings.Contains(c.text.String(), "3 datagrams were received and not written") {
		t.Errorf("status %d\n%s", status, &c.text)
	}
}

// A run may have its end, and nothing to do.
func TestARunOfGivenLengthEnds(t *testing.T) {
	c := start(t, "--listen=127.0.0.1:0", "--discard", "--run_for=50ms", "--metrics=127.0.0.1:0")
	if status := c.end(); status != 0 || c.number("written") != 0 || !strings.Contains(c.text.String(), "metrics are at http://127.0.0.1:") {
		t.Errorf("status %d\n%s", status, &c.text)
	}
}
