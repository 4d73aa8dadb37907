package rollup

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/windowing"
)

func init() {
	beam.RegisterDoFn(&sessionPartialFn{})
	register.Emitter2[string, []byte]()
	beam.RegisterDoFn(&sessionFn{})
}

// SessionLevel is the name of the level of sessions.
const SessionLevel = "session"

// sessions are the counters of many sessions: records of one group that are less than
// gap apart. Cell i is the session of group groups[i] from windows[i] to last[i].
type sessions struct {
	*cells
	gap  time.Duration
	last []flow.Time
	open map[string][]int32 // sessions of a group, by time
	dead int                // cells that were merged into others
}

func newSessions(p *plan, gap time.Duration) *sessions {
	return &sessions{cells: newCells(p, time.Millisecond), gap: gap, open: map[string][]int32{}}
}

// add merges one cell of o, a session from first to last, into those of its group.
func (s *sessions) add(group []byte, first, last flow.Time, o *cells, j int) {
	list := s.open[string(group)]
	lo := 0 // the first session that ends less than gap before first
	for lo < len(list) && s.last[list[lo]].Add(s.gap) <= first {
		lo++
	}
	hi := lo // the first session that begins gap or more after last
	for hi < len(list) && s.windows[list[hi]] < last.Add(s.gap) {
		hi++
	}
	var i int
	if lo == hi {
		i = s.new(first, group)
		s.last = append(s.last, last)
		s.open[s.groups[i]] = slices.Insert(list, lo, int32(i))
	} else {
		i = int(list[lo])
		s.windows[i], s.last[i] = min(s.windows[i], first), max(s.last[i], last)
		for _, k := range list[lo+1 : hi] {
			s.last[i] = max(s.last[i], s.last[k])
			s.merge(i, s.cells, int(k))
			s.cell(int(k))[0] = 0
			s.dead++
		}
		s.open[s.groups[i]] = slices.Delete(list, lo+1, hi)
	}
	s.merge(i, o, j)
}

// addRecord merges one record, counted in the scratch one.
func (s *sessions) addRecord(r *flow.Record, one *cells) {
	one.reset()
	one.add(r)
	s.buf = append(s.buf[:0], one.groups[0]...)
	s.add(s.buf, r.EventTime, r.EventTime, one, 0)
}

// live calls do for each session that was not merged into another.
func (s *sessions) live(do func(i int)) {
	for i := range s.groups {
		if s.cell(i)[0] > 0 {
			do(i)
		}
	}
}

// appendSession writes a session: its times, then its cell.
func (s *sessions) appendSession(b []byte, i int) []byte {
	b = binary.AppendVarint(b, int64(s.windows[i]))
	b = binary.AppendUvarint(b, uint64(s.last[i]-s.windows[i]))
	return s.appendCell(b, i)
}

func (s *sessions) head() []byte {
	return binary.LittleEndian.AppendUint64([]byte{slabVersion}, s.hash)
}

// addEncoded merges what head and appendSession wrote; nothing at all is no session.
func (s *sessions) addEncoded(b []byte, one *cells) error {
	if len(b) == 0 {
		return nil
	}
	b, err := s.checkHead(b)
	for err == nil && len(b) > 0 {
		d := reader{b: b}
		first := flow.Time(d.varint())
		last := first.Add(time.Duration(d.uvarint()))
		if d.failed || last < first {
			return errGarbage
		}
		var group []byte
		if group, b, err = s.decodeCell(d.b, one); err == nil {
			s.add(group, first, last, one, 0)
		}
	}
	return err
}

// sessionPartialFn joins a bundle's records to sessions, as far as the bundle tells.
type sessionPartialFn struct {
	Fields, Measures []string
	Gap              time.Duration
	Shards, Cells    int

	plan     *plan
	sessions *sessions
	one      *cells
}

func (f *sessionPartialFn) Setup() (err error) {
	f.plan, err = newPlan(f.Fields, f.Measures)
	return err
}

func (f *sessionPartialFn) StartBundle(func(string, []byte)) { f.begin() }

func (f *sessionPartialFn) begin() {
	f.sessions, f.one = newSessions(f.plan, f.Gap), newCells(f.plan, time.Millisecond)
}

func (f *sessionPartialFn) ProcessElement(b flow.Batch, emit func(string, []byte)) {
	for i := range b.Records {
		if r := &b.Records[i]; !r.Late && r.EventTime != 0 {
			f.sessions.addRecord(r, f.one)
			if f.sessions.len() >= f.Cells {
				f.FinishBundle(emit)
			}
		}
	}
}

