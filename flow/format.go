package flow

import (
	"fmt"
	"slices"
	"strings"
	"sync"
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
	// Begins says whether a line is the first one of a record, in formats whose records span
	// lines. A record then goes on to the line before the next one that begins a record, and
	// what stands before the first is one record of its own. line has no line end; of one longer
	// than 1 KiB it may be the start alone. nil: each line is a record.
	Begins func(line []byte) bool
	// Timestamp reads a raw record's event time cheaply, without parsing the rest: a
	// streaming source makes its watermark of it. ok is false where there is none.
	Timestamp func(header string, data []byte) (t Time, ok bool)
}

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
