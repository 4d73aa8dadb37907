// Package parse decodes raw records into flow records.
//
// Each format is one file that calls [Register]; the package's README shows how to add one.
package parse

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
)

// Option changes how [Records] parses.
type Option func(*options) error

type options struct {
	maxBytes     int
	steps        []flow.Step
	keepOriginal bool
	revision     int64
	communityID  bool
	bare         bool
}

const (
	defaultMaxBytes = 1 << 20
	// oversizePrefix is how much of a record beyond MaxBytes its dead letter keeps.
	oversizePrefix = 4 << 10
)

// MaxBytes sets the length, in bytes, beyond which a raw record becomes a dead letter with
// reason "oversize", a prefix and a hash. Default: 1 MiB.
func MaxBytes(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return fmt.Errorf("MaxBytes(%d): want at least 1", n)
		}
		o.maxBytes = n
		return nil
	}
}

// Then runs Steps on each record right after it was decoded, while its original bytes are
// at hand: the dead letter of a record that a Step refuses holds these, with the Step's
// name as its stage. Bounds on event time belong here. Default: none.
func Then(steps ...flow.Step) Option {
	return func(o *options) error {
		o.steps = append(o.steps, steps...)
		return nil
	}
}

// KeepOriginal keeps each raw record in Record.Original, one that is no UTF-8 as "base64:" and its
// bytes in base64. Default: false.
func KeepOriginal(keep bool) Option {
	return func(o *options) error {
		o.keepOriginal = keep
		return nil
	}
}

// Revision stamps records with the run's revision; a record that is read back with a
// higher one keeps that. Default: 0.
func Revision(n int64) Option {
	return func(o *options) error {
		if n < 0 {
			return fmt.Errorf("Revision(%d): want 0 or more", n)
		}
		o.revision = n
		return nil
	}
}

// CommunityID says whether records whose 5-tuple allows it get their Community ID v1,
// where the source gave none. Default: true.
func CommunityID(on bool) Option {
	return func(o *options) error {
		o.communityID = on
		return nil
	}
}

// Envelopes says whether a record that can't be read is tried once more as the line that a shipper
// put an envelope around. Default: true.
func Envelopes(on bool) Option {
	return func(o *options) error {
		o.bare = !on
		return nil
	}
}

// Records parses a PCollection<flow.RawBatch> into records, PCollection<flow.Batch>, and
// dead letters, PCollection<flow.FailureBatch>. A batch keeps its order and its watermark.
// Its format is the one that its origin names, or the one detected from its header and
// first record.
//
// counts is a PCollection<flow.Count>: parse/read (raw records that are no comment or
// blank line), parse/skipped (those that are), parse/gaps (no-data rows), parse/failed (dead
// letters) and parse/filtered (dropped by a Step of [Then]); read less the last three were
// emitted.
//
// A retried bundle gives the same output. The errors that fail a bundle are those of a Step's
// setup, and of what has to be asked to read records at all, such as a schema registry that can't be
// reached (flow.FormatInfo's Prepare). A wrong option panics.
func Records(s beam.Scope, raw beam.PCollection, opts ...Option) (batches, failures, counts beam.PCollection) {
	s = s.Scope("parse.Records")
	o := defaultOptions()
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			panic(fmt.Sprintf("parse.Records: %v", err))
		}
	}
	return beam.ParDo3(s, newParseFn(&o), raw)
}

func defaultOptions() options { return options{maxBytes: defaultMaxBytes, communityID: true} }

func newParseFn(o *options) *parseFn {
	return &parseFn{
		MaxBytes: o.maxBytes, Steps: flow.EncodeSteps(o.steps), KeepOriginal: o.keepOriginal,
		Revision: o.revision, CommunityID: o.communityID, Bare: o.bare,
	}
}

func init() {
	beam.RegisterDoFn(&parseFn{})
	register.Emitter1[flow.Batch]()
	register.Emitter1[flow.FailureBatch]()
	register.Emitter1[flow.Count]()
}

