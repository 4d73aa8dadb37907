package flow

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// FormatInfo is what a source must know of a stateless record format to cut a file or
// topic into raw records; the decoder itself is in transforms/parse. A format registers
// it in init, so that sources need not know formats by name.
type FormatInfo struct {
	Name string
	// Detect says how sure it is, 0 (no) to 100, that input which begins with head (the
	// first 64 KiB of a file, or one message) is of this format.
	Detect func(head []byte) int
	// Header returns how many of head's first bytes are header: lines that say how to read
	// the rest and are no records themselves. nil: the format has none.
	Header func(head []byte) int
	// Split returns what finds the raw units of a file of this format that begins with head
	// (after its header), where they are no lines; nil where they are. nil: they always are.
	// A file with a Splitter is read as a whole, by one worker.
	Split func(head []byte) Splitter
	// Learn, in formats in which one raw unit says how to read later ones, returns what makes each
	// of them readable alone. The source shows it the units of a file in their order; header is
	// the file's, which the units that it gives no longer need. nil: they are readable alone.
	// What has a Learner has a Splitter.
	Learn func(header string) (Learner, error)
	// Follow, in formats that have a Learner, returns what makes the messages of one partition of a topic
	// readable alone. What it knows is a function of the messages of the last rewind: a source that
	// begins somewhere shows it those, and drops what it gives of them. nil: they are readable alone.
	Follow func(rewind time.Duration) Follower
	// Open opens a file that begins with head and is a container (Parquet, Avro) from which
	// records have to be taken; nil where this one is none. Records are then numbered: their
	// offset is their number. An error is that of a broken file. nil: none ever is.
	Open func(head []byte, r io.ReaderAt, size int64) (Container, error)
	// Prepare makes that records of a header can be read, where something is needed that is neither
	// in them nor in the header, such as a schema that a registry has. Whoever calls Timestamp, or
	// decodes, calls it first, once for a batch: it is cheap where nothing is new. An error is of
	// the world and no record's fault: the bundle fails, and the runner tries it again. nil: nothing
	// is ever needed.
	Prepare func(ctx context.Context, header string, records []Raw) error
	// Timestamp reads a raw record's event time cheaply, without parsing the rest: a
	// streaming source makes its watermark of it. ok is false where there is none. Of a unit
	// of several records it is the earliest.
	Timestamp func(header string, data []byte) (t Time, ok bool)
}

// Prepared calls Prepare, if the format has it.
func (f *FormatInfo) Prepared(ctx context.Context, header string, records ...Raw) error {
	if f.Prepare == nil || len(records) == 0 {
		return nil
	}
	return f.Prepare(ctx, header, records)
}

// Container gives the records of one file that is not a row of bytes.
type Container interface {
	// Header says how to read the records, as that of a text file does.
	Header() string
	// Next returns the next record in a form that the format reads, valid until the next call.
	// At the end the error is io.EOF; on any other the rest of the file is given up.
	Next() ([]byte, error)
}

// Splitter finds raw units in the stream of one file. It sees each byte once, in order,
// however the stream is cut, and keeps none of them: a unit may be longer than any memory.
type Splitter interface {
	// Scan goes on with b, the bytes after those it saw, and says where it stopped: b[:n] is
	// seen.
	Scan(b []byte) (n int, at SplitEvent)
}

// Learner makes raw units readable alone, such as datagrams, by the templates that came before. It
// is a function of the units that it saw: a retried bundle shows them again.
type Learner interface {
	// Next takes a unit, whose Data it does not keep, and gives what is to be parsed: mostly one,
	// none of a unit that only says how to read others, and late those which had to wait.
	Next(unit Raw, emit func(Raw))
	// End gives what still waits.
	End(emit func(Raw))
	// Counts tells what was seen since it was asked last.
	Counts(tell func(name string, n int64))
}

// Follower makes messages readable alone by those that came before in their partition.
type Follower interface {
	// Alone says whether a message needs nothing of those before it, and is none that others need.
	Alone(message Raw) bool
	// Next takes a message and gives what is to be parsed: mostly one, none of a message that waits
	// for another, and late those which had to wait. It keeps none of the message's Data, of which
	// what it gives may be a part. from is who sent it, where that is known.
	Next(message Raw, from netip.Addr, emit func(Raw))
	// Until gives what has waited for too long at a time.
	Until(now Time, emit func(Raw))
	// End gives what still waits.
	End(emit func(Raw))
	// Counts tells what was seen since it was asked last.
	Counts(tell func(name string, n int64))
}

// SplitEvent says why a Splitter stopped.
type SplitEvent int8

// The events.
const (
	SplitMore  SplitEvent = iota // all of b was seen: more is needed
	SplitBegin                   // the next byte is the first of a unit; what was before is none
	SplitEnd                     // the last byte seen was the last of a unit
)

var (
	formatMu sync.RWMutex
	formats  = map[string]FormatInfo{}
)

// RegisterFormat makes a format known by its name. It panics on a name taken.
func RegisterFormat(f FormatInfo) {
	formatMu.Lock()
	defer formatMu.Unlock()
	if _, ok := formats[f.Name]; ok || f.Name == "" {
		panic(fmt.Sprintf("flow.RegisterFormat: the name %q is taken or empty", f.Name))
	}
	formats[f.Name] = f
}

// FormatNamed finds a registered format.
func FormatNamed(name string) (FormatInfo, bool) {
	formatMu.RLock()
	defer formatMu.RUnlock()
	f, ok := formats[name]
	return f, ok
}

// FormatNames lists the registered formats.
func FormatNames() []string {
	formatMu.RLock()
	defer formatMu.RUnlock()
	var names []string
	for n := range formats {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// DetectFormat returns the name of the format that is surest of head, or an error that
// lists the formats there are.
func DetectFormat(head []byte) (string, error) {
	best, name := 0, ""
	for _, n := range FormatNames() {
		f, _ := FormatNamed(n)
		if f.Detect == nil {
			continue
		}
		if score := f.Detect(head); score > best {
			best, name = score, n
		}
	}
	if name == "" {
		return "", fmt.Errorf("no format fits the input's first bytes: declare one of %s", strings.Join(FormatNames(), ", "))
	}
	return name, nil
}
