package collect

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Summary is what a run did, up to now or at its end.
type Summary struct {
	Took time.Duration

	Received, ReceivedBytes int64
	Written, Refused        int64
	DroppedQueue            int64
	DroppedSink             int64
	Envelopes, WrittenBytes int64

	KernelDrops      int64 // before they could be received: not part of Received
	KernelDropsKnown bool
	AfterStop        int64 // came while the buffers were drained: not taken
	Counts           Counts
}

func (x *Collector) summary() Summary {
	t := &x.totals
	s := Summary{
		Took:    time.Since(x.begun),
		Refused: t.Refused.Load(), DroppedQueue: t.DroppedQueue.Load(), DroppedSink: t.DroppedSink.Load(),
		Written: t.Written.Load(), Envelopes: t.Envelopes.Load(), WrittenBytes: t.WrittenBytes.Load(),
		Received: t.Received.Load(), ReceivedBytes: t.ReceivedBytes.Load(),
		KernelDropsKnown: true,
	}
	for _, r := range x.receivers {
		c := r.counted()
		s.Counts.Add(&c)
		s.KernelDrops += r.lost.Load()
		s.AfterStop += r.after.Load()
		r.asking.Lock()
		s.KernelDropsKnown = s.KernelDropsKnown && r.drops.known
		r.asking.Unlock()
	}
	return s
}

// Check returns what is wrong with a run that has ended: numbers that do not add up, and that
// something was not written.
func (s *Summary) Check() (problems []error) {
	if sum := s.Written + s.Refused + s.DroppedQueue + s.DroppedSink; sum != s.Received {
		problems = append(problems, fmt.Errorf("received %d datagrams, but written + dropped + refused are %d", s.Received, sum))
	}
	if n := s.DroppedQueue + s.DroppedSink; n > 0 {
		problems = append(problems, fmt.Errorf("%d datagrams were received and not written", n))
	}
	if s.Counts.Waiting != 0 {
		problems = append(problems, fmt.Errorf("%d data sets still wait for their template", s.Counts.Waiting))
	}
	return problems
}

// Print writes the summary as people read it.
func (s *Summary) Print(w io.Writer) {
	line := func(indent int, name string, n int64) {
		fmt.Fprintf(w, "%*s%-*s%15s\n", indent, "", 44-indent, name, thousands(n))
	}
	some := func(indent int, name string, n int64) {
		if n != 0 {
			line(indent, name, n)
		}
	}
	each := func(counts map[string]int64) {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			line(4, name, counts[name])
		}
	}
	seconds := max(s.Took.Seconds(), 1e-3)
	fmt.Fprintf(w, "received %s datagrams, %s bytes, in %.1f s (%s/s)\n", thousands(s.Received), thousands(s.ReceivedBytes), seconds, thousands(int64(float64(s.Received)/seconds)))
	line(2, "written", s.Written)
	line(2, "dropped", s.DroppedQueue+s.DroppedSink)
	some(4, "queue full", s.DroppedQueue)
	some(4, "sink failed", s.DroppedSink)
	some(2, "refused (no exporter of --allow)", s.Refused)
	if s.KernelDropsKnown {
		line(0, "dropped by the kernel, not received", s.KernelDrops)
	} else {
		fmt.Fprintf(w, "dropped by the kernel: not known on this system\n")
	}
	some(0, "came after the end, not received", s.AfterStop)
	fmt.Fprintf(w, "written: %s envelopes, %s bytes\n", thousands(s.Envelopes), thousands(s.WrittenBytes))
	c := &s.Counts
	if len(c.Formats) > 0 {
		fmt.Fprintln(w, "datagrams")
		each(c.Formats)
	}
	if len(c.Malformed) > 0 {
		fmt.Fprintln(w, "malformed, passed on as they are")
		each(c.Malformed)
	}
	fmt.Fprintln(w, "in them")
	line(2, "flow records", c.NetFlow.Records+c.SFlow.Records)
	some(2, "records of options", c.NetFlow.OptionRecords)
	some(2, "templates", c.NetFlow.Templates)
	some(2, "data sets that waited for their template", c.NetFlow.Parked)
	some(4, "it came", c.NetFlow.Recovered)
	some(4, "it did not: passed on as they are", c.NetFlow.Expired)
	some(2, "missing by sequence numbers", c.NetFlow.Missing+c.SFlow.Missing)
	some(2, "restarts of exporters", c.NetFlow.Restarts+c.SFlow.Restarts)
	line(0, "exporters", c.Exporters)
	some(0, "exporters forgotten", c.Forgotten)
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