type parseFn struct {
	MaxBytes     int
	Steps        []flow.StepSpec
	KeepOriginal bool
	Revision     int64
	CommunityID  bool
	Bare         bool // envelopes are not opened

	steps    *flow.Steps
	decoders map[decoderKey]decoders
	envelope unwrapper
	units    Unit
	// unitRecords is how many records the last batch of units had: about as many as the next.
	unitRecords int
	n           tally
	unprepared  error // of a record that can't be judged yet
}

type decoderKey struct{ format, header string }

// decoders has the one of the two that the format has.
type decoders struct {
	one  Decoder
	unit UnitDecoder
}

// maxDecoders bounds the cache of decoders: a stream of files may bring ever new headers.
const maxDecoders = 64

type tally struct{ read, skipped, gaps, failed, filtered int64 }

func (f *parseFn) Setup(ctx context.Context) (err error) {
	f.steps, err = flow.SetupSteps(ctx, f.Steps)
	return err
}

func (f *parseFn) StartBundle(ctx context.Context, _ func(flow.Batch), _ func(flow.FailureBatch), _ func(flow.Count)) error {
	f.n, f.unprepared = tally{}, nil
	return f.steps.StartBundle(ctx)
}

func (f *parseFn) ProcessElement(ctx context.Context, in flow.RawBatch, emit func(flow.Batch), fail func(flow.FailureBatch), _ func(flow.Count)) error {
	if err := prepare(ctx, &in); err != nil {
		return err
	}
	out, bad := f.parse(&in)
	if f.unprepared != nil {
		return fmt.Errorf("parse: %w", f.unprepared)
	}
	if len(out.Records) > 0 {
		emit(out)
	}
	if len(bad) > 0 {
		fail(flow.FailureBatch{Failures: bad})
	}
	return nil
}

func (f *parseFn) FinishBundle(ctx context.Context, _ func(flow.Batch), _ func(flow.FailureBatch), emit func(flow.Count)) error {
	flow.EmitCount(emit, "parse", "read", f.n.read)
	flow.EmitCount(emit, "parse", "skipped", f.n.skipped)
	flow.EmitCount(emit, "parse", "gaps", f.n.gaps)
	flow.EmitCount(emit, "parse", "failed", f.n.failed)
	flow.EmitCount(emit, "parse", "filtered", f.n.filtered)
	return f.steps.FinishBundle(ctx)
}

// prepare asks the format of a batch, which it names where it is to be detected, for what its
// records need.
func prepare(ctx context.Context, in *flow.RawBatch) error {
	if in.Origin.Format == "" {
		if name, err := detect(in); err == nil {
			in.Origin.Format = name
		}
	}
	info, ok := flow.FormatNamed(in.Origin.Format)
	if !ok || info.Prepare == nil {
		return nil
	}
	if err := info.Prepare(ctx, in.Origin.Header, in.Records); err != nil {
		return fmt.Errorf("parse: %s: %w", in.Origin.Format, err)
	}
	return nil
}

