package loadgen

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// names of the files, by format, without their data center's folder.
var fileNames = map[string]string{Canopus: "canopus.ndjson", Zeek: "conn.log", AWS: "vpcflow.log"}

// redeliveredNames are the files of a stream that a shipper sent again.
var redeliveredNames = map[string]string{Canopus: "canopus-again.ndjson", Zeek: "conn-again.log", AWS: "vpcflow-again.log"}

// TruthFile is the name of the truth, beside the data centers' folders.
const TruthFile = "truth.json"

// path is the path, below the output directory, of a stream's file:
// dc=NAME/FILE.
func (c *Config) path(s Stream, redelivered bool) string {
	name := fileNames[s.Format]
	if redelivered {
		name = redeliveredNames[s.Format]
	}
	switch c.Compression {
	case Gzip:
		name += ".gz"
	case Zstd:
		name += ".zst"
	}
	return filepath.ToSlash(filepath.Join("dc="+s.DataCenter, name))
}

// WriteFiles writes one file a stream below dir, and the truth as dir/truth.json, which
// it also returns. Files that are there are replaced.
func WriteFiles(ctx context.Context, dir string, c Config) (Truth, error) {
	g, err := New(c)
	if err != nil {
		return Truth{}, err
	}
	files := map[string]*output{}
	defer func() {
		for _, f := range files {
			f.file.Close() // after an error; Close has been called otherwise
		}
	}()
	open := func(line Line) (*output, error) {
		s := g.streams[line.Stream]
		path := c.path(s, line.Redelivered)
		if files[path] == nil {
			f, err := create(filepath.Join(dir, path), c.Compression)
			if err != nil {
				return nil, err
			}
			files[path] = f
			if f.footer, err = f.begin(s.Format); err != nil {
				return nil, err
			}
		}
		return files[path], nil
	}
	byStream := make([][2]*output, len(g.streams))
	for i := range g.streams { // also those that get no record
		if byStream[i][0], err = open(Line{Stream: i}); err != nil {
			return Truth{}, err
		}
	}
	pace := newPace(c.Rate)
	for line, ok := g.Next(); ok; line, ok = g.Next() {
		if err := pace.wait(ctx); err != nil {
			return Truth{}, err
		}
		k := 0
		if line.Redelivered {
			k = 1
		}
		f := byStream[line.Stream][k]
		if f == nil {
			if f, err = open(line); err != nil {
				return Truth{}, err
			}
			byStream[line.Stream][k] = f
		}
		f.lines++
		if err := f.write(line.Data); err != nil {
			return Truth{}, err
		}
	}
	truth := g.Truth()
	truth.Files = map[string]File{}
	for path, f := range files {
		if err := f.close(); err != nil {
			return Truth{}, fmt.Errorf("%s: %w", path, err)
		}
		truth.Files[path] = f.File()
	}
	return truth, WriteTruth(filepath.Join(dir, TruthFile), truth)
}

// WriteTruth writes the truth as indented JSON.
func WriteTruth(path string, t Truth) error {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// WriteStream writes the lines of one format to w in the order of arrival, all data
// centers together, with the format's header first. Compression is not applied.
func WriteStream(ctx context.Context, w io.Writer, c Config) (Truth, error) {
	g, err := New(c)
	if err != nil {
		return Truth{}, err
	}
	for _, s := range g.streams {
		if s.Format != g.streams[0].Format {
			return Truth{}, errors.New("format: a stream has one format, for several write to a directory")
		}
	}
	o := &output{w: w, buffer: bufio.NewWriterSize(w, 1<<16)}
	footer, err := o.begin(g.streams[0].Format)
	if err != nil {
		return Truth{}, err
	}
	pace := newPace(c.Rate)
	pace.flush = o.buffer.Flush
	for line, ok := g.Next(); ok; line, ok = g.Next() {
		if err := pace.wait(ctx); err != nil {
			return Truth{}, err
		}
		if err := o.write(line.Data); err != nil {
			return Truth{}, err
		}
	}
	if err := o.write([]byte(footer)); err != nil {
		return Truth{}, err
	}
	return g.Truth(), o.buffer.Flush()
}

// output is one file, or the stream.
type output struct {
	w            io.Writer // the compressor, or what is below it
	closer       io.Closer // of the compressor, nil without
	file         *os.File
	buffer       *bufio.Writer
	footer       string
	lines, bytes int64
}

func create(path, compression string) (*output, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	o := &output{w: file, file: file}
	switch compression {
	case Gzip:
		z := gzip.NewWriter(file)
		o.w, o.closer = z, z
	case Zstd: // one goroutine: the same bytes on every machine
		z, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		o.w, o.closer = z, z
	}
	o.buffer = bufio.NewWriterSize(o.w, 1<<16)
	return o, nil
}

// Header returns the lines that a file of the format begins and ends with.
func Header(format string) (header, footer string) {
	switch format {
	case Zeek:
		return zeekHeader, zeekFooter
	case AWS:
		return awsHeader, ""
	}
	return "", ""
}

// begin writes the format's header and returns its footer.
func (o *output) begin(format string) (footer string, err error) {
	header, footer := Header(format)
	return footer, o.write([]byte(header))
}

func (o *output) write(b []byte) error {
	o.bytes += int64(len(b))
	_, err := o.buffer.Write(b)
	return err
}

func (o *output) close() error {
	err := o.write([]byte(o.footer))
	err = errors.Join(err, o.buffer.Flush())
	if o.closer != nil {
		err = errors.Join(err, o.closer.Close())
	}
	return errors.Join(err, o.file.Close())
}

// File says what was written.
func (o *output) File() File { return File{Lines: o.lines, Bytes: o.bytes} }

// pace holds lines back to a rate.
type pace struct {
	rate  float64
	begun time.Time
	n     int64
	flush func() error // called before each pause, so that a reader sees what has come
}

func newPace(rate float64) *pace { return &pace{rate: rate, begun: time.Now()} }

// checkEvery lines the context is looked at where there is no rate.
const checkEvery = 1 << 14

func (p *pace) wait(ctx context.Context) error {
	p.n++
	if p.rate == 0 {
		if p.n%checkEvery == 0 {
			return ctx.Err()
		}
		return nil
	}
	ahead := time.Duration(float64(p.n-1)/p.rate*float64(time.Second)) - time.Since(p.begun)
	if ahead < time.Millisecond {
		return nil
	}
	if p.flush != nil {
		if err := p.flush(); err != nil {
			return err
		}
	}
	t := time.NewTimer(ahead)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
