// Package filesource reads files: lines of any format that is registered in flow, plain or
// compressed, once or as a folder that is watched.
package filesource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem"
	"github.com/flowbeam/flowbeam/internal/inflight"
)

// stage names this source in failures and counts.
const stage = "files"

// Read reads the files that match the globs and returns their lines, undecoded, as
// PCollection<flow.RawBatch>; the files and parts of files that could not be read as
// PCollection<flow.FailureBatch>; and PCollection<flow.Count>: files/files (files opened),
// files/bytes (bytes read, as stored) and files/read (one for each failure: a unit that
// can't be read at all is one record read and one dead letter).
//
// In a glob * and ? stay within a path element, ** as a whole element stands for any
// number of them. Globs are expanded on a worker; one that matches nothing fails the job
// with its name ([Check] finds that out beforehand). A file that several globs match is
// read once.
//
// A record is a line without its "\n" or "\r\n"; lines of white space and a UTF-8 byte
// order mark are passed over. Header lines, if the format has them, travel in
// Origin.Header. A record's offset is that of its first byte in the decompressed file, its
// time the file's. Records of a batch share one array.
//
// Plain files are split into ranges that workers read in parallel: a range has the lines
// whose first byte is in it, and reads the header at the file's start. gzip (of any number
// of members) and zstd files are known by their first bytes and read as a whole.
//
// What stays broken however often one tries (a cut gzip file, a bomb, a folder, a file
// that may not be read or that no format fits) becomes a failure, after the records before
// it, and the job goes on. Other errors fail the bundle, and the runner tries again; a
// retried bundle gives the same records at the same positions.
//
// With [Watch] the source is unbounded and reads each new file once. A file is taken when
// two polls in a row found it with one size and modification time, unless its name begins
// with "." or "_" or ends in ".tmp", ".part" or ".crdownload": write under such a name and
// rename. A file that changes after it was read is not read again. Files are read one
// after the other: next comes one of the data center (or, where there is none, the glob)
// whose event time is furthest behind, and of these the oldest by modification time, then
// by path. Batches carry the source's watermark, and as their timestamp their earliest
// event time, but never one before the watermark: a late batch is told by its records'
// times against RawBatch.Watermark. The watermark of a data center is min(newest event
// time, file time, now) − Skew; that of the source is the least of them, within the limits
// of [MaxHold] and [IdleTimeout]. Files that wait to be read hold it back without limit:
// that is our delay and not theirs.
func Read(s beam.Scope, globs []string, opts ...Option) (raw, failures, counts beam.PCollection) {
	s = s.Scope("filesource.Read")
	c, err := newConfig(opts)
	if err != nil {
		panic(fmt.Sprintf("filesource.Read: invalid option: %v", err))
	}
	if len(globs) == 0 {
		panic("filesource.Read: no globs")
	}
	for _, g := range globs {
		if err := checkGlob(g); err != nil {
			panic(fmt.Sprintf("filesource.Read: %v", err))
		}
	}
	impulse := beam.Impulse(s)
	if c.Watch > 0 {
		return beam.ParDo3(s, &watchFn{Config: *c, Globs: globs}, impulse)
	}
	files := beam.Reshuffle(s, beam.ParDo(s, &expandFn{Globs: globs}, impulse))
	r := ranges{Config: *c}
	if c.Batch {
		return beam.ParDo3(s, &readBatchFn{ranges: r}, files)
	}
	return beam.ParDo3(s, &readFn{ranges: r}, files)
}

// Check says whether each glob matches a file that is there now, and where [Format] declares
// a format, and [Header] no header, whether the first of its files looks like that and not
// like another one; as one error for all that is wrong. A launcher calls it before the job
// starts.
func Check(globs []string, opts ...Option) error {
	c, err := newConfig(opts)
	if err != nil {
		return fmt.Errorf("filesource: %w", err)
	}
	ctx := context.Background()
	var errs []error
	for _, g := range globs {
		files, err := expand(ctx, []string{g})
		if errs = append(errs, err); err == nil && c.Format != "" && c.Header == "" {
			errs = append(errs, c.checkFormat(ctx, files[0]))
		}
	}
	return errors.Join(errs...)
}

// checkFormat says whether a file looks like another format and not at all like the declared one. That it
// can't be read is for the read to say: it becomes a dead letter.
func (c *config) checkFormat(ctx context.Context, f file) error {
	p := &part{c: c, file: f}
	defer p.Close()
	b, err := p.begin(ctx)
	if err != nil {
		return nil
	}
	head := bytes.TrimPrefix(b.head, bom)
	if info, _ := flow.FormatNamed(c.Format); info.Detect == nil || info.Detect(head) > 0 {
		return nil
	}
	if other, err := flow.DetectFormat(head); err == nil {
		return fmt.Errorf("filesource: %q is not of format %s, it looks like %s", f.Path, c.Format, other)
	}
	return nil
}

