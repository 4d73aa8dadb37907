package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
)

var fake *fakestore.Server

func TestMain(m *testing.M) {
	fake = fakestore.Start()
	os.Exit(m.Run())
}

var quick = delivery.Policy{Base: time.Millisecond, Cap: 20 * time.Millisecond, Deadline: 10 * time.Second, Auth: 5 * time.Second}

func open(t testing.TB, scheme, name string) *Bucket {
	t.Helper()
	b, err := Open(scheme, name, quick)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// eachFake runs a test over both stores.
func eachFake(t *testing.T, f func(*testing.T, *Bucket, *fakestore.Bucket)) {
	for _, scheme := range Schemes {
		t.Run(scheme, func(t *testing.T) {
			fb := fake.Bucket()
			f(t, open(t, scheme, fb.Name), fb)
		})
	}
}

// eachStore is eachFake and the same over the real servers.
func eachStore(t *testing.T, f func(*testing.T, *Bucket)) {
	eachFake(t, func(t *testing.T, b *Bucket, _ *fakestore.Bucket) { f(t, b) })
	for _, scheme := range Schemes {
		t.Run(scheme+" server", func(t *testing.T) { f(t, open(t, scheme, fakestore.Real(t, scheme))) })
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(n)})
	rng.Read(b)
	return b
}

func spool(t testing.TB, data []byte) *Spool {
	t.Helper()
	s := NewSpool()
	t.Cleanup(func() { s.Close() })
	for len(data) > 0 {
		n := min(len(data), 1<<20)
		if _, err := s.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	return s
}

func read(b *Bucket, key string, offset int64) ([]byte, error) {
	r, err := b.Reader(context.Background(), key, offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestAnObjectComesBackFromAnyOffset(t *testing.T) {
	eachStore(t, func(t *testing.T, b *Bucket) {
		for _, size := range []int{0, 1, 1000, spoolMemory + 1, 20 << 20} { // the last one in parts
			key, data := fmt.Sprintf("a b/ü+%%41/%d", size), random(size)
			if err := b.Create(t.Context(), key, spool(t, data)); err != nil {
				t.Fatal(err)
			}
			in, err := b.Stat(t.Context(), key)
			if err != nil || in.Size != int64(size) || in.Generation == 0 || in.Key != key || time.Since(in.Modified).Abs() > time.Hour {
				t.Errorf("stat: %+v, %v", in, err)
			}
			if crc := crc32.Checksum(data, castagnoli); !in.HasCRC || in.CRC != crc {
				t.Errorf("%d bytes: the store's checksum is %08x (%v), not %08x", size, in.CRC, in.HasCRC, crc)
			}
			for _, off := range []int{0, 1, size / 2, size - 1, size, size + 5} {
				have, err := read(b, key, int64(max(off, 0)))
				if want := data[min(max(off, 0), size):]; err != nil || !bytes.Equal(have, want) {
					t.Errorf("%d bytes from %d: %d, %v", size, off, len(have), err)
				}
			}
		}
	})
}

func TestOfManyWritersOneCreatesTheObject(t *testing.T) {
	eachStore(t, func(t *testing.T, b *Bucket) {
		for _, size := range []int{100, 9 << 20} {
			key := fmt.Sprint("x/", size)
			errs := make([]error, 4)
			data := make([][]byte, len(errs))
			var wg sync.WaitGroup
			for i := range errs {
				data[i] = append(random(size), byte(i))
				s := spool(t, data[i])
				wg.Go(func() { errs[i] = b.Create(context.Background(), key, s) })
			}
			wg.Wait()
			won := -1
			for i, err := range errs {
				if err == nil && won < 0 {
					won = i
				} else if !errors.Is(err, ErrExists) {
					t.Errorf("writer %d of %d bytes: %v", i, size, err)
				}
			}
			if won < 0 {
				t.Fatal("nobody created it")
			}
			if have, err := read(b, key, 0); err != nil || !bytes.Equal(have, data[won]) {
				t.Errorf("%d bytes, %v: not the winner's", len(have), err)
			}
			if err := b.Create(t.Context(), key, spool(t, data[won])); !errors.Is(err, ErrExists) {
				t.Errorf("the same bytes of another writer: %v", err)
			}
		}
	})
}

func TestListingsInPagesAndByFolder(t *testing.T) {
	page := fake.Page
	fake.Page = 3
	defer func() { fake.Page = page }()
	eachStore(t, func(t *testing.T, b *Bucket) {
		want := []string{}
		for _, dir := range []string{"d/a/", "d/b/", "d/", "e/"} {
			for i := range 7 {
				key := fmt.Sprint(dir, i)
				if err := b.Create(t.Context(), key, spool(t, []byte(key))); err != nil {
					t.Fatal(err)
				}
				if dir == "d/" {
					want = append(want, key)
				}
			}
		}
		var keys, dirs []string
		err := b.List(t.Context(), "d/", "/", func(in Info) {
			keys = append(keys, in.Key)
			if in.Size != int64(len(in.Key)) || in.Generation == 0 {
				t.Errorf("%+v", in)
			}
		}, func(d string) { dirs = append(dirs, d) })
		if err != nil || fmt.Sprint(keys) != fmt.Sprint(want) || fmt.Sprint(dirs) != "[d/a/ d/b/]" {
			t.Errorf("%v %v %v", keys, dirs, err)
		}
		keys = nil
		err = b.List(t.Context(), "d/", "", func(in Info) { keys = append(keys, in.Key) }, nil)
		if err != nil || len(keys) != 21 {
			t.Errorf("all below: %v %v", keys, err)
		}
	})
}

func TestWhatIsNotThere(t *testing.T) {
	eachStore(t, func(t *testing.T, b *Bucket) {
		if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat: %v", err)
		}
		if _, err := read(b, "x", 0); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "://"+b.name+"/x") {
			t.Errorf("read: %v", err)
		}
		none := open(t, b.url[:2], "flowbeam-no-such-bucket")
		if err := none.Create(t.Context(), "x", spool(t, nil)); err == nil || errors.Is(err, ErrExists) {
			t.Errorf("create in no bucket: %v", err)
		}
		if err := none.List(t.Context(), "", "", nil, nil); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list no bucket: %v", err)
		}
	})
}

