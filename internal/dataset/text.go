package dataset

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// textFile is NDJSON or CSV, compressed.
type textFile struct {
	w    *bufio.Writer
	comp io.WriteCloser // nil where there is no compression
	put  func()
}

// Compressors are large (a gzip writer has 1.2 MB of tables), so they are used again.
var (
	gzipWriters = sync.Pool{New: func() any { w, _ := gzip.NewWriterLevel(nil, gzip.DefaultCompression); return w }}
	zstdWriters = sync.Pool{New: func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			panic("dataset: zstd: " + err.Error())
		}
		return w
	}}
	bufWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}
)

func openText(w io.Writer, c Compression, header []byte) (rowFrame, error) {
	t := &textFile{put: func() {}}
	switch c {
	case Gzip:
		z := gzipWriters.Get().(*gzip.Writer)
		z.Reset(w)
		t.comp, t.put = z, func() { gzipWriters.Put(z) }
	case Zstd:
		z := zstdWriters.Get().(*zstd.Encoder)
		z.Reset(w)
		t.comp, t.put = z, func() { zstdWriters.Put(z) }
	case None:
	default:
		return nil, fmt.Errorf("compression %q", c)
	}
	t.w = bufWriters.Get().(*bufio.Writer)
	if t.comp != nil {
		t.w.Reset(t.comp)
	} else {
		t.w.Reset(w)
	}
	if _, err := t.w.Write(header); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *textFile) row(b []byte) error {
	_, err := t.w.Write(b)
	return err
}

func (t *textFile) close() error {
	if err := t.w.Flush(); err != nil {
		return err
	}
	if t.comp != nil {
		if err := t.comp.Close(); err != nil {
			return err
		}
	}
	t.w.Reset(nil)
	bufWriters.Put(t.w)
	t.put()
	return nil
}

// decompress opens a text part for reading. Closing it leaves r open.
func decompress(r io.Reader, c Compression) (io.ReadCloser, error) {
	switch c {
	case Gzip:
		return gzip.NewReader(bufio.NewReaderSize(r, 64<<10))
	case Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// eachLine calls f for each line, without its end. A line's bytes are f's until it
// returns. A last line that has no end is an error: parts are whole.
func eachLine(r *bufio.Reader, f func([]byte) error) error {
	var long []byte
	for {
		b, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long = append(long, b...)
			continue
		}
		if err == io.EOF {
			if len(b)+len(long) > 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if err != nil {
			return err
		}
		if len(long) > 0 {
			long = append(long, b...)
			b = long
		}
		if err := f(b[:len(b)-1]); err != nil {
			return err
		}
		long = long[:0]
	}
}