func (f *sessionPartialFn) FinishBundle(emit func(string, []byte)) {
	slabs := make([][]byte, f.Shards)
	f.sessions.live(func(i int) {
		f.one.buf = append(f.one.buf[:0], f.sessions.groups[i]...)
		shard := hashBytes(f.one.buf) % uint64(f.Shards)
		if slabs[shard] == nil {
			slabs[shard] = f.sessions.head()
		}
		slabs[shard] = f.sessions.appendSession(slabs[shard], i)
	})
	for shard, slab := range slabs {
		if slab != nil {
			emit(windowing.Key(0, shard), slab)
		}
	}
	f.begin()
}

// sessionFn holds the open sessions of one shard of the groups in the global window, and
// gives a session's row when nothing that is let through can lengthen it any more: gap
// and Hold after its last record. State is read and written once for each slab.
//
// Beam's session windows would not do: they know milliseconds only, a row once given
// would stay in the stores when a late record moves the session's start, and Prism cuts
// a session at the watermark.
type sessionFn struct {
	Fields, Measures []string
	Gap, Hold        time.Duration
	Bounded          bool

	Open  state.Value[[]byte]
	Close timers.EventTime

	plan *plan
	one  *cells
}

func (f *sessionFn) Setup() (err error) {
	if f.plan, err = newPlan(f.Fields, f.Measures); err == nil {
		f.one = newOne(f.plan)
	}
	return err
}

func (f *sessionFn) ProcessElement(_ beam.EventTime, sp state.Provider, tp timers.Provider, _ string, slab []byte, _ func(flow.RollupBatch)) error {
	s, err := f.read(sp)
	if err == nil {
		err = s.addEncoded(slab, f.one)
	}
	if err != nil {
		return err
	}
	return f.write(s, sp, tp)
}

// OnTimer gives the sessions that are over. A timer that comes without need, as Prism's
// may, finds none.
func (f *sessionFn) OnTimer(now beam.EventTime, sp state.Provider, tp timers.Provider, _ string, _ timers.Context, emit func(flow.RollupBatch)) error {
	s, err := f.read(sp)
	if err != nil {
		return err
	}
	var over []int
	s.live(func(i int) {
		if f.closes(s.last[i]) <= now.Milliseconds() {
			over = append(over, i)
		}
	})
	slices.SortFunc(over, func(a, b int) int {
		if s.windows[a] != s.windows[b] {
			if s.windows[a] < s.windows[b] {
				return -1
			}
			return 1
		}
		if s.groups[a] < s.groups[b] {
			return -1
		}
		return 1
	})
	for part := range slices.Chunk(over, maxRows) {
		b := flow.RollupBatch{Level: SessionLevel, Fields: f.Fields, Measures: f.Measures, Rows: make([]flow.Rollup, len(part))}
		width := len(f.Fields) + len(f.Measures)
		for k, i := range part {
			if err := s.row(&b.Rows[k], make([]flow.Value, width), i); err != nil {
				return err
			}
			b.Rows[k].Length = time.Duration(s.last[i]-s.windows[i]) + f.Gap
		}
		emit(b)
	}
	for _, i := range over {
		s.cell(i)[0] = 0
	}
	return f.write(s, sp, tp)
}

// closes is when a session is over, in milliseconds of event time: in full minutes, so
// that a firing of the timer, which reads all of the state, has many of them; and at the
// end of all time where the input is bounded.
func (f *sessionFn) closes(last flow.Time) int64 {
	if f.Bounded {
		return mtime.EndOfGlobalWindowTime.Milliseconds() - 1
	}
	return int64(windowing.BucketEnd(last.Add(f.Gap+f.Hold), time.Minute)) / int64(time.Millisecond)
}

func (f *sessionFn) read(sp state.Provider) (*sessions, error) {
	b, _, err := f.Open.Read(sp)
	if err != nil {
		return nil, fmt.Errorf("rollup: open sessions: %w", err)
	}
	s := newSessions(f.plan, f.Gap)
	return s, s.addEncoded(b, f.one)
}

// write keeps the live sessions and sets the timer for the first that will be over.
func (f *sessionFn) write(s *sessions, sp state.Provider, tp timers.Provider) error {
	var b []byte
	next := int64(math.MaxInt64)
	s.live(func(i int) {
		if b == nil {
			b = s.head()
		}
		b = s.appendSession(b, i)
		next = min(next, f.closes(s.last[i]))
	})
	if b == nil {
		return f.Open.Clear(sp)
	}
	f.Close.Set(tp, time.UnixMilli(next))
	return f.Open.Write(sp, b)
}
