package filesource

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/internal/inflight"
)

// Files are read no further than a batch beyond what may be on its way to the sinks.
func TestFilesWaitForTheSinks(t *testing.T) {
	for name, opts := range map[string][]Option{
		"once": nil, "watched": {Watch(10 * time.Millisecond), StopAfter(1)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var text bytes.Buffer
			for i := range 2000 {
				fmt.Fprintf(&text, "%d line\n", 1_700_000_000+i)
			}
			write(t, dir, "a.log", text.Bytes())
			const budget = 1000 * 15
			inflight.Begin(budget, "sink")
			defer inflight.End()
			ended, told := make(chan struct{}), make(chan struct{})
			go func() { // the sink is done with what it has
				defer close(told)
				var done int64
				for {
					select {
					case <-ended:
						return
					case <-time.After(20 * time.Millisecond):
					}
					var n int64
					collectMu.Lock()
					for run, c := range runs {
						if strings.HasPrefix(run, t.Name()) {
							n += int64(len(c.records()))
						}
					}
					collectMu.Unlock()
					inflight.Done("sink", n-done)
					done = n
				}
			}()
			c := run(t, []string{dir + "/*"}, append(opts, Format("clocked"), BatchRecords(100))...)
			close(ended)
			<-told
			if n := len(c.records()); n != 2000 {
				t.Errorf("%d lines", n)
			}
			if most := inflight.Most(); most < budget/2 || most > budget+100*15 {
				t.Errorf("%d bytes were on their way, want %d or a batch more", most, budget)
			}
		})
	}
}
