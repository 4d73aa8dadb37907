// Command collect receives the datagrams of NetFlow, IPFIX and sFlow exporters over UDP and
// writes them to Kafka, Pub/Sub or files.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/flowbeam/flowbeam/internal/collect"
	"github.com/flowbeam/flowbeam/internal/metrics"
)

func main() { os.Exit(program(os.Args[1:], os.Stderr)) }

// program returns the exit status: 0, 1 where something was not written, 2 where the options have
// problems. The first signal ends it in order, the second at once.
func program(args []string, stderr io.Writer) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		fmt.Fprintf(stderr, "collect: %v: nothing more is received, what was received is written\n", s)
		stop()
		s = <-signals
		fmt.Fprintf(stderr, "collect: %v again: ended at once\n", s)
		os.Exit(1)
	}()
	return run(ctx, args, stderr)
}

// run receives until ctx ends.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	var o Options
	problems, help := o.parse(args)
	if help {
		usage(stderr)
		return 0
	}
	sink, sinkProblems := o.sink(ctx, len(problems) == 0)
	problems = append(problems, sinkProblems...)
	var x *collect.Collector
	if len(o.Check()) == 0 {
		var listening []error
		x, listening = collect.Listen(o.Config)
		problems = append(problems, listening...)
	}
	if len(problems) > 0 {
		fmt.Fprintf(stderr, "collect: %d problem(s), nothing was started:\n", len(problems))
		for _, e := range problems {
			fmt.Fprintf(stderr, "  %v\n", e)
		}
		if sink != nil {
			sink.Close(ctx)
		}
		if x != nil {
			x.Close()
		}
		return 2
	}
	logTo(stderr, o.LogFormat)
	for _, w := range x.Warnings() {
		slog.Warn("collect: " + w)
	}
	if f, ok := sink.(*collect.Files); ok {
		for _, name := range f.Leftovers() {
			slog.Warn("collect: a file that a process did not finish, or that one is writing now", "file", name)
		}
	}
	hide := metrics.Show(x)
	defer hide()
	if o.Metrics != "" {
		at, end, err := metrics.Serve(o.Metrics)
		if err != nil {
			fmt.Fprintf(stderr, "collect: --metrics: %v\n", err)
			x.Close()
			sink.Close(ctx)
			return 2
		}
		defer end()
		fmt.Fprintf(stderr, "collect: metrics are at http://%s/metrics\n", at)
	}
	for i, a := range x.Addrs() {
		fmt.Fprintf(stderr, "collect: listening at %v, %d socket(s), receive buffer of each %d bytes\n", a, o.Sockets, x.ReceiveBuffer(i))
	}
	if o.RunFor > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.RunFor)
		defer stop()
	}
	summary, err := x.Run(ctx, sink)
	summary.Print(stderr)
	problems = summary.Check()
	if err != nil {
		problems = append(problems, err)
	}
	for _, e := range problems {
		fmt.Fprintf(stderr, "collect: %v\n", e)
	}
	if len(problems) > 0 {
		return 1
	}
	return 0
}

// logTo sets how warnings and errors are written.
func logTo(w io.Writer, format string) {
	opts := &slog.HandlerOptions{Level: slog.LevelWarn}
	if format == "json" {
		slog.SetDefault(slog.New(slog.NewJSONHandler(w, opts)))
		return
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(w, opts)))
}

// askTime bounds how long the sink is looked for: who starts the program wants an answer.
const askTime = 15 * time.Second

// sink makes the sink that was asked for. Servers are asked only where ask is true: all that
// was said of them is right.
func (o *Options) sink(ctx context.Context, ask bool) (collect.Sink, []error) {
	one := func(s collect.Sink, flag string, err error) (collect.Sink, []error) {
		if err != nil {
			return nil, []error{fmt.Errorf("--%s: %w", flag, err)}
		}
		return s, nil
	}
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	switch {
	case !ask:
		return nil, nil
	case len(o.kafka.Brokers) > 0:
		k, err := collect.NewKafka(asking, o.kafka)
		return one(k, "kafka", err)
	case o.pubsub.Topic != "":
		p, err := collect.NewPubSub(asking, o.pubsub)
		return one(p, "pubsub", err)
	case o.Discard:
		return collect.Discard{}, nil
	}
	return collect.NewFiles(o.files), nil
}
