package flow

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Reason is the typed cause of a dead letter: what a person or a program groups by.
type Reason string

// The reasons that flowbeam's own transforms give. A Step may give its own.
const (
	ReasonSyntax    Reason = "syntax"     // not the format's grammar: cut line, broken JSON
	ReasonField     Reason = "field"      // a field is missing or does not have its type
	ReasonValue     Reason = "value"      // a field's value is impossible: port 70000, end before start
	ReasonTimeRange Reason = "time_range" // event time outside of the bounds
	ReasonOversize  Reason = "oversize"   // longer than the cap: kept with a prefix and a hash
	ReasonEncoding  Reason = "encoding"   // not UTF-8 where the format asks for it
	ReasonFormat    Reason = "format"     // no format fits, or not the declared one
	ReasonSchema    Reason = "schema"     // the schema it was written with is not known, or can't be used
	ReasonCorrupt   Reason = "corrupt"    // the container is broken: bad gzip, cut Avro file
	ReasonBomb      Reason = "bomb"       // decompresses beyond the cap
	ReasonStep      Reason = "step"       // a Step failed
	ReasonRejected  Reason = "rejected"   // a store refused it
	ReasonExpired   Reason = "expired"    // deleted at the source before it was read: it stands for a range
)

// Failure is one record that could not be used: a dead letter. It never stops the job.
type Failure struct {
	Stage      string // parse, or the Step's or sink's name
	Reason     Reason
	Error      string
	Data       string // the original bytes, or their first part where Truncated
	Truncated  bool
	Size       int64  // of the original in bytes
	SHA256     string // of the original, where Truncated
	Format     string // the format that was tried; "flowbeam" = Data is a record as JSON
	Header     string // as Origin.Header: a replay needs it
	Position   Position
	SourceTime Time
	DataCenter string
	Tenant     string
	Version    string // of flowbeam
}

// FailureBatch is the element of a PCollection<flow.FailureBatch>.
type FailureBatch struct {
	Failures []Failure
}

// Version is flowbeam's version. Dead letters carry it, so that a fix can be told from
// what came before it.
const Version = "0.1.0-dev"

// ID keys a dead letter by its position, so that a replay of the source doubles none,
// with stage and reason, so that a record that fails anew for another reason is kept.
func (f *Failure) ID() ID {
	var e encoder
	e.position(&f.Position)
	if f.Position == (Position{}) {
		e.str(f.Data)
	}
	return NewID("dead_letter", e.b, []byte(f.Stage), []byte(f.Reason))
}

// RejectError is an error with a typed reason: a Step returns it through [Reject].
type RejectError struct {
	Reason Reason
	Err    error
}

func (e *RejectError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RejectError) Unwrap() error { return e.Err }

