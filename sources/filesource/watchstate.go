package filesource

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem"
)

// watchState is all that a watch knows, and the restriction that it works on: a runner
// that restores it goes on where it was.
type watchState struct {
	Seen      map[string]bool      // names of files that were taken, as long as they match: see seenName
	Waiting   map[string]stamp     // files that the last poll found and that may still grow
	Queue     []queued             // complete files, to be read
	Current   *queued              // being read
	Offset    int64                // where the next line of Current begins, decompressed
	Origins   map[string]*progress // by data center, or by glob where there is none
	Polled    flow.Time            // when the last poll was made
	Files     int                  // read to the end
	Watermark flow.Time            // never falls
	Done      bool                 // nothing is to come: the watch was stopped
}

type stamp struct {
	Size    int64
	ModTime flow.Time
}

type queued struct {
	file
	Origin string
}

// progress is how far in event time the files of one data center are.
type progress struct {
	Newest flow.Time // event time seen, never above file time and now
	Active flow.Time // when something was last read or found, by the clock
}

func newWatchState() *watchState {
	return &watchState{Seen: map[string]bool{}, Waiting: map[string]stamp{}, Origins: map[string]*progress{}}
}

// seenName is a file's name in Seen: a hash, because paths are long and the state is
// written at each checkpoint.
func seenName(path string) string { return flow.NewID("file", []byte(path)).String() }

// ignored says whether a name is that of a file which is still written to.
func ignored(p string) bool {
	name := path.Base(strings.ReplaceAll(p, `\`, "/"))
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".crdownload")
}

// found takes in the result of a poll: found[i] are the files that the i-th glob matches.
// Files that were there with the same size and time at the poll before are complete.
func (s *watchState) found(c *config, now flow.Time, found [][]filesystem.Info) {
	seen, waiting := map[string]bool{}, map[string]stamp{}
	for i, infos := range found {
		for _, in := range infos {
			if ignored(in.Path) {
				continue
			}
			name, st := seenName(in.Path), stamp{Size: in.Size, ModTime: flow.TimeOf(in.ModTime)}
			switch old, ok := s.Waiting[in.Path]; {
			case s.Seen[name] || seen[name]:
				seen[name] = true
			case ok && old == st:
				seen[name] = true
				origin := c.dataCenterOf(in.Path)
				if origin == "" {
					origin = "glob " + strconv.Itoa(i)
				}
				s.origin(origin).Active = now
				s.Queue = append(s.Queue, queued{fileOf(in), origin})
			default:
				waiting[in.Path] = st
			}
		}
	}
	s.Seen, s.Waiting, s.Polled = seen, waiting, now
}

func (s *watchState) origin(name string) *progress {
	p := s.Origins[name]
	if p == nil {
		p = &progress{}
		s.Origins[name] = p
	}
	return p
}

// pick moves the file that is to be read next from the queue to Current: one of the origin
// that is furthest behind in event time, so that what was found at once is read as it
// happened; of these the oldest.
func (s *watchState) pick() bool {
	if len(s.Queue) == 0 {
		return false
	}
	best := 0
	for i := range s.Queue {
		a, b := &s.Queue[i], &s.Queue[best]
		if cmp.Or(
			cmp.Compare(s.origin(a.Origin).Newest, s.origin(b.Origin).Newest),
			cmp.Compare(a.ModTime, b.ModTime),
			cmp.Compare(a.Path, b.Path),
		) < 0 {
			best = i
		}
	}
	f := s.Queue[best]
	s.Queue = slices.Delete(s.Queue, best, best+1)
	s.Current, s.Offset = &f, 0
	return true
}

// read notes that the lines of Current before next were emitted, newest being the latest
// event time among them, or zero.
func (s *watchState) read(now flow.Time, next int64, newest flow.Time) {
	p := s.origin(s.Current.Origin)
	p.Newest = max(p.Newest, min(newest, s.Current.ModTime, now))
	p.Active = now
	s.Offset = next
}

// finish notes that Current was read to its end. Its time counts as event time where its
// lines had none that could be read.
func (s *watchState) finish(now flow.Time) {
	p := s.origin(s.Current.Origin)
	if p.Newest == 0 {
		p.Newest = min(s.Current.ModTime, now)
	}
	p.Active = now
	s.Current, s.Offset = nil, 0
	s.Files++
}

// advance moves the watermark as far as it may go.
func (s *watchState) advance(c *config, now flow.Time) {
	pending := map[string]bool{}
	if s.Current != nil {
		pending[s.Current.Origin] = true
	}
	for i := range s.Queue {
		pending[s.Queue[i].Origin] = true
	}
	var lead flow.Time
	for _, p := range s.Origins {
		lead = max(lead, p.Newest)
	}
	least, holding := flow.Time(0), false
	for name, p := range s.Origins {
		at := p.Newest
		switch {
		case pending[name]:
			// Its files wait for us: it holds as long as it takes.
		case c.IdleTimeout > 0 && now >= p.Active.Add(c.IdleTimeout):
			continue
		default:
			at = max(at, lead.Add(-c.MaxHold))
		}
		if !holding || at < least {
			least, holding = at, true
		}
	}
	if !holding {
		if len(s.Origins) == 0 {
			return // nothing was ever found: no reason to call anything late
		}
		least = now.Add(-c.MaxHold)
	}
	if least != 0 {
		s.Watermark = max(s.Watermark, least.Add(-c.Skew))
	}
}

// stop says whether the watch has done what [StopAfter] and [StopAt] ask for.
func (s *watchState) stop(c *config, now flow.Time) bool {
	return c.StopFiles > 0 && s.Files >= c.StopFiles || c.StopAt != 0 && now >= c.StopAt
}

// nextPoll is how long to wait.
func (s *watchState) nextPoll(c *config, now flow.Time) time.Duration {
	d := time.Duration(s.Polled.Add(c.Watch) - now)
	if c.StopAt != 0 {
		d = min(d, time.Duration(c.StopAt-now))
	}
	return max(d, 0)
}

func encodeWatchState(s watchState) ([]byte, error) { return json.Marshal(s) }

func decodeWatchState(b []byte) (watchState, error) {
	s := newWatchState()
	err := json.Unmarshal(b, s)
	return *s, err
}

// watchTracker tracks a watch. A position is a change of its state, a func(*watchState):
// claiming makes the change. The work is that of one place and can't be split, but for a
// checkpoint.
type watchTracker struct {
	mu      sync.Mutex // the harness locks too; tests need not
	state   *watchState
	stopped bool
}

func (t *watchTracker) TryClaim(pos any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.state.Done {
		return false
	}
	pos.(func(*watchState))(t.state)
	return true
}

func (t *watchTracker) GetError() error { return nil }

// TrySplit gives away all that is left at fraction 0, a checkpoint, and nothing else.
func (t *watchTracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fraction > 0 || t.stopped || t.state.Done {
		return *t.state, nil, nil
	}
	t.stopped = true
	done := newWatchState()
	done.Done = true
	return *done, *t.state, nil
}

func (t *watchTracker) GetProgress() (done, remaining float64) {
	if t.IsDone() {
		return 1, 0
	}
	return 0, 1
}

func (t *watchTracker) IsDone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped || t.state.Done
}

func (t *watchTracker) GetRestriction() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.state
}

func (t *watchTracker) IsBounded() bool { return false }
