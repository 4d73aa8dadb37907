package job

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/metrics"
	"github.com/flowbeam/flowbeam/windowing"
)

func init() {
	beam.RegisterDoFn(&latenessFn{})
}

// Lateness says how late the records of one data center came: all that were parsed, copies
// too, because only there each is beside the watermark that it was read at.
type Lateness struct {
	Records int64 `json:"records"`
	// Behind came after the smallest of their windows had given its row, and corrected it.
	Behind int64 `json:"behind"`
	// Late came after the allowed lateness: they are stored and in no rollup.
	Late int64 `json:"late"`
	// Median, P95 and Max of the delay from event to arrival at the source, in seconds: the
	// upper bound of the class that the record is in, -1 where it is above all of them.
	Median int64 `json:"median_seconds"`
	P95    int64 `json:"p95_seconds"`
	Max    int64 `json:"max_seconds"`
	// Mean of the delay, in seconds.
	Mean float64 `json:"mean_seconds"`

	classes [maxClass + 1]int64
	millis  int64
}

// maxClass is the class above all bounds.
const maxClass = 17

// noCenter is the name of what names no data center; otherCenters is that of what comes after
// the first mostCenters of a bundle: names come from the input, and memory is bounded.
const (
	noCenter     = "-"
	otherCenters = "(others)"
	mostCenters  = 1000
)

// tapLateness counts by data center how late records came; smallest is the length of the
// smallest window.
func tapLateness(s beam.Scope, batches beam.PCollection, smallest time.Duration) beam.PCollection {
	return beam.ParDo(s.Scope("job.CountLateness"), &latenessFn{Smallest: smallest}, batches)
}

type latenessFn struct {
	Smallest time.Duration

	centers centers
}

func (f *latenessFn) StartBundle(func(flow.Count)) { f.centers = centers{} }

func (f *latenessFn) ProcessElement(b flow.Batch, _ func(flow.Count)) {
	for i := range b.Records {
		r := &b.Records[i]
		f.centers.of(r.DataCenter).add(r, b.Watermark, f.Smallest)
	}
}

func (f *latenessFn) FinishBundle(emit func(flow.Count)) { f.centers.emit(emit) }

// centerTally counts the records of one data center.
type centerTally struct {
	behind, late, millis int64
	classes              [maxClass + 1]int64
}

func (c *centerTally) add(r *flow.Record, watermark flow.Time, smallest time.Duration) {
	delay := time.Duration(max(r.Received-r.EventTime, 0))
	c.classes[delayClass(delay)]++
	c.millis += delay.Milliseconds()
	switch {
	case r.Late:
		c.late++
	case windowing.Late(r.EventTime, watermark, 0, smallest):
		c.behind++
	}
}

// delayClass is the class of metrics.DelayBounds that a delay is in.
func delayClass(d time.Duration) int {
	return sort.Search(len(metrics.DelayBounds), func(i int) bool { return d <= time.Duration(metrics.DelayBounds[i])*time.Second })
}

// emit counts in the stage "lateness", by data center and what.
func (c *centerTally) emit(center string, emit func(flow.Count)) {
	name := url.QueryEscape(center) + "/"
	flow.EmitCount(emit, latenessStage, name+"behind", c.behind)
	flow.EmitCount(emit, latenessStage, name+"late", c.late)
	flow.EmitCount(emit, latenessStage, name+"millis", c.millis)
	for i, n := range c.classes {
		flow.EmitCount(emit, latenessStage, name+strconv.Itoa(i), n)
	}
}

const latenessStage = "lateness"

// latenessCount takes the name of such a count apart. class is -1 for those that are no class.
func latenessCount(name string) (center, what string, class int) {
	center, what, _ = strings.Cut(name, "/")
	if c, err := url.QueryUnescape(center); err == nil {
		center = c
	}
	class, err := strconv.Atoi(what)
	if err != nil || class > maxClass {
		class = -1
	}
	return center, what, class
}

// add adds a count of the stage.
func (l *Lateness) add(what string, class int, n int64) {
	switch {
	case class >= 0:
		l.classes[class] += n
		l.Records += n
	case what == "behind":
		l.Behind += n
	case what == "late":
		l.Late += n
	case what == "millis":
		l.millis += n
	}
}

// finish computes what is told of the classes.
func (l *Lateness) finish() {
	if l.Records == 0 {
		return
	}
	l.Median, l.P95, l.Max = l.quantile(0.5), l.quantile(0.95), l.quantile(1)
	l.Mean = float64(l.millis) / 1000 / float64(l.Records)
}

func (l *Lateness) quantile(q float64) int64 {
	seen := int64(0)
	for i, n := range l.classes {
		if seen += n; n > 0 && float64(seen) >= q*float64(l.Records) {
			if i == maxClass {
				return -1
			}
			return metrics.DelayBounds[i]
		}
	}
	return -1
}

// printLateness writes the report by data center.
func printLateness(w io.Writer, centers map[string]*Lateness) {
	if len(centers) == 0 {
		return
	}
	fmt.Fprintf(w, "lateness, from event to arrival\n  %-20s %12s %12s %10s %9s %9s %9s\n", "data center", "records", "corrections", "too late", "median", "95 %", "all")
	within := func(seconds int64) string {
		if seconds < 0 {
			return "> 7 d"
		}
		return "≤ " + shortDuration(time.Duration(seconds)*time.Second)
	}
	for _, name := range sorted(centers) {
		c := centers[name]
		fmt.Fprintf(w, "  %-20s %12s %12s %10s %9s %9s %9s\n", name, thousands(c.Records), thousands(c.Behind), thousands(c.Late), within(c.Median), within(c.P95), within(c.Max))
	}
}

// shortDuration is a duration without its zeros: 5m for 5m0s.
func shortDuration(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// centers counts by data center, a bounded number of them.
type centers map[string]*centerTally

func (c centers) of(name string) *centerTally {
	if name == "" {
		name = noCenter
	}
	t := c[name]
	if t == nil {
		if len(c) >= mostCenters {
			name = otherCenters
			if t = c[name]; t != nil {
				return t
			}
		}
		t = &centerTally{}
		c[name] = t
	}
	return t
}

func (c centers) emit(emit func(flow.Count)) {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c[name].emit(name, emit)
	}
}
