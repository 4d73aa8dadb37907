package objectstore

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Schemes of URLs that Open takes.
var Schemes = []string{"gs", "s3"}

// bucketName is what both stores allow, and no user, password or port.
//
// Source: https://cloud.google.com/storage/docs/buckets#naming,
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// maxKey is the length of a key in bytes, of both stores.
const maxKey = 1024

// Split cuts scheme://bucket/key. The key may be empty. Its error quotes nothing of what
// stands for a bucket: it may be a password.
func Split(url string) (scheme, bucket, key string, err error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "gs" && scheme != "s3" {
		return "", "", "", errors.New("want a URL gs://bucket/… or s3://bucket/…")
	}
	bucket, key, _ = strings.Cut(rest, "/")
	if !bucketName.MatchString(bucket) {
		return "", "", "", fmt.Errorf("%s://…: the bucket's name is not one: want 3 to 222 lower-case letters, digits, dots, underscores and hyphens, without a user or a port", scheme)
	}
	return scheme, bucket, key, nil
}

// checkKey refuses keys that a tool may take for another place.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) {
		return fmt.Errorf("an object's name has 1 to %d bytes of UTF-8, not %d", maxKey, len(key))
	}
	for e := range strings.SplitSeq(key, "/") {
		if e == "" || e == "." || e == ".." {
			return fmt.Errorf("%q: a part of an object's name is %q", key, e)
		}
	}
	if i := strings.IndexFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("%q: an object's name has a control character", key)
	}
	return nil
}

// Prefix checks the key of a URL that stands for a folder and returns it without slashes
// at its end.
func Prefix(key string) (string, error) {
	key = strings.TrimRight(key, "/")
	if key == "" {
		return "", nil
	}
	return key, checkKey(key)
}

// Join puts a name below a prefix. It never leads out of it.
func Join(prefix, name string) (string, error) {
	if err := checkKey(name); err != nil {
		return "", err
	}
	if prefix == "" {
		return name, nil
	}
	key := prefix + "/" + name
	return key, checkKey(key)
}

// Open returns a bucket. It sends no request: a bucket that is not there shows at the
// first one. Clients are shared by the process.
func Open(scheme, bucket string, p delivery.Policy) (*Bucket, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	b := &Bucket{name: bucket, url: scheme + "://" + bucket + "/", policy: p}
	switch scheme {
	case "gs":
		b.api = client("gs "+os.Getenv("STORAGE_EMULATOR_HOST"), func() api { return &gcs{} })
	case "s3":
		b.api = client(strings.Join([]string{"s3", os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), os.Getenv("AWS_REGION"), os.Getenv("AWS_PROFILE"), os.Getenv("AWS_ACCESS_KEY_ID")}, " "), func() api { return &s3api{} })
	default:
		return nil, fmt.Errorf("no object store has the scheme %s://", scheme)
	}
	return b, nil
}

var (
	clientsMu sync.Mutex
	clients   = map[string]api{}
)

// client keeps one client for each set of settings that the environment gives it.
func client(key string, make func() api) api {
	clientsMu.Lock()
	defer clientsMu.Unlock()
	c, ok := clients[key]
	if !ok {
		c = make()
		clients[key] = c
	}
	return c
}
