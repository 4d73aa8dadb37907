package job

import (
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
	"github.com/flowbeam/flowbeam/transforms/anonymize"
	"github.com/flowbeam/flowbeam/transforms/dedupe"
	"github.com/flowbeam/flowbeam/transforms/geoip"
	"github.com/flowbeam/flowbeam/transforms/parse"
	"github.com/flowbeam/flowbeam/transforms/prefix"
	"github.com/flowbeam/flowbeam/transforms/rollup"
	"github.com/flowbeam/flowbeam/windowing"
)

// Build wires the pipeline behind the input: parse, dedupe, enrich, and the three
// outputs: records, rollups and dead letters. now is the time of the launch; totals is
// the file that the last step writes the counts to.
func (o *Options) Build(s beam.Scope, in Input, now time.Time, to totals) error {
	counts := []beam.PCollection{in.Counts}
	failures := []beam.PCollection{in.Failures}
	count := func(cs ...beam.PCollection) { counts = append(counts, cs...) }
	// refusedBy counts what a store took and returns what it refused.
	refusedBy := func(w written) []beam.PCollection { count(w.counts); return w.rejected }

	bounds, err := o.bounds(now)
	if err != nil {
		return err
	}
	records, bad, n := parse.Records(s, in.Raw,
		parse.Then(bounds), parse.KeepOriginal(o.KeepOrigin), parse.Revision(o.Revision), parse.Envelopes(o.Envelopes))
	failures = append(failures, bad)
	count(n)

	if o.streaming() && o.rollups() {
		records, n = windowing.MarkLate(s, records, o.AllowedLateness, slices.Min(o.RollupWindows))
		count(n)
	}
	if o.streaming() || o.readsKafka() {
		count(tapLateness(s, records, o.smallestWindow()))
	}
	if o.Dedupe == "exact" {
		opts := []dedupe.Option{dedupe.Horizon(o.DedupeHorizon), dedupe.Shards(o.DedupeShards)}
		if o.rollups() {
			opts = append(opts, dedupe.Lateness(o.AllowedLateness))
		}
		records, n = dedupe.Exact(s, records, opts...)
		count(n)
	}
	if o.Observations != "off" {
		records, n = dedupe.Observations(s, records, o.policy(), dedupe.Exporters(o.Exporters...))
		count(n)
	}
	if steps := o.steps(); len(steps) > 0 {
		records, bad, n = flow.Apply(s, records, steps...)
		failures = append(failures, bad)
		count(n)
	}
	count(tapBatches(s, records))

	fileOptions := append(o.sinkOptions("files"), filesink.Partition(o.Partition...))
	if o.Replace {
		fileOptions = append(fileOptions, filesink.Replace())
	}
	written := filesink.Write(s, records, o.dir("flows"), fileOptions...)
	count(written.Counts)
	rejected := []beam.PCollection{written.Failures}
	stores := o.stores()
	for _, st := range stores {
		rejected = append(rejected, refusedBy(st.records(s, records, written))...)
	}

	var old datasetsource.Old
	if o.Replace {
		stored := gather(s, "StoredCounts", counts...)
		old = datasetsource.Superseded(s, o.dir("flows"), in.Raw, records, o.Revision)
		count(old.Counts)
		moved, gone := gate(s, old.Moved, stored), gate(s, old.Gone, stored)
		for _, st := range stores {
			count(st.remove(s, moved, gone)...)
		}
	}
	if o.rollups() {
		forRollups, changed, err := o.rollupInput(s, records, written.Touched, old)
		if err != nil {
			return err
		}
		if o.Observations != "off" {
			forRollups, _, _ = flow.Apply(s, forRollups, &observedOnce{})
		}
		opts := []rollup.Option{
			rollup.Fields(o.Rollup...), rollup.Measures(o.measures()...), rollup.Every(o.RollupWindows...),
			rollup.Lateness(o.AllowedLateness), rollup.Slack(o.slack),
		}
		if !o.streaming() {
			opts = append(opts, rollup.Bounded())
		} else if o.EarlyFirings > 0 {
			opts = append(opts, rollup.Early(o.EarlyFirings))
		}
		revision, err := o.rollupRevision()
		if err != nil {
			return err
		}
		levels, n := rollup.By(s, forRollups, opts...)
		count(n)
		for _, l := range levels {
			table, err := rollup.Table(l.Name, o.Rollup, o.measures())
			if err != nil {
				return err
			}
			s := s.Scope("rollup_" + l.Name) // or their steps were told apart by numbers
			l.Rows = revise(s, l.Rows, revision)
			if o.Replace {
				l.Rows = gather(s, "Retracted", l.Rows, o.retractions(s, l.Rows, changed, level{l.Name, table}))
			}
			count(tapRollups(s, l.Name, l.Rows))
			w := filesink.WriteRollups(s, l.Rows, o.dir("rollup_"+l.Name), table, o.sinkOptions("files_rollup_"+l.Name)...)
			count(w.Counts)
			rejected = append(rejected, w.Failures)
			for _, st := range stores {
				rejected = append(rejected, refusedBy(st.rollups(s, l.Rows, level{l.Name, table}, w))...)
			}
		}
	}
	if o.RawBackup {
		count(tapRaw(s, in.Raw))
		w := filesink.WriteRaw(s, in.Raw, o.dir("raw"), o.rawOptions()...)
		count(w.Counts)
		rejected = append(rejected, w.Failures)
	}

	dead := gather(s, "DeadLetters", failures...)
	count(tapFailures(s, dead))
	all := gather(s, "Refused", append(rejected, dead)...)
	// What a store refuses of the dead letters is one for the files: they refuse none.
	letters := []beam.PCollection{all}
	for _, st := range stores {
		if !st.loadsFiles() {
			letters = append(letters, refusedBy(st.failures(s, all, filesink.Result{}))...)
		}
	}
	files := filesink.WriteFailures(s, gather(s, "Letters", letters...), o.dir("dead_letters"), deadLetterOptions()...)
	count(files.Counts)
	for _, st := range stores {
		if st.loadsFiles() {
			refusedBy(st.failures(s, all, files))
		}
	}

	if o.Replace {
		count(filesink.Prune(s, old.IDs, o.dir("flows"), o.Revision, gather(s, "AllCounts", counts...)))
	}
	if o.streaming() && o.readsKafka() && o.local() { // of subscriptions snapshots tell where to go on
		windowing.Stored(s, in.Raw, counts...)
	}
	writeTotals(s, gather(s, "Counts", counts...), to)
	return nil
}

