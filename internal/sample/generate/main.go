// Command generate makes the sample's files in the folder named. Run it by go generate,
// after a change of the load generator, and commit what it writes.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/sample"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FOLDER")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func config() loadgen.Config {
	c := loadgen.Default()
	c.Seed, c.Records = 20260115, 24_000
	c.DataCenters, c.Formats = []string{"fra", "iad"}, loadgen.Formats()
	c.Start, c.Span = time.Date(2026, 1, 15, 23, 0, 0, 0, time.UTC), 2*time.Hour // over midnight
	c.Lag, c.LagDataCenter = sample.Lag, "iad"
	c.Redelivered, c.Broken, c.Oversize, c.Gaps = 0.3, 0.01, 2, 0.002
	c.Users, c.Servers = 500, 2_000
	c.Addresses = loadgen.Documentation
	return c
}

// Files of the sample beside those of the load generator.
const (
	bomb    = "dc=fra/canopus-bomb.ndjson.zst"
	cut     = "dc=iad/conn-cut.log.gz"
	unknown = "dc=iad/interface-counters.csv.gz"
)

// cutLines is how many lines the cut file has before the cut.
const cutLines = 40

// bombBytes of a line without end is more than any file may have at a bomb's ratio.
const bombBytes = 80 << 20

func generate(dir string) error {
	tmp, err := os.MkdirTemp("", "sample")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	truth, err := loadgen.WriteFiles(context.Background(), tmp, config())
	if err != nil {
		return err
	}
	files := map[string]loadgen.File{}
	put := func(name string, lines int, size int, content []byte) error {
		files[name] = loadgen.File{Lines: int64(lines), Bytes: int64(size)}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o644)
	}
	for name, f := range truth.Files {
		b, err := os.ReadFile(filepath.Join(tmp, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		lines := int(f.Lines)
		switch name {
		case "dc=fra/canopus.ndjson": // its last line goes before the bomb
			var last []byte
			b, last = splitTail(b, 1)
			lines--
			if err := put(bomb, 1, len(last)+bombBytes, makeBomb(last)); err != nil {
				return err
			}
			truth.DeadLetter("fra", loadgen.Canopus, "bomb", flow.ReasonBomb)
		case "dc=iad/conn.log": // its last lines go to the file that is cut
			b = b[:bytes.LastIndex(b, []byte("#close"))]
			header := b[:bytes.Index(b, []byte("\n1"))+1]
			var last []byte
			b, last = splitTail(b, cutLines)
			lines -= cutLines
			last = append(bytes.Clone(header), last...)
			if err := put(cut, cutLines, len(last), makeCut(last)); err != nil {
				return err
			}
			truth.DeadLetter("iad", loadgen.Zeek, "cut_gzip", flow.ReasonCorrupt)
		}
		if err := put(name+".gz", lines, len(b), compress(b)); err != nil {
			return err
		}
	}
	text := []byte("interface,in_octets,out_octets\nxe-0/0/0,123456789,987654321\nxe-0/0/1,4567,7654\n")
	if err := put(unknown, 0, len(text), compress(text)); err != nil {
		return err
	}
	truth.DeadLetter("iad", "unknown", "unknown_format", flow.ReasonFormat)
	truth.Files = files
	return loadgen.WriteTruth(filepath.Join(dir, loadgen.TruthFile), truth)
}

// splitTail cuts the last n lines off.
func splitTail(b []byte, n int) (rest, tail []byte) {
	at := len(b)
	for range n {
		at = bytes.LastIndexByte(b[:at-1], '\n') + 1
	}
	return b[:at], b[at:]
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is a valid one
	z.Write(b)                                              // a bytes.Buffer takes all
	z.Close()
	return out.Bytes()
}

// makeCut is a gzip file that ends after b: a block's end, but neither the last block nor
// the checksum, so that every decoder gives all of b and then an error.
func makeCut(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	z.Write(b)
	z.Flush()
	return bytes.Clone(out.Bytes())
}

// makeBomb is a file of one record and then a line that does not end.
func makeBomb(record []byte) []byte {
	var out bytes.Buffer
	z, _ := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	z.Write(record)
	chunk := []byte(strings.Repeat(`{`, 1<<20))
	for range bombBytes >> 20 {
		z.Write(chunk)
	}
	z.Close()
	return out.Bytes()
}
