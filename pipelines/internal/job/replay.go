package job

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
)

func init() {
	beam.RegisterDoFn(&byOriginFn{})
	beam.RegisterDoFn(&againFn{})
	register.Emitter2[string, flow.FailureBatch]()
	register.Emitter1[flow.RawBatch]()
	register.Emitter1[flow.FailureBatch]()
	register.Iter1[flow.FailureBatch]()
}

// Replay is the program that reads again: dead letters, a raw backup, topics or subscriptions.
func Replay() *Program {
	return &Program{
		Name:    "replay",
		About:   "dead letters, a raw backup or a range of a topic in, through the pipeline of flows: run it after a fix, or with --format corrected",
		Without: []string{"input", "watch", "raw_backup"},
		Check:   (*Options).checkReplay,
		Input:   (*Options).readAgain,
	}
}

// checkReplay says what is wrong with what is to be read again.
func (o *Options) checkReplay() (problems []error) {
	add := func(flag string, err error) {
		for _, e := range split(err) {
			problems = append(problems, fmt.Errorf("--%s: %w", flag, e))
		}
	}
	o.checkReplace(add)
	named := 0
	for _, given := range []bool{o.DeadLetters != "", o.Raw != "", o.readsKafka(), o.readsPubSub()} {
		if given {
			named++
		}
	}
	if named > 1 {
		add("dead_letters", errors.New("a replay reads one of these: dead letters (--dead_letters), a raw backup (--raw), topics (--kafka_input), subscriptions (--pubsub_input)"))
	}
	switch {
	case o.readsKafka():
		if o.Stop == "" {
			add("stop", errors.New("a replay of topics ends: give latest or a time"))
		}
		return problems
	case o.readsPubSub():
		if o.RunFor == 0 {
			add("run_for", errors.New("a replay of subscriptions ends: give how long it may read"))
		}
		if o.Start == "" {
			add("start", errors.New("a replay of subscriptions begins at a time: it is sought back to that"))
		}
		return problems
	}
	for _, name := range []string{"header", "datacenter", "tenant"} {
		if o.set[name] {
			add(name, errors.New("is kept with each record that is read again, and so no option here"))
		}
	}
	if o.Raw == "" {
		if buckets, err := datasetsource.Buckets(o.deadLetters()); err != nil || len(buckets) == 0 {
			add("dead_letters", append(split(err), fmt.Errorf("%s has none", o.deadLetters()))[0])
		}
		return problems
	}
	buckets, err := o.rawBuckets(time.Now())
	add("raw", err)
	if err == nil && len(buckets) == 0 {
		add("raw", fmt.Errorf("%s has no raw records of that time; flows writes them with --raw_backup", o.Raw))
	}
	return problems
}

// readAgain reads what the options name.
func (o *Options) readAgain(s beam.Scope) (Input, error) {
	switch {
	case o.readsKafka(), o.readsPubSub():
		return o.Read(s)
	case o.Raw != "":
		return o.Backup(s)
	default:
		return o.Replayed(s)
	}
}

func (o *Options) deadLetters() string {
	if o.DeadLetters != "" {
		return o.DeadLetters
	}
	return o.dir("dead_letters")
}

// Replayed turns dead letters into raw records again, at their first positions. What
// cannot be replayed, because the dead letter holds only a part of it, stays a dead letter
// with the same id, so that it is not stored twice.
func (o *Options) Replayed(s beam.Scope) (Input, error) {
	s = s.Scope("job.Replayed")
	buckets, err := datasetsource.Buckets(o.deadLetters())
	if err != nil {
		return Input{}, err
	}
	letters := datasetsource.ReadFailures(s, beam.CreateList(s, buckets), o.deadLetters())
	grouped := beam.GroupByKey(s, beam.ParDo(s, &byOriginFn{}, letters))
	schemas, err := o.schemas()
	if err != nil {
		return Input{}, err
	}
	raw, failures, counts := beam.ParDo3(s, &againFn{Format: o.Format, Schemas: schemas}, grouped)
	return Input{raw, failures, counts}, nil
}