func checkGlob(glob string) error {
	if glob == "" {
		return errors.New("an empty glob")
	}
	if _, err := filesystem.For(glob); err != nil {
		return err
	}
	_, err := filesystem.CompileGlob(glob)
	return err
}

func init() {
	beam.RegisterType(reflect.TypeFor[file]())
	beam.RegisterDoFn(&expandFn{})
	beam.RegisterDoFn(&readFn{})
	beam.RegisterDoFn(&readBatchFn{})
	register.Emitter1[file]()
	register.Emitter1[flow.RawBatch]()
	register.Emitter1[flow.FailureBatch]()
	register.Emitter1[flow.Count]()
}

// expandFn turns globs into files.
type expandFn struct{ Globs []string }

func (f *expandFn) ProcessElement(ctx context.Context, _ []byte, emit func(file)) error {
	files, err := expand(ctx, f.Globs)
	if err != nil {
		return err
	}
	for _, x := range files {
		emit(x)
	}
	return nil
}

// expand returns the files that match, each once, glob by glob in the order of paths.
func expand(ctx context.Context, globs []string) ([]file, error) {
	var out []file
	seen := map[string]bool{}
	for _, g := range globs {
		infos, err := glob(ctx, g)
		if err != nil {
			return nil, err
		}
		if len(infos) == 0 {
			return nil, fmt.Errorf("filesource: no file matches %q", g)
		}
		for _, in := range infos {
			if !seen[in.Path] {
				seen[in.Path] = true
				out = append(out, fileOf(in))
			}
		}
	}
	return out, nil
}

func glob(ctx context.Context, pattern string) ([]filesystem.Info, error) {
	fsys, err := filesystem.For(pattern)
	if err != nil {
		return nil, fmt.Errorf("filesource: %w", err)
	}
	infos, err := fsys.Glob(ctx, pattern)
	if err != nil {
		return nil, fmt.Errorf("filesource: %q: %w", pattern, err)
	}
	return infos, nil
}

func fileOf(in filesystem.Info) file {
	return file{Path: in.Path, Size: in.Size, ModTime: flow.TimeOf(in.ModTime), Generation: in.Generation}
}

// ranges is what both reading DoFns share. The restriction is a range of the file's bytes
// as stored. Of a compressed file, or one whose units are no lines, who has byte 0 reads it all and the other ranges are
// empty, so that no split loses or doubles a line.
type ranges struct {
	Config config

	tally
	records, bytes int64 // of this bundle
}

func (r *ranges) Setup() error { return r.Config.setup() }

func (r *ranges) CreateInitialRestriction(f file) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: f.Size}
}

// SplitRestriction opens the file, so that one which is compressed, has units that are no
// lines or can't be opened is not split to no use.
func (r *ranges) SplitRestriction(ctx context.Context, f file, rest offsetrange.Restriction) ([]offsetrange.Restriction, error) {
	if rest.End-rest.Start <= r.Config.SplitBytes {
		return []offsetrange.Restriction{rest}, nil
	}
	p, err := r.Config.openPart(ctx, f, 0, f.Size)
	if err != nil { // reading says what it is
		return []offsetrange.Restriction{rest}, nil
	}
	defer p.Close()
	if p.whole {
		return []offsetrange.Restriction{rest}, nil
	}
	return rest.SizedSplits(r.Config.SplitBytes), nil
}

func (r *ranges) RestrictionSize(_ file, rest offsetrange.Restriction) float64 { return rest.Size() }

func (r *ranges) CreateTracker(rest offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(rest))
}

func (r *ranges) StartBundle(_ context.Context, _ func(flow.RawBatch), _ func(flow.FailureBatch), _ func(flow.Count)) error {
	r.tally, r.records, r.bytes = tally{}, 0, 0
	return nil
}

func (r *ranges) FinishBundle(_ context.Context, _ func(flow.RawBatch), _ func(flow.FailureBatch), count func(flow.Count)) error {
	r.tally.emit(count)
	return nil
}

// tally counts one bundle.
type tally struct {
	files, stored, failed int64
	formats               map[[2]string]int64 // what Learners counted, by format and name
}

func (t *tally) learned(format string, l flow.Learner) {
	if t.formats == nil {
		t.formats = map[[2]string]int64{}
	}
	l.Counts(func(name string, n int64) { t.formats[[2]string{format, name}] += n })
}

func (t *tally) emit(count func(flow.Count)) {
	for _, k := range slices.SortedFunc(maps.Keys(t.formats), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		flow.EmitCount(count, k[0], k[1], t.formats[k])
	}
	flow.EmitCount(count, stage, "files", t.files)
	flow.EmitCount(count, stage, "bytes", t.stored)
	flow.EmitCount(count, stage, "read", t.failed)
}

func (r *ranges) full() bool { return r.records >= bundleRecords || r.bytes >= bundleBytes }