// A fault that passes is not seen, counted as sent again, and one object is there.
func TestACreatePassesEachFault(t *testing.T) {
	eachFake(t, func(t *testing.T, b *Bucket, fb *fakestore.Bucket) {
		for name, f := range map[string]fakestore.Fault{"unavailable": fakestore.Unavailable, "lost": fakestore.LostReply, "expired": fakestore.Expired, "broken": fakestore.Broken} {
			for size, skip := range map[int]int{100: 0, 16<<20 + 7: 0, 16<<20 + 8: 2, 16<<20 + 9: 3} { // which request of an upload fails
				key, data := fmt.Sprint(name, size), random(size)
				var c Counter
				done := make(chan struct{})
				before := fb.Writes()
				go func() { // the fault begins when skip requests have been made
					defer close(done)
					for fb.Writes() < before+skip && t.Context().Err() == nil {
						time.Sleep(100 * time.Microsecond)
					}
					fb.Fail(f, 2)
				}()
				if skip == 0 {
					<-done
				}
				err := b.Create(WithCounter(t.Context(), &c), key, spool(t, data))
				<-done
				fb.Fail(f, 0)
				if err != nil {
					t.Errorf("%s, %d bytes: %v", name, size, err)
					continue
				}
				if skip == 0 && c.Retried.Load() == 0 {
					t.Errorf("%s, %d bytes: nothing was sent again", name, size)
				}
				if have := fb.Objects()[key]; !bytes.Equal(have, data) {
					t.Errorf("%s, %d bytes: %d are there", name, size, len(have))
				}
			}
		}
	})
}

