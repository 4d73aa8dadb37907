package job

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/stored"
)

// stopOnRequest ends a stream on the local runner at an interrupt, SIGTERM or when its time
// is over: the sources end, what was read is written, and the summary is printed. A second
// signal ends the process at once. done takes it back.
func (o *Options) stopOnRequest(out io.Writer) (done func()) {
	if !o.streaming() || !o.local() {
		return func() {}
	}
	stopping.Arm()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var over <-chan time.Time
	if o.RunFor > 0 {
		over = time.After(o.RunFor)
	}
	ended := make(chan struct{})
	go func() {
		for asked := false; ; asked = true {
			why := "the time is over"
			select {
			case <-ended:
				return
			case <-over:
			case s := <-signals:
				why = s.String()
			}
			if asked {
				fmt.Fprintf(out, "%s again: ended at once; what was not written is to be read again\n", why)
				os.Exit(1)
			}
			fmt.Fprintf(out, "%s: reading ends, what was read is written", why)
			if o.readsKafka() || o.readsPubSub() {
				fmt.Fprintf(out, "; a run that goes on begins with --start=%s", o.resume(time.Now()))
			}
			fmt.Fprintln(out)
			stored.End()
			stopping.Request()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(ended)
		stopping.Disarm()
	}
}

// resume is the start of a run that goes on after one that ended at a time: of subscriptions
// by their snapshots; where the group stands, which has all that is needed of what was read;
// without a group a time.
func (o *Options) resume(ended time.Time) string {
	if o.readsPubSub() {
		return startResume
	}
	if o.KafkaInputGroup != "" {
		return "committed"
	}
	if at := stored.At(); at != 0 && at.Std().Before(ended) {
		ended = at.Std() // we may be far behind the end of the topics
	}
	return o.resumeFrom(ended).UTC().Format(time.RFC3339)
}

// resumeFrom is the arrival time from which a run reads again what one that ended at a time
// may have had in windows that were not whole: the local runner keeps no state. Stores that
// are sets take nothing twice, and of the rows of a window the one with most records wins.
func (o *Options) resumeFrom(ended time.Time) time.Time { return ended.Add(-o.back()) }

// back is how long after the arrival of a record its windows may still be changed by others.
func (o *Options) back() time.Duration {
	back := o.future() + o.MaxHold + o.Skew
	if o.rollups() {
		back += o.AllowedLateness + slices.Max(o.RollupWindows)
	}
	return back
}
