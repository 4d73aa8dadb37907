// Command loadgen writes made flow records, and the truth about them, to test with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/flowbeam/flowbeam/internal/loadgen"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o Options
	fs := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	fs.SetOutput(stderr)
	o.RegisterFlags(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("loadgen: unknown argument %q: every option is a --flag", fs.Arg(0))
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("loadgen: wrong options:\n%w", err)
	}
	begun := time.Now()
	truth, err := o.write(ctx, stdout)
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	seconds := time.Since(begun).Seconds()
	fmt.Fprintf(stderr, "loadgen: %d lines: %d unique, %d duplicates, %d broken, %d gaps; %.0f lines/s\n",
		truth.Read, truth.Unique, truth.Duplicates, truth.DeadLetters.Total, truth.Gaps, float64(truth.Read)/seconds)
	return nil
}

func (o *Options) write(ctx context.Context, stdout io.Writer) (loadgen.Truth, error) {
	if o.kafka == "" && o.Output != "-" {
		return loadgen.WriteFiles(ctx, o.Output, o.Config)
	}
	var truth loadgen.Truth
	var err error
	if o.kafka != "" {
		if o.Partitions > 0 {
			if err := loadgen.CreateTopic(ctx, o.Brokers, o.Topic, o.Partitions); err != nil {
				return loadgen.Truth{}, fmt.Errorf("topic %s: %w", o.Topic, err)
			}
		}
		truth, err = loadgen.WriteKafka(ctx, o.Brokers, o.Topic, o.Config)
	} else {
		truth, err = loadgen.WriteStream(ctx, stdout, o.Config)
	}
	if err == nil && o.Truth != "" {
		err = loadgen.WriteTruth(o.Truth, truth)
	}
	return truth, err
}