// Reject returns an error that makes a record a dead letter for the given reason.
func Reject(reason Reason, format string, args ...any) error {
	return &RejectError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// maxErrorText bounds what a dead letter says of its error: a parser may quote its input.
const maxErrorText = 512

// ErrorText is err's text for a dead letter: valid UTF-8, one line, bounded.
func ErrorText(err error) string {
	s := strings.ToValidUTF8(err.Error(), "\ufffd")
	s = strings.ReplaceAll(s, "\n", " ")
	if len(s) > maxErrorText {
		cut := maxErrorText
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}

// Failures is the table of dead letters. Columns are named as in [Records] where they
// mean the same.
var Failures = Table[Failure]{Name: "dead_letters", Columns: []Column[Failure]{
	{Num: 1, Name: "dead_letter_id", Kind: KindID, Required: true, ECS: "event.id", Doc: "Hash of position, stage and reason.", Derive: func(f *Failure) Value { return Value{Kind: KindID, Str: f.ID().String()} }},
	{Num: 2, Name: "source_time", Kind: KindTime, ECS: "@timestamp", Doc: "Append, publish or file time: the record's own time is not to be trusted.", Ref: func(f *Failure) any { return &f.SourceTime }},
	{Num: 3, Name: "stage", Kind: KindString, Required: true, ECS: "flowbeam.stage", Doc: "Where it failed.", Ref: func(f *Failure) any { return &f.Stage }},
	{Num: 4, Name: "reason", Kind: KindString, Required: true, ECS: "error.type", Doc: "Typed cause.", Ref: func(f *Failure) any { return (*string)(&f.Reason) }},
	{Num: 5, Name: "error", Kind: KindString, ECS: "error.message", Doc: "What was wrong.", Ref: func(f *Failure) any { return &f.Error }},
	{Num: 6, Name: "format", Kind: KindString, ECS: "event.module", Doc: "The format that was tried; flowbeam = data is a record as JSON.", Ref: func(f *Failure) any { return &f.Format }},
	{Num: 7, Name: "header", Kind: KindString, ECS: "flowbeam.header", Doc: "The file's header lines, which a replay needs.", Ref: func(f *Failure) any { return &f.Header }},
	{Num: 8, Name: "position_source", Kind: KindString, ECS: "log.file.path", Doc: "File, topic or subscription.", Ref: func(f *Failure) any { return &f.Position.Source }},
	{Num: 9, Name: "position_partition", Kind: KindInt, ECS: "flowbeam.position.partition", Doc: "Partition.", Ref: func(f *Failure) any { return &f.Position.Partition }},
	{Num: 10, Name: "position_offset", Kind: KindInt, ECS: "log.offset", Doc: "Byte offset in the decompressed file, or offset in the partition.", Ref: func(f *Failure) any { return &f.Position.Offset }},
	{Num: 11, Name: "position_index", Kind: KindInt, ECS: "flowbeam.position.index", Doc: "Index in a raw unit.", Ref: func(f *Failure) any { return &f.Position.Index }},
	{Num: 12, Name: "position_key", Kind: KindString, ECS: "flowbeam.position.key", Doc: "Message id.", Ref: func(f *Failure) any { return &f.Position.Key }},
	{Num: 13, Name: "data_center", Kind: KindString, ECS: "observer.geo.name", Doc: "Data center.", Ref: func(f *Failure) any { return &f.DataCenter }},
	{Num: 14, Name: "tenant", Kind: KindString, ECS: "organization.id", Doc: "Tenant.", Ref: func(f *Failure) any { return &f.Tenant }},
	{Num: 15, Name: "flowbeam_version", Kind: KindString, ECS: "flowbeam.version", Doc: "Version that gave up on it.", Ref: func(f *Failure) any { return &f.Version }},
	{Num: 16, Name: "size", Kind: KindInt, Required: true, Unit: "bytes", ECS: "flowbeam.size", Doc: "Length of the original.", Ref: func(f *Failure) any { return &f.Size }},
	{Num: 17, Name: "truncated", Kind: KindBool, Required: true, ECS: "flowbeam.truncated", Doc: "Data is only the first part.", Ref: func(f *Failure) any { return &f.Truncated }},
	{Num: 18, Name: "sha256", Kind: KindString, ECS: "flowbeam.sha256", Doc: "Hash of the original, where truncated.", Ref: func(f *Failure) any { return &f.SHA256 }},
	{Num: 19, Name: "data", Kind: KindString, ECS: "event.original", Doc: "The original, where it is UTF-8.", Derive: func(f *Failure) Value {
		if f.Data != "" && utf8.ValidString(f.Data) {
			return StringValue(f.Data)
		}
		return Value{}
	}},
	{Num: 20, Name: "data_base64", Kind: KindString, ECS: "flowbeam.data_base64", Doc: "The original in base64, where it is not UTF-8.", Derive: func(f *Failure) Value {
		if utf8.ValidString(f.Data) {
			return Value{}
		}
		return StringValue(base64Text(f.Data))
	}},
}}
