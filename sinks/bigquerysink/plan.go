package bigquerysink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"

	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Plans are what makes a load a set: an object beside the parts says, before the job is
// asked for, which parts one job has. It is created if absent and never changed, so that
// whoever comes after a crash, or works at the same time, finds the same parts in the same
// jobs:
//
//	<dir>/_bigquery/<project>.<dataset>.<table>/load-000007.json       the parts
//	<dir>/_bigquery/<project>.<dataset>.<table>/load-000007.done.json  the job that loaded them
//
// A part is in one plan at most: plans are numbered without a gap, and who makes the next
// one has read all before it.
type plan struct {
	Table string `json:"table"`
	Dir   string `json:"dir"`
	Parts []part `json:"parts"`

	number int
}

// done says which job loaded a plan's parts.
type done struct {
	Job  string `json:"job"`
	Rows int64  `json:"rows"`
}

var planPattern = regexp.MustCompile(`^load-([0-9]{6,})(\.done)?\.json$`)

func planName(number int, suffix string) string {
	return fmt.Sprintf("load-%06d%s.json", number, suffix)
}

// jobID is the id of the plan's nth job. It follows from the table and the parts alone.
func (p *plan) jobID(attempt int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n%q\n", p.Table, p.Dir)
	for _, x := range p.Parts {
		fmt.Fprintf(h, "%q %d\n", x.Name, x.Size)
	}
	return "flowbeam_load_" + hex.EncodeToString(h.Sum(nil)[:16]) + "_" + strconv.Itoa(attempt)
}

// ledger is the plans of one table in one dataset.
type ledger struct {
	store dataset.Store
	dir   string // of the plans, in the dataset
	last  int    // the number of the newest plan
	taken map[string]bool
	open  []*plan // that are not known to be loaded
}

func newLedger(s dataset.Store, table tableName) *ledger {
	return &ledger{store: s, dir: "_bigquery/" + table.String(), taken: map[string]bool{}}
}

// refresh reads the plans that were made since the last time.
func (l *ledger) refresh(ctx context.Context) error {
	objects, err := l.store.List(ctx, l.dir)
	if err != nil {
		return err
	}
	plans, loaded := map[int]bool{}, map[int]bool{}
	for _, o := range objects {
		m := planPattern.FindStringSubmatch(o.Name)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
		if m[2] == "" {
			plans[n] = true
		} else {
			loaded[n] = true
		}
	}
	for l.last < len(plans) {
		n := l.last + 1
		if !plans[n] {
			return fmt.Errorf("%s/%s is missing: plans must not be removed one by one", l.dir, planName(n, ""))
		}
		p := plan{number: n}
		if err := l.read(ctx, planName(n, ""), &p); err != nil {
			return err
		}
		for _, x := range p.Parts {
			l.taken[x.Name] = true
		}
		l.open = append(l.open, &p)
		l.last = n
	}
	open := l.open[:0]
	for _, p := range l.open {
		if !loaded[p.number] {
			open = append(open, p)
		}
	}
	l.open = open
	return nil
}

func (l *ledger) read(ctx context.Context, name string, v any) error {
	f, err := l.store.Open(ctx, l.dir+"/"+name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("%s/%s: %w", l.dir, name, err)
	}
	return nil
}

// create makes an object, unless it is there. ours says that it is what we made.
func (l *ledger) create(ctx context.Context, name string, v any) (ours bool, err error) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return false, err
	}
	staged, err := l.store.Stage(ctx, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(b))
		return err
	})
	if err != nil {
		return false, err
	}
	defer staged.Discard()
	err = staged.Commit(ctx, l.dir+"/"+name)
	if errors.Is(err, dataset.ErrExists) || errors.Is(err, dataset.ErrLostReply) {
		same, serr := staged.SameAs(ctx, l.dir+"/"+name)
		if serr != nil && !errors.Is(serr, fs.ErrNotExist) {
			return false, serr
		}
		if !same && errors.Is(err, dataset.ErrLostReply) {
			return false, err // it may be anything: the next try looks again
		}
		return same, nil
	}
	return err == nil, err
}

// add plans a job of some parts. false: somebody else made a plan meanwhile, and refresh
// has to say what is left.
func (l *ledger) add(ctx context.Context, p *plan) (bool, error) {
	p.number = l.last + 1
	return l.create(ctx, planName(p.number, ""), p)
}

// finish notes that a plan's parts are loaded.
func (l *ledger) finish(ctx context.Context, p *plan, d done) error {
	_, err := l.create(ctx, planName(p.number, ".done"), d)
	return err
}