// parse decodes one batch into a new one and the dead letters.
func (f *parseFn) parse(in *flow.RawBatch) (flow.Batch, []flow.Failure) {
	out := flow.Batch{Watermark: in.Watermark}
	var bad []flow.Failure
	format, dec, formatErr := f.decoder(in)
	// Records of units: as many as their capacity last was, which spares copying them.
	f.units.hold(nil)
	switch {
	case dec.unit != nil:
		f.units.hold(make([]flow.Record, 0, max(len(in.Records), f.unitRecords)))
	case dec.one != nil:
		out.Records = make([]flow.Record, len(in.Records))
	}
	all := joined(in.Records)
	n := 0
	for i := range in.Records {
		raw := &in.Records[i]
		data := all[:len(raw.Data)]
		all = all[len(raw.Data):]
		refusePart := func(at flow.Position, part, stage string, reason flow.Reason, err error) {
			f.n.failed++
			bad = append(bad, failure(in, i, at, format, part, stage, reason, err))
		}
		refuse := func(stage string, reason flow.Reason, err error) {
			refusePart(in.Position(i), data, stage, reason, err)
		}
		if raw.Oversize || len(data) > f.MaxBytes {
			f.n.read++
			size := max(raw.Size, int64(len(data)))
			refuse("parse", flow.ReasonOversize, fmt.Errorf("%d bytes: longer than the cap", size))
			oversize(&bad[len(bad)-1], raw)
			continue
		}
		if formatErr != nil {
			if trim(data) == "" {
				f.n.skipped++
				continue
			}
			f.n.read++
			refuse("parse", flow.ReasonOf(formatErr, flow.ReasonFormat), formatErr)
			continue
		}
		if dec.unit != nil {
			f.units.begin(format, in, i)
			if err := f.decodeUnit(dec.unit, data, &f.units, refusePart); err != nil {
				f.n.read++
				reason, err := wrongFormat(raw.Data, format, err)
				refuse("parse", reason, err)
			}
			continue
		}
		r := &out.Records[n]
		stamp(r, format, &in.Origin, raw, in.Position(i))
		outcome, err := dec.one.Decode(data, r)
		if errors.Is(err, ErrNotPrepared) {
			f.unprepared = err
			return flow.Batch{}, nil
		}
		text := data
		if err != nil && !f.Bare {
			var bare flow.Record
			stamp(&bare, format, &in.Origin, raw, in.Position(i))
			outcome, text, err = f.decodeInside(dec.one, data, r, bare, err)
		}
		if err == nil && outcome == Skip {
			f.n.skipped++
			*r = flow.Record{}
			continue
		}
		f.n.read++
		if err == nil && outcome == Gap {
			f.n.gaps++
			*r = flow.Record{}
			continue
		}
		if err == nil && r.EventTime == 0 {
			err = flow.Reject(flow.ReasonField, "no event time")
		}
		if err != nil {
			reason, err := wrongFormat(raw.Data, format, err)
			refuse("parse", reason, err)
			*r = flow.Record{}
			continue
		}
		if r.ID.IsZero() {
			r.ID = flow.NewIDText(format, trim(text))
		}
		if keep, stage, err := f.complete(r, data); !keep {
			if err != nil {
				refuse(stage, flow.ReasonOf(err, flow.ReasonStep), err)
			} else {
				f.n.filtered++
			}
			*r = flow.Record{}
			continue
		}
		n++
	}
	if dec.unit != nil {
		out.Records, f.unitRecords = f.units.records, len(f.units.records)
		f.units.hold(nil)
		return out, bad
	}
	out.Records = out.Records[:n]
	return out, bad
}

// stamp says of a record what the source knows of it.
func stamp(r *flow.Record, format string, origin *flow.Origin, raw *flow.Raw, at flow.Position) {
	r.Format, r.Position, r.Received = format, at, raw.Time
	r.DataCenter, r.Tenant = origin.DataCenter, origin.Tenant
	if raw.DataCenter != "" {
		r.DataCenter = raw.DataCenter
	}
}

// complete adds what every record gets and runs the Steps: data is its raw text.
func (f *parseFn) complete(r *flow.Record, data string) (keep bool, stage string, err error) {
	r.Revision = max(r.Revision, f.Revision)
	if f.CommunityID {
		r.SetCommunityID()
	}
	if f.KeepOriginal && r.Original == "" {
		r.Original = original(data)
	}
	return f.steps.Process(r)
}

// base64Prefix begins the original of a record whose format is no text.
const base64Prefix = "base64:"

func original(data string) string {
	if utf8.ValidString(data) {
		return data
	}
	return base64Prefix + base64.StdEncoding.EncodeToString([]byte(data))
}

// wrongFormat is the reason of a decoder's error, and the error with the name of the format
// that data looks like, if that is another one.
func wrongFormat(data []byte, format string, err error) (flow.Reason, error) {
	if other := looksLike(data, format); other != "" {
		return flow.ReasonFormat, fmt.Errorf("not of format %s, it looks like %s: %w", format, other, err)
	}
	return flow.ReasonOf(err, flow.ReasonSyntax), err
}

