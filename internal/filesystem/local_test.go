package filesystem

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
	"github.com/flowbeam/flowbeam/internal/filesystem/objectstore"
)

var fake *fakestore.Server

func TestMain(m *testing.M) {
	fake = fakestore.Start()
	os.Exit(m.Run())
}

var names = []string{"a.log", "b.log", "c.txt", "dc=fra/a.log", "dc=fra/x/a.log", "dc=iad/b.log", "dc=iad/b.log.gz", "we[i]rd/a.log"}

// storages are those of this package, each with the files above, whose content is their
// name: root is a path or URL, with a slash at its end.
func storages(t *testing.T, f func(t *testing.T, root string)) {
	t.Run("local", func(t *testing.T) {
		root := t.TempDir() + "/"
		for _, n := range names {
			if err := os.MkdirAll(filepath.Dir(root+n), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+n, []byte(n), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		f(t, root)
		t.Run("file URL", func(t *testing.T) { f(t, "file://"+root) })
	})
	for _, scheme := range objectstore.Schemes {
		fill := func(t *testing.T, bucket string) string {
			b, err := objectstore.Open(scheme, bucket, readPolicy)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				s := objectstore.NewSpool()
				io.WriteString(s, n)
				if err := b.Create(t.Context(), "data/"+n, s); err != nil {
					t.Fatal(err)
				}
			}
			return scheme + "://" + bucket + "/data/"
		}
		t.Run(scheme, func(t *testing.T) {
			b := fake.Bucket()
			b.Put("data/dc=fra/", nil, "") // a folder as consoles make it
			f(t, fill(t, b.Name))
		})
		t.Run(scheme+" server", func(t *testing.T) { f(t, fill(t, fakestore.Real(t, scheme))) })
	}
}

func TestGlob(t *testing.T) {
	storages(t, func(t *testing.T, root string) {
		fsys, err := For(root)
		if err != nil {
			t.Fatal(err)
		}
		for pattern, want := range map[string]string{
			"*.log":            "a.log b.log",
			"?.log":            "a.log b.log",
			"[b-z].*":          "b.log c.txt",
			"[!a].log":         "b.log",
			"a.log":            "a.log",
			"nope":             "",
			"nope/*":           "",
			"dc=*/*.log":       "dc=fra/a.log dc=iad/b.log",
			"dc=*/*.log*":      "dc=fra/a.log dc=iad/b.log dc=iad/b.log.gz",
			"**/a.log":         "a.log dc=fra/a.log dc=fra/x/a.log we[i]rd/a.log",
			"dc=fra/**":        "dc=fra/a.log dc=fra/x/a.log",
			"dc=fra/**/a.log":  "dc=fra/a.log dc=fra/x/a.log",
			"dc=[fi]*/[ab].lo": "",
		} {
			infos, err := fsys.Glob(t.Context(), root+pattern)
			var have []string
			for _, in := range infos {
				name, ok := strings.CutPrefix(in.Path, root)
				have = append(have, name)
				if !ok || in.Size != int64(len(name)) || in.ModTime.IsZero() {
					t.Errorf("%s: %+v", pattern, in)
				}
			}
			if err != nil || strings.Join(have, " ") != want {
				t.Errorf("%s: %v, %v; want %s", pattern, have, err, want)
			}
		}
		if _, err := fsys.Glob(t.Context(), root+"[a"); err == nil {
			t.Error("[ without its ] was taken")
		}
	})
}

func TestStatAndOpen(t *testing.T) {
	storages(t, func(t *testing.T, root string) {
		fsys, err := For(root)
		if err != nil {
			t.Fatal(err)
		}
		const name = "dc=fra/x/a.log"
		in, err := fsys.Stat(t.Context(), root+name)
		if err != nil || in.Path != root+name || in.Size != int64(len(name)) || Scheme(root) != "" && Scheme(root) != "file" && in.Generation == 0 {
			t.Errorf("%+v, %v", in, err)
		}
		for _, off := range []int64{0, 3, int64(len(name)), int64(len(name)) + 3} {
			r, err := fsys.Open(t.Context(), root+name, off)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil || string(b) != name[min(off, int64(len(name))):] {
				t.Errorf("from %d: %q, %v", off, b, err)
			}
			r.Close()
		}
		for _, path := range []string{"nope", "dc=fra/nope"} {
			_, err := fsys.Stat(t.Context(), root+path)
			_, err2 := fsys.Open(t.Context(), root+path, 0)
			if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err2, fs.ErrNotExist) || !Permanent(err) || !Permanent(err2) {
				t.Errorf("%s: %v, %v", path, err, err2)
			}
		}
		if _, err := fsys.Stat(t.Context(), root+"dc=fra/"); !Permanent(err) {
			t.Errorf("a folder: %v", err)
		}
	})
}

func TestLocalFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	pipe := dir + "/pipe"
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Skip(err)
	}
	if _, err := (local{}).Stat(t.Context(), dir); !errors.Is(err, syscall.EISDIR) || !Permanent(err) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := (local{}).Stat(t.Context(), pipe); !errors.Is(err, fs.ErrInvalid) || !Permanent(err) {
		t.Errorf("a pipe: %v", err)
	}
	if in, err := (local{}).Glob(t.Context(), dir+"/*"); err != nil || len(in) != 0 {
		t.Errorf("a pipe matched: %v, %v", in, err)
	}
}

// Refused credentials and a store that is away are the world's mood; a name that can be
// none is not.
func TestPermanentErrorsOfObjects(t *testing.T) {
	p := readPolicy
	defer func() { readPolicy = p }()
	readPolicy.Deadline, readPolicy.Auth = 50_000_000, 50_000_000
	for _, url := range []string{"gs://user:canary@bucket/x", "s3://b/x", "gs://", "s3://bucket-0"} {
		_, err := object{}.Stat(context.Background(), url)
		if !Permanent(err) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, env := range []string{"STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL_S3"} {
		t.Setenv(env, "http://127.0.0.1:1")
	}
	for _, scheme := range objectstore.Schemes {
		_, err := object{}.Stat(context.Background(), scheme+"://bucket-0/x")
		if err == nil || Permanent(err) || !strings.Contains(err.Error(), scheme+"://bucket-0/x") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestForNamesTheStoragesThereAre(t *testing.T) {
	_, err := For("hdfs://x/y")
	for _, want := range []string{"hdfs://", "file://", "gs://", "s3://"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestFixed(t *testing.T) {
	for pattern, want := range map[string]string{"/a/b*/c": "/a/", "a*": "", "/a/b": "/a/b", "gs://b/x/y?": "gs://b/x/"} {
		if have := Fixed(pattern); have != want {
			t.Errorf("%s: %s, want %s", pattern, have, want)
		}
	}
}
