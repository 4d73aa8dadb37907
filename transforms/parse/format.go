package parse

//go:generate go run ../../internal/gen/formats

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/flowbeam/flowbeam/flow"
)

// Format is a stateless record format: each raw record is decoded on its own, with the
// header at most. A file of this package, or of the user's, adds one by [Register].
type Format struct {
	flow.FormatInfo
	// New makes a decoder for input with the given header, which is "" where none is
	// known. An error makes every record of that input a dead letter, with the reason that
	// flow.Reject gave or "format".
	New func(header string) (Decoder, error)
	// NewUnit is New of a format whose raw units hold several records each. One of the two
	// is set.
	NewUnit func(header string) (UnitDecoder, error)
}

// Decoder decodes the records of one format and header. One goroutine at a time uses it,
// so it may keep scratch memory; it must be a function of its input alone, because a
// retried bundle has to give the same records.
type Decoder interface {
	// Decode fills r from one raw record. data is immutable: strings of r may be parts of
	// it, and cost no allocation then. r holds what the source knows (position, received
	// time, data center, tenant, format's name) and is otherwise zero; what the record
	// itself says of these wins. Where Decode leaves r.ID zero, the id is the hash of all of
	// data but the white space at its ends.
	//
	// The error says which field is wrong and how. Its reason is that of flow.Reject, or
	// "syntax". What Decode left in r is then forgotten.
	Decode(data string, r *flow.Record) (Outcome, error)
}

// ErrNotPrepared is the error of a record for which something has to be asked first, by
// flow.FormatInfo's Prepare, such as a schema registry for its schema. It is no dead letter.
var ErrNotPrepared = errors.New("what the record needs to be read was not asked for yet")

// Outcome is what a raw record was, other than broken.
type Outcome int8

// The outcomes of Decode.
const (
	Parsed Outcome = iota // a flow record
	Gap                   // a row that says that there is no data: counted, no dead letter
	Skip                  // no record: a comment, a header, a blank line
)

var (
	formatMu sync.RWMutex
	formats  = map[string]Format{}
)

// Register makes a format known to [Records] and, through flow.RegisterFormat, to the
// sources. Call it in init. It panics where the name is taken, or unless one of New and
// NewUnit is set.
func Register(f Format) {
	if (f.New == nil) == (f.NewUnit == nil) {
		panic(fmt.Sprintf("parse.Register: format %q has no New and no NewUnit, or both", f.Name))
	}
	if f.New != nil {
		f.FormatInfo = withEnvelopes(f.FormatInfo)
	}
	flow.RegisterFormat(f.FormatInfo)
	formatMu.Lock()
	defer formatMu.Unlock()
	formats[f.Name] = f
}

func formatNamed(name string) (Format, bool) {
	formatMu.RLock()
	defer formatMu.RUnlock()
	f, ok := formats[name]
	return f, ok
}

// NewDecoder returns a decoder of a registered format, for a plain loop without a
// pipeline. It does not do what [Records] does around it: ids of formats that leave them
// to it, bounds, Community ID, dead letters. A format whose units hold several records has
// none.
func NewDecoder(format, header string) (Decoder, error) {
	f, ok := formatNamed(format)
	if !ok {
		return nil, fmt.Errorf("parse.NewDecoder: format %q is unknown; known are %s", format, strings.Join(flow.FormatNames(), ", "))
	}
	if f.New == nil {
		return nil, fmt.Errorf("parse.NewDecoder: a raw unit of format %q holds several records", format)
	}
	return f.New(header)
}
