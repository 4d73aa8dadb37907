package filesource

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compression is known by a file's first bytes: names lie.
type compression int

const (
	plain compression = iota
	gzipped
	zstandard
)

var (
	gzipMagic = []byte{0x1f, 0x8b, 8}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// magicBytes is how much of a file sniff needs.
const magicBytes = 4

// sniff tells the compression from a file's first bytes.
func sniff(head []byte) compression {
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		return gzipped
	case bytes.HasPrefix(head, zstdMagic):
		return zstandard
	}
	return plain
}

// maxWindow bounds the memory that a zstd file may ask for: 128 MiB, as zstd itself does
// without --long=28 and above.
const maxWindow = 128 << 20

// errBomb is the error of a file that decompresses beyond its caps.
type errBomb struct{ text string }

func (e *errBomb) Error() string { return e.text }

// decompressor returns the decompressed stream of r. All members of a gzip file and all
// frames of a zstd file are read. The stream ends with an errBomb beyond the caps. close
// frees the decoder; it doesn't close r.
func (c *config) decompressor(how compression, r io.Reader) (stream io.Reader, close func(), err error) {
	in := &countingReader{r: r}
	b := &bombGuard{in: in, max: c.MaxDecompressed, ratio: c.MaxRatio}
	switch how {
	case gzipped:
		// One buffer for both the decoder and its look for a next member.
		z, err := gzip.NewReader(bufio.NewReaderSize(in, 64<<10))
		if err != nil {
			return nil, nil, err
		}
		b.r = z
		return b, func() { z.Close() }, nil
	default:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		b.r = z
		return b, z.Close, nil
	}
}

// bombGuard stops a stream that grows beyond the caps.
type bombGuard struct {
	r     io.Reader
	in    *countingReader
	out   int64
	max   int64
	ratio int64
}

func (b *bombGuard) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.out += int64(n)
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return n, &errBomb{fmt.Sprintf("a frame asks for a window above %d bytes", maxWindow)}
	case b.out > b.max:
		return n - int(b.out-b.max), &errBomb{fmt.Sprintf("decompresses to more than %d bytes", b.max)}
	case b.out > ratioFrom && b.out/b.ratio > b.in.n:
		return n, &errBomb{fmt.Sprintf("%d bytes decompress to more than %d, above %d:1", b.in.n, b.out, b.ratio)}
	}
	return n, err
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// corrupt says whether an error comes from the content and not from the storage.
func corrupt(err error) bool {
	// The decoders' own errors are plain values of several types. What a storage returns
	// is wrapped by sourceError on the way in, so all else is the decoder's.
	var se *sourceError
	return !errors.As(err, &se)
}

// sourceError marks an error as the storage's.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// sourceReader reads a file up to the size that it had when it was matched, so that a
// retry reads the same bytes of a file that grows.
type sourceReader struct {
	r    io.Reader
	left int64
	n    int64 // bytes read
}

func (s *sourceReader) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	n, err := s.r.Read(p)
	s.left -= int64(n)
	s.n += int64(n)
	switch {
	case err == io.EOF && s.left > 0:
		return n, &sourceError{errShrunk}
	case err != nil && err != io.EOF:
		return n, &sourceError{err}
	}
	return n, err
}

var errReplaced = &sourceError{errors.New("the object was replaced since it was matched")}

var errShrunk = errors.New("the file is shorter than when it was matched")
