package avrodata

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"unsafe"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// The limits of a container. Writers make blocks of some ten kilobytes, rarely of some megabytes.
const (
	maxBlock      = 64 << 20 // bytes, stored and decompressed
	maxMeta       = 4 << 20  // bytes of the head
	maxMetaValues = 1000
)

const magic = "Obj\x01"

// IsContainer says whether head is that of an object container file.
func IsContainer(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }

// Container gives the data of an object container file, one block in memory. Where a datum of a
// block can't be told from those after it, it and the rest of the block are given as one, which no
// schema reads: so nothing of the block is lost, and the next one is read.
//
// Source: https://avro.apache.org/docs/1.12.0/specification/#object-container-files
type Container struct {
	r      *bufio.Reader
	text   string
	schema *Schema
	sync   [16]byte
	codec  string
	flate  io.ReadCloser
	zstd   *zstd.Decoder

	stored []byte // the block as it is in the file
	block  []byte // and decompressed
	left   int64  // data of it that were not given
}

// OpenContainer reads the head of a file of that many bytes.
func OpenContainer(r io.ReaderAt, size int64) (*Container, error) {
	c := &Container{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10)}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(c.r, head); err != nil {
		return nil, cutOff(err)
	}
	if !IsContainer(head) {
		return nil, errors.New("no Avro object container file")
	}
	meta, err := c.meta()
	if err != nil {
		return nil, fmt.Errorf("the file's head: %w", err)
	}
	if _, err := io.ReadFull(c.r, c.sync[:]); err != nil {
		return nil, cutOff(err)
	}
	switch c.codec = meta["avro.codec"]; c.codec {
	case "", "null", "deflate", "snappy", "zstandard":
	default:
		return nil, fmt.Errorf("the codec %q is none of null, deflate, snappy and zstandard", c.codec)
	}
	var line bytes.Buffer
	if json.Compact(&line, []byte(meta["avro.schema"])) != nil {
		return nil, errors.New("the file's schema is no JSON")
	}
	c.text = line.String()
	if c.schema, err = Parse(c.text); err != nil {
		return nil, fmt.Errorf("the file's schema: %w", err)
	}
	return c, nil
}

// SchemaText is the file's schema as JSON, in one line.
func (c *Container) SchemaText() string { return c.text }

// Schema is the file's schema.
func (c *Container) Schema() *Schema { return c.schema }

// meta reads the map of bytes in the head.
func (c *Container) meta() (map[string]string, error) {
	meta := map[string]string{}
	left := int64(maxMeta)
	bytesOf := func() (string, error) {
		n, err := c.long()
		if err != nil {
			return "", err
		}
		if n < 0 || n > left {
			return "", fmt.Errorf("a length of %d, where all may have %d bytes", n, maxMeta)
		}
		left -= n
		b := make([]byte, n)
		_, err = io.ReadFull(c.r, b)
		return string(b), cutOff(err)
	}
	for {
		n, err := c.long()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return meta, nil
		}
		if n < 0 {
			if _, err := c.long(); err != nil {
				return nil, err
			}
			n = -n
		}
		if n < 0 || n > maxMetaValues || len(meta) > maxMetaValues {
			return nil, fmt.Errorf("%d values", n)
		}
		for ; n > 0; n-- {
			key, err := bytesOf()
			if err != nil {
				return nil, err
			}
			if meta[key], err = bytesOf(); err != nil {
				return nil, err
			}
		}
	}
}

// long reads a number from the file. At its end the error is io.EOF.
func (c *Container) long() (int64, error) {
	var u uint64
	for shift := 0; shift < 70; shift += 7 {
		b, err := c.r.ReadByte()
		if err != nil {
			if shift > 0 {
				err = cutOff(err)
			}
			return 0, err
		}
		u |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return int64(u>>1) ^ -int64(u&1), nil
		}
	}
	return 0, errors.New("a number has more than 64 bits")
}

func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the file is cut off")
	}
	return err
}

// Next returns the next datum, valid until the next call. At the end the error is io.EOF.
func (c *Container) Next() ([]byte, error) {
	for c.left == 0 {
		if err := c.nextBlock(); err != nil {
			return nil, err
		}
	}
	n := len(c.block)
	if c.left--; c.left > 0 {
		r := NewReader(unsafe.String(unsafe.SliceData(c.block), n))
		if r.Skip(c.schema.Root); r.Err() == nil {
			n = r.Offset()
		} else {
			c.left = 0
		}
	}
	datum := c.block[:n:n]
	c.block = c.block[n:]
	return datum, nil
}

// nextBlock reads a block. At the file's end the error is io.EOF.
func (c *Container) nextBlock() error {
	count, err := c.long()
	if err != nil {
		return err
	}
	size, err := c.long()
	if err != nil {
		return cutOff(err)
	}
	if size < 0 || size > maxBlock {
		return fmt.Errorf("a block of %d bytes: the limit is %d", size, maxBlock)
	}
	c.stored = c.stored[:0]
	// By parts: what a broken size claims is not there, and takes no memory.
	for int64(len(c.stored)) < size {
		n := len(c.stored)
		c.stored = slices.Grow(c.stored, int(min(size-int64(n), 1<<20)))[:n+int(min(size-int64(n), 1<<20))]
		if _, err := io.ReadFull(c.r, c.stored[n:]); err != nil {
			return cutOff(err)
		}
	}
	var end [16]byte
	if _, err := io.ReadFull(c.r, end[:]); err != nil {
		return cutOff(err)
	}
	if end != c.sync {
		return errors.New("a block does not end with the file's marker")
	}
	if err := c.decompress(); err != nil {
		return err
	}
	if count < 0 || count > int64(len(c.block)) || count == 0 && len(c.block) > 0 {
		return fmt.Errorf("a block claims %d records in %d bytes", count, len(c.block))
	}
	c.left = count
	return nil
}

func (c *Container) decompress() (err error) {
	switch c.codec {
	case "deflate":
		in := bytes.NewReader(c.stored)
		if c.flate == nil {
			c.flate = flate.NewReader(in)
		} else if err := c.flate.(flate.Resetter).Reset(in, nil); err != nil {
			return err
		}
		out := bytes.NewBuffer(nil)
		if _, err := out.ReadFrom(io.LimitReader(c.flate, maxBlock+1)); err != nil {
			return fmt.Errorf("deflate: %w", err)
		}
		c.block = out.Bytes()
	case "snappy":
		n := len(c.stored) - 4
		if n < 0 {
			return errors.New("snappy: no checksum")
		}
		if size, err := snappy.DecodedLen(c.stored[:n]); err != nil || size > maxBlock {
			return fmt.Errorf("snappy: a block of %d bytes: the limit is %d", size, maxBlock)
		}
		if c.block, err = snappy.Decode(nil, c.stored[:n]); err != nil {
			return err
		}
		if crc32.ChecksumIEEE(c.block) != binary.BigEndian.Uint32(c.stored[n:]) {
			return errors.New("snappy: the checksum is another")
		}
	case "zstandard":
		if c.zstd == nil {
			if c.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock)); err != nil {
				return err
			}
		}
		if c.block, err = c.zstd.DecodeAll(c.stored, nil); err != nil {
			return fmt.Errorf("zstandard: %w", err)
		}
	default:
		c.block = c.stored
	}
	if len(c.block) > maxBlock {
		return fmt.Errorf("a block decompresses to more than %d bytes", maxBlock)
	}
	return nil
}