// byOriginFn brings the dead letters of one file or partition together: with another
// format its header must be found among them.
type byOriginFn struct{}

func (*byOriginFn) ProcessElement(b flow.FailureBatch, emit func(string, flow.FailureBatch)) {
	by := map[string][]flow.Failure{}
	var keys []string
	for _, f := range b.Failures {
		k := fmt.Sprintf("%s\x00%d", f.Position.Source, f.Position.Partition.Or(-1))
		if by[k] == nil {
			keys = append(keys, k)
		}
		by[k] = append(by[k], f)
	}
	for _, k := range keys {
		emit(k, flow.FailureBatch{Failures: by[k]})
	}
}

type againFn struct {
	Format  string // "" = the format that was tried
	Schemas string // declared for messages in Avro

	kept int64
}

func (f *againFn) StartBundle(func(flow.RawBatch), func(flow.FailureBatch), func(flow.Count)) {
	f.kept = 0
}

func (f *againFn) ProcessElement(_ string, next func(*flow.FailureBatch) bool, emit func(flow.RawBatch), keep func(flow.FailureBatch), _ func(flow.Count)) {
	var all []flow.Failure
	var b flow.FailureBatch
	for next(&b) {
		all = append(all, b.Failures...)
	}
	raw, kept := again(all, f.Format)
	for i := range raw {
		raw[i].Origin.Header = withSchemas(raw[i].Origin.Header, raw[i].Origin.Format, f.Schemas)
	}
	for _, r := range raw {
		emit(r)
	}
	if len(kept) > 0 {
		f.kept += int64(len(kept))
		keep(flow.FailureBatch{Failures: kept})
	}
}

func (f *againFn) FinishBundle(_ func(flow.RawBatch), _ func(flow.FailureBatch), count func(flow.Count)) {
	flow.EmitCount(count, "replay", "read", f.kept)
}

// again makes raw batches of the dead letters of one origin, in the order of their
// offsets. kept are those that hold too little to be tried again.
func again(all []flow.Failure, format string) (raw []flow.RawBatch, kept []flow.Failure) {
	slices.SortStableFunc(all, func(a, b flow.Failure) int {
		return int(a.Position.Offset.Or(0) - b.Position.Offset.Or(0))
	})
	header := ""
	if info, ok := flow.FormatNamed(format); ok && info.Header != nil {
		header = headerAmong(all, info.Header)
	}
	for _, l := range all {
		if l.Truncated || l.Stage == fileStage {
			kept = append(kept, l)
			continue
		}
		origin := flow.Origin{Source: l.Position.Source, Partition: l.Position.Partition, Format: l.Format,
			Header: l.Header, DataCenter: l.DataCenter, Tenant: l.Tenant}
		// What a Step or a sink refused is a record as JSON, whatever the input's format.
		if format != "" && (l.Format != flow.FormatRecord || l.Stage == "parse") {
			if origin.Format = format; header != "" {
				origin.Header = header
				if l.Position.Offset.OK && l.Position.Offset.V < int64(len(header)) {
					continue // a line of the header: no record, now that the format is known
				}
			}
		}
		r := flow.Raw{Data: []byte(l.Data), Offset: l.Position.Offset, Index: l.Position.Index, Key: l.Position.Key, Time: l.SourceTime}
		if n := len(raw); n > 0 && raw[n-1].Origin == origin && len(raw[n-1].Records) < 1000 {
			raw[n-1].Records = append(raw[n-1].Records, r)
			continue
		}
		raw = append(raw, flow.RawBatch{Origin: origin, Records: []flow.Raw{r}})
	}
	return raw, kept
}

// fileStage is the stage of filesource's own failures: a part of a file, not a record.
const fileStage = "files"

// headerAmong finds the header in the lines at the file's start: under the wrong format
// they became dead letters themselves.
func headerAmong(all []flow.Failure, length func([]byte) int) string {
	var head []byte
	for _, l := range all {
		if !l.Position.Offset.OK || l.Position.Offset.V != int64(len(head)) || len(head) > 64<<10 {
			break
		}
		head = append(append(head, l.Data...), '\n')
	}
	return string(head[:length(head)])
}
