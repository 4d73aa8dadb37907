package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestWriteFilesGivesTheSameLinesInEveryCompression(t *testing.T) {
	read := func(compression string) (map[string]string, Truth) {
		dir := t.TempDir()
		c := small()
		c.Compression = compression
		truth, err := WriteFiles(t.Context(), dir, c)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for path, f := range truth.Files {
			b, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			var r io.Reader = bytes.NewReader(b)
			switch compression {
			case Gzip:
				path = strings.TrimSuffix(path, ".gz")
				r, err = gzip.NewReader(r)
			case Zstd:
				path = strings.TrimSuffix(path, ".zst")
				r, err = zstd.NewReader(r)
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err = io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(b)) != f.Bytes {
				t.Errorf("%s: %d bytes, the truth says %d", path, len(b), f.Bytes)
			}
			files[path] = string(b)
		}
		b, err := os.ReadFile(filepath.Join(dir, TruthFile))
		if err != nil {
			t.Fatal(err)
		}
		var written Truth
		if err := json.Unmarshal(b, &written); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(written, truth) {
			t.Error("the file's truth is another than the one returned")
		}
		return files, truth
	}
	plain, truth := read(None)
	for _, c := range []string{Gzip, Zstd} {
		if files, _ := read(c); !reflect.DeepEqual(files, plain) {
			t.Errorf("%s: other files than without compression", c)
		}
	}
	for name, header := range map[string]string{
		"dc=fra/canopus.ndjson": "{", "dc=fra/conn.log": zeekHeader, "dc=fra/vpcflow.log": awsHeader,
		"dc=iad/canopus-again.ndjson": "{", "dc=iad/conn-again.log": zeekHeader, "dc=iad/vpcflow-again.log": awsHeader,
	} {
		if !strings.HasPrefix(plain[name], header) {
			t.Errorf("%s: absent or without its header", name)
		}
	}
	var lines int64
	for _, f := range truth.Files {
		lines += f.Lines
	}
	if lines != truth.Read {
		t.Errorf("the files have %d lines, read is %d", lines, truth.Read)
	}
}

func TestWriteStreamMixesDataCenters(t *testing.T) {
	c := small()
	c.Formats = []string{AWS}
	var b bytes.Buffer
	truth, err := WriteStream(t.Context(), &b, c)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != c.Records+1 || truth.Read != int64(c.Records) || !strings.HasPrefix(b.String(), awsHeader) {
		t.Errorf("%d lines, truth %d, want a header and %d", n, truth.Read, c.Records)
	}
	if strings.Count(b.String(), awsHeader) != 1 {
		t.Error("more than one header")
	}
	if _, err := WriteStream(t.Context(), io.Discard, small()); err == nil {
		t.Error("a stream of several formats is accepted")
	}
}

func TestWritingStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := small()
	c.Rate = 0.001 // a line in 17 minutes
	if _, err := WriteFiles(ctx, t.TempDir(), c); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	c.Rate, c.Records = 0, 100_000
	if _, err := WriteFiles(ctx, t.TempDir(), c); !errors.Is(err, context.Canceled) {
		t.Errorf("without a rate: %v, want %v", err, context.Canceled)
	}
}
