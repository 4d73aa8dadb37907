package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// Format is a file format by the name that options use.
type Format string

// The formats of parts.
const (
	Parquet Format = "parquet"
	Avro    Format = "avro" // object container files
	NDJSON  Format = "ndjson"
	CSV     Format = "csv" // RFC 4180 with a header line
)

// Compression is a compression by the name that options use.
type Compression string

// The compressions of parts.
const (
	None   Compression = "none"
	Gzip   Compression = "gzip" // Avro calls it deflate
	Zstd   Compression = "zstd"
	Snappy Compression = "snappy" // inside of Parquet and Avro only
)

// Formats and Compressions list the names that options accept.
var (
	Formats      = []Format{Parquet, Avro, NDJSON, CSV}
	Compressions = []Compression{None, Gzip, Zstd, Snappy}
)

// ValidateFormat says why a format cannot be written with a compression, or nil.
func ValidateFormat(f Format, c Compression) error {
	if !slices.Contains(Formats, f) {
		return fmt.Errorf("unknown format %q: choose one of %s", f, join(Formats))
	}
	if !slices.Contains(Compressions, c) {
		return fmt.Errorf("unknown compression %q: choose one of %s", c, join(Compressions))
	}
	if c == Snappy && (f == NDJSON || f == CSV) {
		return fmt.Errorf("%s cannot be compressed with snappy: no common tool reads such a file; choose none, gzip or zstd", f)
	}
	return nil
}

// DefaultCompression is what a format is compressed with where nothing is said.
func DefaultCompression(f Format) Compression {
	if f == NDJSON || f == CSV {
		return Gzip
	}
	return Snappy
}

func join[S ~string](names []S) string {
	s := make([]string, len(names))
	for i, n := range names {
		s[i] = string(n)
	}
	return strings.Join(s, ", ")
}

// extension of a part's name. Parquet and Avro compress inside, and name the codec there.
func extension(f Format, c Compression) string {
	if f == NDJSON || f == CSV {
		switch c {
		case Gzip:
			return string(f) + ".gz"
		case Zstd:
			return string(f) + ".zst"
		}
	}
	return string(f)
}

// formatOf reads a part's format from its name's extension.
func formatOf(ext string) (Format, Compression, error) {
	f, c := Format(ext), None
	if base, ok := strings.CutSuffix(ext, ".gz"); ok {
		f, c = Format(base), Gzip
	} else if base, ok := strings.CutSuffix(ext, ".zst"); ok {
		f, c = Format(base), Zstd
	}
	if !slices.Contains(Formats, f) {
		return "", "", fmt.Errorf("unknown extension %q", ext)
	}
	return f, c, nil
}