// readFn reads a range and ends the bundle early.
type readFn struct{ ranges }

func (f *readFn) ProcessElement(ctx context.Context, rt *sdf.LockRTracker, in file, emit func(flow.RawBatch), fail func(flow.FailureBatch), _ func(flow.Count)) (sdf.ProcessContinuation, error) {
	held := false
	pause := func() bool { held = inflight.Full(); return held || f.full() }
	done, err := f.read(ctx, rt, in, pause, emit, fail)
	switch {
	case err != nil || done:
		return sdf.StopProcessing(), err
	case held:
		return sdf.ResumeProcessingIn(inflight.Wait), nil
	}
	return sdf.ResumeProcessingIn(0), nil
}

// readBatchFn reads a range to its end.
type readBatchFn struct{ ranges }

func (f *readBatchFn) ProcessElement(ctx context.Context, rt *sdf.LockRTracker, in file, emit func(flow.RawBatch), fail func(flow.FailureBatch), _ func(flow.Count)) error {
	_, err := f.read(ctx, rt, in, func() bool { return false }, emit, fail)
	return err
}

// read emits a range's lines until its end, done, or until pause says so.
//
// What is claimed is the first byte of a batch's last line. If a split took that away, the
// batch is cut to the lines that are still ours; if the bundle ends after it, the rest of
// the range begins within that line, which is passed over as one that starts before.
func (r *ranges) read(ctx context.Context, rt *sdf.LockRTracker, f file, pause func() bool, emit func(flow.RawBatch), fail func(flow.FailureBatch)) (done bool, err error) {
	rest := func() offsetrange.Restriction { return rt.GetRestriction().(offsetrange.Restriction) }
	start := rest().Start
	if start == 0 && f.Size == 0 {
		r.files++
		return true, nil
	}
	if pause() {
		return false, nil
	}
	refuse := func(x *failure) {
		r.failed++
		fail(flow.FailureBatch{Failures: []flow.Failure{x.Failure}})
	}
	p, err := r.Config.openPart(ctx, f, start, rest().End)
	if bad := (*failure)(nil); errors.As(err, &bad) {
		// That no format fits is said once, by the first range.
		if start > 0 && bad.Reason == flow.ReasonFormat {
			rt.TryClaim(rest().End)
			return true, nil
		}
		if rt.TryClaim(start) {
			refuse(bad)
			rt.TryClaim(rest().End)
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer p.Close()
	if start == 0 {
		r.files++
	}
	if p.whole {
		return true, r.readWhole(rt, p, start, emit, refuse)
	}
	for {
		b, err := p.next()
		var bad *failure
		switch {
		case err == io.EOF:
			rt.TryClaim(rest().End)
		case errors.As(err, &bad):
			if rt.TryClaim(max(bad.Position.Offset.V, start)) {
				refuse(bad)
				rt.TryClaim(rest().End)
			}
		case err != nil:
			return false, err
		default:
			if rt.TryClaim(b.Records[len(b.Records)-1].Offset.V) {
				r.emit(b, emit)
				if !pause() {
					continue
				}
				r.stored += b.Records[len(b.Records)-1].Offset.V + 1 - start
				return false, nil
			}
			b.Records = before(b.Records, rest().End)
			r.emit(b, emit)
		}
		r.stored += rest().End - start
		return true, nil
	}
}

// before returns the records that begin before end.
func before(records []flow.Raw, end int64) []flow.Raw {
	for len(records) > 0 && records[len(records)-1].Offset.V >= end {
		records = records[:len(records)-1]
	}
	return records
}

// readWhole reads a compressed file, which can't be split or paused.
func (r *ranges) readWhole(rt *sdf.LockRTracker, p *part, start int64, emit func(flow.RawBatch), refuse func(*failure)) error {
	end := func() { rt.TryClaim(rt.GetRestriction().(offsetrange.Restriction).End) }
	if start > 0 {
		end()
		return nil
	}
	if !rt.TryClaim(int64(0)) {
		return nil
	}
	for {
		b, err := p.next()
		var bad *failure
		switch {
		case err == nil:
			r.emit(b, emit)
			continue
		case errors.As(err, &bad):
			refuse(bad)
		case err != io.EOF:
			return err
		}
		r.stored += p.src.n
		if p.learn != nil {
			r.learned(p.info.Name, p.learn)
		}
		end()
		return nil
	}
}

func (r *ranges) emit(b flow.RawBatch, emit func(flow.RawBatch)) {
	if len(b.Records) == 0 {
		return
	}
	bytes := size(&b)
	r.records += int64(len(b.Records))
	r.bytes += bytes
	inflight.Read(int64(len(b.Records)), bytes)
	emit(b)
}

func size(b *flow.RawBatch) (bytes int64) {
	for i := range b.Records {
		bytes += int64(len(b.Records[i].Data))
	}
	return bytes
}