// Broken replies are by turns one that was cut after the write and a page of a proxy, which
// wrote nothing.
func TestAPageOfAProxyIsNoReply(t *testing.T) {
	eachFake(t, func(t *testing.T, b *Bucket, fb *fakestore.Bucket) {
		for _, key := range []string{"x", "y"} {
			fb.Fail(fakestore.Broken, 1)
			if err := b.Create(t.Context(), key, spool(t, random(100))); err != nil || len(fb.Objects()[key]) != 100 {
				t.Errorf("%s: %d bytes are there: %v", key, len(fb.Objects()[key]), err)
			}
		}
	})
}

func TestAnUploadThatIsCutOffLeavesNothing(t *testing.T) {
	eachFake(t, func(t *testing.T, b *Bucket, fb *fakestore.Bucket) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for fb.Writes() < 2 { // the first part is on its way
				time.Sleep(100 * time.Microsecond)
			}
			cancel()
		}()
		fb.Fail(fakestore.Slow, -1)
		if err := b.Create(ctx, "x", spool(t, random(30<<20))); err == nil {
			t.Fatal("it succeeded")
		}
		fb.Fail(fakestore.Slow, 0)
		if n := len(fb.Objects()); n != 0 {
			t.Errorf("%d objects", n)
		}
		if b.url[:2] == "s3" && fb.Uploads() != 0 {
			t.Errorf("%d uploads hold parts", fb.Uploads())
		}
	})
}

func TestSweepRemovesOldUploadsAlone(t *testing.T) {
	fb := fake.Bucket()
	b := open(t, "s3", fb.Name)
	c, err := b.api.(*s3api).client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin(t, c, b.name, "data/x/part")
	begin(t, c, b.name, "other/part")
	for _, c := range []struct {
		before time.Time
		left   int
	}{{time.Now().Add(-time.Hour), 2}, {time.Now().Add(time.Hour), 1}} {
		if err := b.Sweep(t.Context(), "data", c.before); err != nil || fb.Uploads() != c.left {
			t.Errorf("%d uploads are left, want %d: %v", fb.Uploads(), c.left, err)
		}
	}
}

func TestAReadThatIsCutGoesOnWhereItWas(t *testing.T) {
	eachFake(t, func(t *testing.T, b *Bucket, fb *fakestore.Bucket) {
		data := random(1 << 20)
		fb.Put("x", data, "")
		fb.CutReads(100_000)
		var c Counter
		r, err := b.Reader(WithCounter(t.Context(), &c), "x", 10)
		if err != nil {
			t.Fatal(err)
		}
		have, err := io.ReadAll(r)
		// The client of gs:// does it too, unseen.
		if err != nil || !bytes.Equal(have, data[10:]) || b.url[:2] == "s3" && c.Retried.Load() < 5 {
			t.Errorf("%d bytes, %d times again: %v", len(have), c.Retried.Load(), err)
		}
	})
}

func TestAReadOfAnObjectThatWasReplacedEnds(t *testing.T) {
	eachFake(t, func(t *testing.T, b *Bucket, fb *fakestore.Bucket) {
		fb.Put("x", random(1<<20), "")
		fb.CutReads(100_000)
		r, err := b.Reader(t.Context(), "x", 0)
		if err != nil {
			t.Fatal(err)
		}
		fb.Put("x", random(1<<20+1), "")
		if have, err := io.ReadAll(r); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes of two objects: %v", len(have), err)
		}
	})
}

func TestBytesThatChangedInTheStoreAreNoticed(t *testing.T) {
	eachFake(t, func(t *testing.T, b *Bucket, fb *fakestore.Bucket) {
		for _, size := range []int{100, 9 << 20} {
			key := fmt.Sprint(size)
			if err := b.Create(t.Context(), key, spool(t, random(size))); err != nil {
				t.Fatal(err)
			}
			fb.Flip(key, size/2)
			if have, err := read(b, key, 0); err == nil || len(have) == size || !strings.Contains(err.Error(), "CRC32C") {
				t.Errorf("%d bytes: %v", len(have), err)
			}
		}
	})
}

