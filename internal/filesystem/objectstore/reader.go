package objectstore

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
)

// body is a reply with an object's bytes from an offset on.
type body struct {
	io.ReadCloser
	Info
}

// Reader reads an object from an offset to its end. A connection that breaks is made again
// from the byte where it broke, of the same generation of the object. A whole object that
// doesn't have its CRC32C is an error in place of its last bytes; a part of one can't be
// checked.
type Reader struct {
	b      *Bucket
	ctx    context.Context
	key    string
	info   Info
	cur    io.ReadCloser
	cancel context.CancelFunc
	off    int64
	crc    uint32
	check  bool
}

// Reader opens an object. An offset at its end or beyond reads nothing.
func (b *Bucket) Reader(ctx context.Context, key string, offset int64) (*Reader, error) {
	r := &Reader{b: b, ctx: ctx, key: key, off: offset}
	if err := r.open(); err != nil {
		return nil, err
	}
	r.check = offset == 0 && r.info.HasCRC
	return r, nil
}

// Info is that of the object that is being read.
func (r *Reader) Info() Info { return r.info }

// Generation is the object's.
func (r *Reader) Generation() int64 { return r.info.Generation }

func (r *Reader) open() error {
	return r.b.do(r.ctx, "read", r.key, func(context.Context) error {
		// The request's own context lives as long as its body.
		ctx, cancel := context.WithCancel(r.ctx)
		got, err := r.b.api.get(ctx, r.b.name, r.key, r.off, r.info)
		if err != nil {
			cancel()
			return err
		}
		r.cur, r.info, r.cancel = got.ReadCloser, got.Info, cancel
		return nil
	})
}

func (r *Reader) Read(p []byte) (int, error) {
	if r.off >= r.info.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for tries := 0; ; tries++ {
		n, err := r.cur.Read(p[:min(int64(len(p)), r.info.Size-r.off)])
		r.off += int64(n)
		if r.check {
			r.crc = crc32.Update(r.crc, castagnoli, p[:n])
			if r.off == r.info.Size && r.crc != r.info.CRC {
				return 0, fmt.Errorf("%s%s: the bytes that came have the CRC32C %08x, the object has %08x", r.b.url, r.key, r.crc, r.info.CRC)
			}
		}
		if n > 0 {
			return n, nil
		}
		if err == nil {
			continue
		}
		// Cut, whatever the error says: there is more.
		if cerr := r.ctx.Err(); cerr != nil {
			return 0, cerr
		}
		const most = 10 // without one byte of progress
		if tries == most {
			return 0, fmt.Errorf("%s%s: cut %d times at byte %d: %w", r.b.url, r.key, tries, r.off, scrub(err))
		}
		r.Close()
		counterOf(r.ctx).Retried.Add(1)
		if err := r.open(); err != nil {
			return 0, err
		}
	}
}

// Close ends the request.
func (r *Reader) Close() error {
	if r.cur == nil {
		return nil
	}
	r.cancel()
	return r.cur.Close()
}
