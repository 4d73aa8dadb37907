package dataset

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// NoValue is the directory of rows that have no value in a partition field.
const NoValue = "__none__"

// Unknown names the bucket of rows whose time is not known.
const Unknown = "unknown"

// maxValue bounds a partition value in bytes.
const maxValue = 64

// CheckValue says why a value cannot be part of a path, or nil. The pattern is
// [A-Za-z0-9._-]{1,64}, without "." and "..". A value that does not fit is refused and
// never rewritten: two values must not meet in one directory, and none may leave it.
func CheckValue(v string) error {
	if len(v) == 0 || len(v) > maxValue {
		return fmt.Errorf("has %d bytes: want 1 to %d", len(v), maxValue)
	}
	if v == "." || v == ".." {
		return fmt.Errorf("%q is a directory of its own meaning", v)
	}
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("%q has the character %q: want letters, digits, dot, underscore and hyphen", v, rune(c))
		}
	}
	return nil
}

// bucketLength is the layout's bucket; ReadLayout has checked it.
func (l *Layout) bucketLength() time.Duration {
	d, err := time.ParseDuration(l.Bucket)
	if err != nil || d <= 0 {
		panic("dataset: layout with bucket " + l.Bucket)
	}
	return d
}

// bucketPath is the directory of a bucket by its start; zero is the unknown time.
func bucketPath(start flow.Time, length time.Duration) string {
	if start == 0 {
		return "dt=" + Unknown
	}
	t := start.Std()
	switch {
	case length < time.Hour:
		return t.Format("dt=2006-01-02/hour=15/minute=04")
	case length < 24*time.Hour:
		return t.Format("dt=2006-01-02/hour=15")
	}
	return t.Format("dt=2006-01-02")
}

// bucketName is a bucket's start in RFC 3339, as Touched and Buckets give it.
func bucketName(start flow.Time) string {
	if start == 0 {
		return Unknown
	}
	return start.Std().Format(time.RFC3339)
}

// parseBucket reads what bucketName wrote.
func parseBucket(name string, length time.Duration) (flow.Time, error) {
	if name == Unknown {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, name)
	if err != nil {
		return 0, fmt.Errorf("bucket %q: want its start in RFC 3339: %w", name, err)
	}
	if start := flow.TimeOf(t); start.Truncate(length) != start {
		return 0, fmt.Errorf("bucket %q: not a multiple of the dataset's %v", name, length)
	}
	return flow.TimeOf(t), nil
}

func shardDir(bucket, partition string, shard int) string {
	return bucket + partition + "/shard-" + strconv.Itoa(shard)
}

// partName is the name of part n, from 1.
func partName(n int, f Format, c Compression) string {
	return fmt.Sprintf("part-%06d.%s", n, extension(f, c))
}

// parsePart reads a part's number and extension. ok is false for anything else that may
// lie in the directory.
func parsePart(name string) (n int, ext string, ok bool) {
	rest, ok := strings.CutPrefix(name, "part-")
	if !ok {
		return 0, "", false
	}
	digits, ext, ok := strings.Cut(rest, ".")
	if !ok || len(digits) < 6 {
		return 0, "", false
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 {
		return 0, "", false
	}
	if _, _, err := formatOf(ext); err != nil {
		return 0, "", false
	}
	return n, ext, true
}

// extensionOf a part's path.
func extensionOf(path string) string {
	_, ext, _ := parsePart(path[strings.LastIndexByte(path, '/')+1:])
	return ext
}