func TestCompressedObjectsComeAsTheyAreStored(t *testing.T) {
	eachFake(t, func(t *testing.T, b *Bucket, fb *fakestore.Bucket) {
		fb.Put("x.gz", []byte("\x1f\x8b stored"), "gzip")
		if have, err := read(b, "x.gz", 0); err != nil || string(have) != "\x1f\x8b stored" {
			t.Errorf("%q, %v", have, err)
		}
	})
}

// What stays broken ends with an error that names the object, the last reply, and nothing
// that opens a door.
func TestErrorsSayWhereAndNothingSecret(t *testing.T) {
	for _, scheme := range Schemes {
		fb := fake.Bucket()
		b, err := Open(scheme, fb.Name, delivery.Policy{Base: time.Millisecond, Cap: 5 * time.Millisecond, Deadline: 500 * time.Millisecond, Auth: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		for f, say := range map[fakestore.Fault]string{fakestore.Unavailable: "Unavailable", fakestore.Expired: "redential|ExpiredToken", fakestore.LostReply: "", fakestore.Broken: ""} {
			for _, size := range []int{10, 10 << 20} {
				begun, done := make(chan struct{}), make(chan struct{})
				before := fb.Writes()
				go func() {
					defer close(done)
					for size > 100 && fb.Writes() == before { // an upload has its session
						select {
						case <-begun:
							return
						case <-time.After(100 * time.Microsecond):
						}
					}
					fb.Fail(f, -1)
				}()
				if size < 100 {
					<-done
				}
				err := b.Create(t.Context(), fmt.Sprint("dir/x", f, size), spool(t, random(size)))
				close(begun)
				<-done
				fb.Fail(f, 0)
				if err == nil {
					continue // a lost reply's object was found, or the fault came too late
				}
				text := fmt.Sprintf("%v %+v %q", err, err, err)
				if !strings.Contains(text, scheme+"://"+fb.Name+"/dir/x") || strings.Contains(strings.ToLower(text), "canary") {
					t.Errorf("%s", text)
				}
				ok := false
				for s := range strings.SplitSeq(say, "|") {
					ok = ok || strings.Contains(text, s)
				}
				if !ok && size < 100 {
					t.Errorf("want %q in %s", say, text)
				}
			}
		}
	}
}

func TestScrub(t *testing.T) {
	_, err := (&httpGetter{}).get("http://127.0.0.1:1/upload?upload_id=canary&x=y")
	if have := scrub(fmt.Errorf("a: %w", err)); strings.Contains(have.Error(), "canary") || !strings.Contains(have.Error(), "/upload") || !errors.Is(have, err) {
		t.Errorf("%v", have)
	}
}

func TestKeysStayBelowTheirPrefix(t *testing.T) {
	for _, name := range []string{"", "..", "../x", "a/../../x", "/x", "a//b", "a/./b", "a\x00b", "a\nb", "x/", strings.Repeat("x", 1025), "\xff"} {
		if key, err := Join("data", name); err == nil {
			t.Errorf("%q became %q", name, key)
		}
	}
	if key, err := Join("data", "dt=2026-01-01/part-1"); err != nil || key != "data/dt=2026-01-01/part-1" {
		t.Errorf("%q %v", key, err)
	}
}

func FuzzJoin(f *testing.F) {
	f.Add("a/b", "c")
	f.Add("a", "../b")
	f.Fuzz(func(t *testing.T, prefix, name string) {
		prefix, err := Prefix(prefix)
		if err != nil {
			return
		}
		key, err := Join(prefix, name)
		if err != nil {
			return
		}
		if prefix != "" && !strings.HasPrefix(key, prefix+"/") || strings.Contains("/"+key+"/", "/../") {
			t.Errorf("%q", key)
		}
	})
}

func TestSpoolsLeaveNoFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := spool(t, random(3*spoolMemory))
	s.Close()
	s.Close()
	if e, err := os.ReadDir(os.TempDir()); err != nil || len(e) > 0 {
		t.Errorf("%v %v", e, err)
	}
}
