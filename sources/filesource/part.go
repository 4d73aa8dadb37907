package filesource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem"
)

// headBytes is how much of a file's start, decompressed, detection and headers see.
const headBytes = 64 << 10

// file is one matched file: the element that the reading DoFn splits.
type file struct {
	Path    string
	Size    int64
	ModTime flow.Time
	// Generation is that of the object when it was matched; zero on local disks.
	Generation int64
}

// part reads the lines of one part of a file as batches.
type part struct {
	c      *config
	file   file
	origin flow.Origin
	info   flow.FormatInfo
	cut    lineCutter
	end    int64        // lines that start here or after are another part's
	learn  flow.Learner // nil: units are readable alone
	ended  bool         // all of them were shown to it
	whole  bool         // compressed, or of units that a Splitter finds: one part is the whole file
	src    *sourceReader
	at     *readerAt // of a container
	close  []func()

	failed   *flow.Failure // found, and returned after the records before it
	starts   []int         // of a batch's records in their array
	bytesCap int           // of a batch, so that its array is made once
}

// failure is the error of a part that can't be read, or not to its end, whatever one
// tries. It becomes a dead letter. All other errors are worth a retry.
type failure struct{ flow.Failure }

func (f *failure) Error() string { return f.Failure.Error }

// openPart opens the part [start, end) of a file, end being in terms of the stored bytes.
// Of a compressed file, or one whose units are no lines, the part is the whole, and what is before start, in decompressed
// bytes, are passed over. The error is a *failure where trying again can't help.
func (c *config) openPart(ctx context.Context, f file, start, end int64) (*part, error) {
	p := &part{c: c, file: f, end: end, origin: flow.Origin{
		Source: f.Path, Format: c.Format, Header: c.Header, DataCenter: c.dataCenterOf(f.Path), Tenant: c.Tenant,
	}}
	if err := p.open(ctx, start); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// begun is a file of which the first bytes were read.
type begun struct {
	head   []byte
	err    error // what ended them
	stream io.Reader
	how    compression
}

// begin opens the file, and what it is compressed with, and reads its first bytes.
func (p *part) begin(ctx context.Context) (b begun, err error) {
	stored, err := p.source(ctx, 0)
	if err != nil {
		return b, err
	}
	b.head, b.err = readHead(stored, make([]byte, 0, headBytes), magicBytes)
	b.how = sniff(b.head)
	b.stream = &headReader{head: b.head, err: b.err, rest: stored}
	if b.how != plain {
		p.whole, p.end = true, math.MaxInt64
		z, done, err := p.c.decompressor(b.how, b.stream)
		if err != nil {
			return b, p.fail(err, 0, b.head)
		}
		p.close = append(p.close, done)
		b.stream, b.head = z, make([]byte, 0, headBytes)
	}
	if b.how != plain || b.err == nil {
		b.head, b.err = readHead(b.stream, b.head[:0], headBytes)
	}
	if b.err != nil && b.err != io.EOF && len(b.head) == 0 {
		return b, p.fail(b.err, 0, b.head)
	}
	return b, nil
}

func (p *part) open(ctx context.Context, start int64) error {
	b, err := p.begin(ctx)
	if err != nil {
		return err
	}
	head := b.head
	body, err := p.readHeader(head, b.err)
	if err != nil {
		return err
	}
	if b.how == plain && p.info.Open != nil {
		if err := p.container(ctx, head); err != nil {
			return err
		}
		if p.cut.rows != nil {
			return p.skipTo(start)
		}
	}
	var split flow.Splitter
	if p.info.Learn != nil {
		if p.learn, err = p.info.Learn(p.origin.Header); err != nil {
			return p.failAs(flow.ReasonOf(err, flow.ReasonFormat), err, 0, head, p.file.Size)
		}
		p.origin.Header = ""
	}
	if p.info.Split != nil {
		if split = p.info.Split(head[body:]); split != nil {
			p.whole, p.end = true, math.MaxInt64
		}
	}
	switch {
	case start <= body:
		p.cut = lineCutter{r: b.stream, max: p.c.MaxLine, buf: head, lo: int(body), hi: len(head), off: body, err: b.err, split: split}
	case p.whole:
		p.cut = lineCutter{r: b.stream, max: p.c.MaxLine, buf: head, lo: int(body), hi: len(head), off: body, err: b.err, split: split}
		return p.skipTo(start)
	default:
		p.Close()
		p.close = nil
		// The line that starts before start is another part's, so this part begins after
		// the first line end from start-1 on: at start itself if a line ends right there.
		stored, err := p.source(ctx, start-1)
		if err != nil {
			return err
		}
		p.cut = lineCutter{r: stored, max: p.c.MaxLine, off: start - 1}
		if err := p.cut.skip(); err != nil {
			return p.fail(err, start, nil)
		}
	}
	return nil
}

// source opens the file as it is stored.
func (p *part) source(ctx context.Context, offset int64) (io.Reader, error) {
	fsys, err := filesystem.For(p.file.Path)
	if err != nil {
		return nil, err
	}
	r, err := fsys.Open(ctx, p.file.Path, offset)
	if err != nil {
		return nil, p.fail(&sourceError{err}, offset, nil)
	}
	p.close = append(p.close, func() { r.Close() })
	if g, ok := r.(interface{ Generation() int64 }); ok && p.file.Generation != 0 && g.Generation() != p.file.Generation {
		return nil, p.fail(errReplaced, offset, nil) // another part may have read the old one
	}
	p.src = &sourceReader{r: r, left: p.file.Size - offset}
	return p.src, nil
}

// Close closes the file.
func (p *part) Close() {
	for i := len(p.close) - 1; i >= 0; i-- {
		p.close[i]()
	}
}

// readHead reads until head has n bytes or the stream ends.
func readHead(r io.Reader, head []byte, n int) ([]byte, error) {
	for len(head) < n {
		m, err := r.Read(head[len(head):n])
		head = head[:len(head)+m]
		if err != nil {
			return head, err
		}
	}
	return head, nil
}

// headReader gives the bytes that were read ahead, and their error, before the rest.
type headReader struct {
	head []byte
	err  error
	rest io.Reader
}

func (h *headReader) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	if h.err != nil {
		return 0, h.err
	}
	return h.rest.Read(p)
}