// decoder returns the batch's format and a decoder for it. The error, if any, is that of
// every record of the batch.
func (f *parseFn) decoder(in *flow.RawBatch) (format string, dec decoders, err error) {
	format = in.Origin.Format
	if format == "" {
		if format, err = detect(in); err != nil {
			return "", dec, flow.Reject(flow.ReasonFormat, "%w", err)
		}
	}
	key := decoderKey{format, in.Origin.Header}
	if dec, ok := f.decoders[key]; ok {
		return format, dec, nil
	}
	known, ok := formatNamed(format)
	if !ok {
		return format, decoders{}, flow.Reject(flow.ReasonFormat, "format %q is unknown: declare one of %s", format, strings.Join(flow.FormatNames(), ", "))
	}
	if known.New != nil {
		dec.one, err = known.New(in.Origin.Header)
	} else {
		dec.unit, err = known.NewUnit(in.Origin.Header)
	}
	if err != nil {
		reason := flow.ReasonOf(err, flow.ReasonFormat)
		if other := looksLikeHead(in, format); other != "" {
			err = fmt.Errorf("not of format %s, it looks like %s: %w", format, other, err)
		}
		return format, decoders{}, &flow.RejectError{Reason: reason, Err: err}
	}
	if f.decoders == nil || len(f.decoders) >= maxDecoders {
		f.decoders = make(map[decoderKey]decoders)
	}
	f.decoders[key] = dec
	return format, dec, nil
}

// detect finds the format by the header, where there is one that tells, or by the first
// record.
func detect(in *flow.RawBatch) (string, error) {
	if in.Origin.Header != "" {
		if name, err := flow.DetectFormat([]byte(in.Origin.Header)); err == nil {
			return name, nil
		}
	}
	for i := range in.Records {
		if trim(view(in.Records[i].Data)) != "" {
			return flow.DetectFormat(in.Records[i].Data)
		}
	}
	return flow.DetectFormat(nil)
}

// looksLike names the format that data is of, where that is another than the one tried.
// It judges each record alone, because a dead letter must not depend on what else was in
// the batch.
func looksLike(data []byte, tried string) string {
	name, err := flow.DetectFormat(data)
	if err != nil || name == tried {
		return ""
	}
	return name
}

func looksLikeHead(in *flow.RawBatch, tried string) string {
	head := *in
	if in.Origin.Header != "" {
		head.Records = nil
	}
	name, err := detect(&head)
	if err != nil || name == tried {
		return ""
	}
	return name
}

// joined copies all records of a batch into one string: one conversion a batch, after
// which the text fields of records are parts of it.
func joined(records []flow.Raw) string {
	n := 0
	for i := range records {
		n += len(records[i].Data)
	}
	var b strings.Builder
	b.Grow(n)
	for i := range records {
		b.Write(records[i].Data)
	}
	return b.String()
}

// failure makes the dead letter of one raw record, or of a part of it. Its data is a copy, which does not
// keep the whole batch in memory.
func failure(in *flow.RawBatch, i int, at flow.Position, format, data, stage string, reason flow.Reason, err error) flow.Failure {
	raw := &in.Records[i]
	f := flow.Failure{
		Stage: stage, Reason: reason, Error: flow.ErrorText(err), Data: strings.Clone(data), Size: int64(len(data)),
		Format: format, Header: in.Origin.Header, Position: at, SourceTime: raw.Time,
		DataCenter: in.Origin.DataCenter, Tenant: in.Origin.Tenant, Version: flow.Version,
	}
	if raw.DataCenter != "" {
		f.DataCenter = raw.DataCenter
	}
	return f
}

// oversize completes the dead letter of a record beyond the cap: what the source cut is
// described by the source, what is whole is cut and hashed here.
func oversize(f *flow.Failure, raw *flow.Raw) {
	f.Truncated = true
	if raw.Oversize {
		f.Size, f.SHA256 = raw.Size, raw.SHA256
		return
	}
	sum := sha256.Sum256(raw.Data)
	f.SHA256 = hex.EncodeToString(sum[:])
	f.Data = strings.Clone(f.Data[:min(len(f.Data), oversizePrefix)])
	f.Truncated = len(f.Data) < len(raw.Data)
}