// gather flattens collections under a name of its own: by their names a running job's steps are
// found in the graph that replaces it, and those of bare Flattens change with their number.
func gather(s beam.Scope, name string, cols ...beam.PCollection) beam.PCollection {
	return beam.Flatten(s.Scope("job."+name), cols...)
}

// smallestWindow is the length of the smallest window, which gives its row first.
func (o *Options) smallestWindow() time.Duration {
	if !o.rollups() {
		return time.Minute
	}
	return slices.Min(o.RollupWindows)
}

// steps are what is done to each record, in one ParDo.
func (o *Options) steps() (steps []flow.Step) {
	for _, n := range o.Networks {
		steps = append(steps, prefix.Step(n))
	}
	if o.GeoIPCity != "" || o.GeoIPASN != "" {
		steps = append(steps, geoip.Step(o.GeoIPCity, o.GeoIPASN))
	}
	if o.Anonymize != "" {
		steps = append(steps, anonymize.Step(o.Anonymize))
	}
	return steps
}

// rollupInput is what the rollups are made of. Windows of which records are stored
// already, by an earlier run, are computed anew from all that is stored of them once the
// new records are there; the rest from the records as they come. So a later run over more
// files, a replay and a run over its own output all give what one clean run gives.
//
// A stream does not wait for the end of its input: it computes its windows from what it
// reads alone, and of two rows of a group readers take the one of more records.
//
// changed are the buckets of which a replacement computes the rollups.
func (o *Options) rollupInput(s beam.Scope, records, touched beam.PCollection, old datasetsource.Old) (in, changed beam.PCollection, err error) {
	if o.streaming() {
		return records, changed, nil
	}
	if o.Replace {
		in, changed = o.replacedInput(s, touched, old)
		return in, changed, nil
	}
	stored, err := o.storedUnits()
	if err != nil || len(stored) == 0 {
		return records, changed, err
	}
	s = s.Scope("job.StoredWindows")
	fresh, _, _ := flow.Apply(s, records, &unstored{Unit: o.unit(), Stored: stored})
	again := beam.ParDo(s, &touchedFn{Unit: int64(o.unit()), Bucket: int64(o.FileBucket), Stored: stored}, touched)
	whole, _, _ := flow.Apply(s, datasetsource.Read(s, again, o.dir("flows")), &onTime{})
	return gather(s, "RollupInput", fresh, whole), changed, nil
}

// unit is the stretch of event time that is computed anew as one: a whole number of file
// buckets and of rollup windows.
func (o *Options) unit() time.Duration {
	u := o.FileBucket
	for _, w := range o.RollupWindows {
		u = lcm(u, w)
	}
	return u
}

func lcm(a, b time.Duration) time.Duration {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}

// storedUnits lists the starts of the units that have records now.
func (o *Options) storedUnits() ([]flow.Time, error) {
	buckets, err := datasetsource.Buckets(o.dir("flows"))
	if err != nil {
		return nil, err
	}
	var units []flow.Time
	for _, b := range buckets {
		t, err := parseTime(b)
		if err != nil {
			continue // records without a time belong to no window
		}
		if u := t.Truncate(o.unit()); len(units) == 0 || units[len(units)-1] != u {
			units = append(units, u)
		}
	}
	slices.Sort(units)
	return slices.Compact(units), nil
}

// dir is a folder under the output, which may be a URL: path.Join would break its "//".
func (o *Options) dir(name string) string { return strings.TrimRight(o.Output, "/") + "/" + name }

func (o *Options) measures() []string {
	if len(o.RollupMeasures) == 0 {
		return rollup.DefaultMeasures()
	}
	return o.RollupMeasures
}

// sinkStage tells a sink's counts from those of a source of the same name.
func sinkStage(name string) string { return "sink_" + name }

func (o *Options) sinkOptions(name string) []filesink.Option {
	opts := []filesink.Option{
		filesink.Name(sinkStage(name)), filesink.Bucket(o.FileBucket), filesink.Shards(o.Shards), filesink.Format(o.OutputFormat),
	}
	if o.Compression != "" {
		opts = append(opts, filesink.Compression(o.Compression))
	}
	return opts
}

func deadLetterOptions() []filesink.Option {
	return []filesink.Option{filesink.Name(sinkStage("files_dead_letters"))}
}

func (o *Options) rawOptions() []filesink.Option {
	opts := []filesink.Option{filesink.Name(sinkStage("files_raw")), filesink.Format(o.OutputFormat)}
	if o.Compression != "" {
		opts = append(opts, filesink.Compression(o.Compression))
	}
	return opts
}