var bom = []byte("\ufeff")

// readHeader finds the format and the header in the file's first bytes and returns where
// the lines begin. readErr is what ended head.
func (p *part) readHeader(head []byte, readErr error) (body int64, err error) {
	text := bytes.TrimPrefix(head, bom)
	skipped := int64(len(head) - len(text))
	if len(bytes.TrimSpace(text)) == 0 && readErr != nil {
		return skipped, nil // nothing to detect, nothing to read
	}
	if p.origin.Format == "" {
		name, err := flow.DetectFormat(text)
		if err != nil {
			return 0, p.failAs(flow.ReasonFormat, fmt.Errorf("%w; it looks like %s", err, looksLike(head)), 0, head, p.file.Size)
		}
		p.origin.Format = name
	}
	info, ok := flow.FormatNamed(p.origin.Format)
	if !ok {
		return 0, fmt.Errorf("filesource: the format %q is not registered in this worker's binary", p.origin.Format)
	}
	p.info = info
	if info.Header == nil {
		return skipped, nil
	}
	n := info.Header(text)
	if n == headBytes-int(skipped) && readErr == nil {
		return 0, p.failAs(flow.ReasonFormat, fmt.Errorf("the header is longer than %d bytes", headBytes), 0, head, p.file.Size)
	}
	if n > 0 {
		p.origin.Header = directives(p.origin.Header) + string(text[:n])
	}
	return skipped + int64(n), nil
}

// directives are the lines at a declared header's start that say of all files what their
// own headers can't, such as the zone of their times: they begin with "#timezone".
func directives(declared string) string {
	n := 0
	for strings.HasPrefix(declared[n:], "#timezone") {
		i := strings.IndexByte(declared[n:], '\n')
		if i < 0 {
			return declared + "\n"
		}
		n += i + 1
	}
	return declared[:n]
}

// skipTo passes over the lines before start.
func (p *part) skipTo(start int64) error {
	for p.cut.off < start {
		if p.cut.split != nil || p.cut.rows != nil {
			if l, err := p.cut.next(); err == io.EOF {
				return nil
			} else if err != nil {
				return p.fail(err, l.offset, l.data)
			}
			continue
		}
		if err := p.cut.skip(); err != nil {
			return p.fail(err, p.cut.off, nil)
		}
		if p.cut.err == io.EOF && p.cut.lo == p.cut.hi {
			return nil
		}
	}
	return nil
}

// next returns the next batch, which has at least one record. The error is io.EOF at the
// part's end and a *failure where the rest can't be read: the records before it have been
// returned by then.
func (p *part) next() (flow.RawBatch, error) {
	if p.failed != nil {
		return flow.RawBatch{}, &failure{*p.failed}
	}
	if p.learn != nil {
		return p.learned()
	}
	out := flow.RawBatch{Origin: p.origin}
	var data []byte
	p.starts = p.starts[:0]
	for len(out.Records) < p.c.BatchRecords && len(data) < p.c.BatchBytes && p.cut.off < p.end {
		l, err := p.cut.next()
		if err == io.EOF || err == nil && l.offset >= p.end {
			p.end = p.cut.off
			break
		}
		if err != nil {
			err = p.fail(err, l.offset, l.data)
			var f *failure
			if !errors.As(err, &f) {
				return flow.RawBatch{}, err
			}
			p.failed = &f.Failure
			break
		}
		if data == nil {
			data = make([]byte, 0, max(p.bytesCap, len(l.data)))
			out.Records = make([]flow.Raw, 0, min(p.c.BatchRecords, cap(p.starts)+64))
		}
		p.starts = append(p.starts, len(data))
		data = append(data, l.data...)
		out.Records = append(out.Records, flow.Raw{
			Offset: flow.N(l.offset), Time: p.file.ModTime, Oversize: l.oversize, Size: l.size, SHA256: l.sha256,
		})
	}
	if len(out.Records) == 0 {
		if p.failed != nil {
			return out, &failure{*p.failed}
		}
		return out, io.EOF
	}
	// The array may have moved while it grew, so the records are cut from it at the end.
	end := len(data)
	for i := len(out.Records) - 1; i >= 0; i-- {
		out.Records[i].Data = data[p.starts[i]:end:end]
		end = p.starts[i]
	}
	p.bytesCap = len(data) + len(data)/8
	return out, nil
}

// fail makes a *failure of an error of reading where trying again can't help.
func (p *part) fail(err error, offset int64, data []byte) error {
	var bomb *errBomb
	if p.at != nil {
		err = p.at.cause(err)
	}
	switch {
	case errors.As(err, &bomb):
		return p.failAs(flow.ReasonBomb, err, offset, data, int64(len(data)))
	case corrupt(err), errors.Is(err, errShrunk), errors.Is(err, errReplaced), filesystem.Permanent(err):
		return p.failAs(flow.ReasonCorrupt, err, offset, data, int64(len(data)))
	}
	return fmt.Errorf("filesource: %s at byte %d: %w", p.file.Path, offset, err)
}

func (p *part) failAs(reason flow.Reason, err error, offset int64, data []byte, size int64) error {
	return &failure{flow.Failure{
		Stage: stage, Reason: reason, Error: flow.ErrorText(err),
		Data: string(data[:min(len(data), prefixBytes)]), Truncated: true, Size: size,
		Format: p.origin.Format, Header: p.origin.Header,
		Position: flow.Position{Source: p.file.Path, Offset: flow.N(offset)}, SourceTime: p.file.ModTime,
		DataCenter: p.origin.DataCenter, Tenant: p.origin.Tenant, Version: flow.Version,
	}}
}

// looksLike names what input is that no format fits, for the dead letter's reader.
func looksLike(head []byte) string {
	for _, m := range []struct{ magic, name string }{
		{"PAR1", "a Parquet file"},
		{"Obj\x01", "an Avro file"},
		{"\xd4\xc3\xb2\xa1", "a packet capture (pcap)"},
		{"\xa1\xb2\xc3\xd4", "a packet capture (pcap)"},
		{"\x4d\x3c\xb2\xa1", "a packet capture (pcap)"},
		{"\x0a\x0d\x0d\x0a", "a packet capture (pcapng)"},
		{"PK\x03\x04", "a zip archive"},
		{"BZh", "bzip2 (decompress it first, or use gzip or zstd)"},
		{"\xfd7zXZ", "xz (decompress it first, or use gzip or zstd)"},
		{"\x04\x22\x4d\x18", "lz4 (decompress it first, or use gzip or zstd)"},
		{"\x1f\x8b", "gzip inside of gzip"},
		{"\x28\xb5\x2f\xfd", "zstd inside of a compressed file"},
		{"\xff\xfe", "UTF-16 text"},
		{"\xfe\xff", "UTF-16 text"},
		{"SQLite format 3", "an SQLite database"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.name
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return "a tar archive"
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, bom))
	if first, _, ok := bytes.Cut(text, []byte("\n")); ok {
		text = first
	}
	switch {
	case bytes.IndexByte(head, 0) >= 0 || !validStart(head):
		return "binary data"
	case bytes.HasPrefix(text, []byte("[")):
		return "a JSON array (one object a line is wanted)"
	case bytes.HasPrefix(text, []byte("{")):
		return "JSON of an unknown shape"
	case bytes.HasPrefix(text, []byte("<")):
		return "XML or HTML"
	case bytes.HasPrefix(text, []byte("#")):
		return "text that begins with a comment"
	case bytes.Count(text, []byte("\t")) > 2:
		return "tab-separated text"
	case bytes.Count(text, []byte(",")) > 2:
		return "comma-separated text"
	case bytes.Count(text, []byte(" ")) > 2:
		return "space-separated text"
	}
	return "text"
}

// validStart says whether b is UTF-8 but for a last rune that may be cut.
func validStart(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(b)
		}
		b = b[n:]
	}
	return true
}
