package filesource

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
	"github.com/flowbeam/flowbeam/internal/filesystem/objectstore"
)

// put makes an object.
func put(t testing.TB, scheme, bucket, key string, data []byte) {
	t.Helper()
	b, err := objectstore.Open(scheme, bucket, delivery.DefaultPolicy)
	if err != nil {
		t.Fatal(err)
	}
	s := objectstore.NewSpool()
	defer s.Close()
	s.Write(data)
	if err := b.Create(context.Background(), key, s); err != nil {
		t.Fatal(err)
	}
}

// buckets runs a test over a bucket of each kind: a fake one, and one of a real server.
func buckets(t *testing.T, f func(t *testing.T, scheme, bucket string)) {
	for _, scheme := range objectstore.Schemes {
		t.Run(scheme, func(t *testing.T) { f(t, scheme, fake.Bucket().Name) })
		t.Run(scheme+" server", func(t *testing.T) { f(t, scheme, fakestore.Real(t, scheme)) })
	}
}

func TestObjectsAreReadOnceInRanges(t *testing.T) {
	buckets(t, func(t *testing.T, scheme, bucket string) {
		r := rand.New(rand.NewPCG(3, 4))
		header := "#headed\n"
		text := append([]byte(header), randomText(r, 3000)...)
		root := scheme + "://" + bucket + "/in/"
		put(t, scheme, bucket, "in/dc=fra/a.log", text)
		put(t, scheme, bucket, "in/dc=fra/b.log.gz", gz(t, text[:len(text)/2], text[len(text)/2:]))
		put(t, scheme, bucket, "in/dc=iad/c.log.zst", zst(t, text))
		put(t, scheme, bucket, "in/other/d.log", text)
		c := run(t, []string{root + "dc=*/*.log*"}, SplitBytes(10_000), DataCenter(`/dc=([^/]+)/`))
		var want []record
		for _, name := range []string{"dc=fra/a.log", "dc=fra/b.log.gz", "dc=iad/c.log.zst"} {
			want = append(want, oracle(root+name, text, len(header))...)
		}
		if d := cmp.Diff(want, c.records(), cmpRecords); d != "" {
			t.Error(d)
		}
		if len(c.failures) > 0 || c.counts["files/files"] != 3 {
			t.Errorf("%v, failures %v", c.counts, c.failures)
		}
		for _, b := range c.batches {
			if want := strings.Split(b.Origin.Source, "/")[4][3:]; b.Origin.DataCenter != want {
				t.Errorf("%s: data center %q", b.Origin.Source, b.Origin.DataCenter)
			}
		}
	})
}

// An object that is served decompressed has other sizes and offsets.
func TestObjectsWithAContentEncodingComeAsStored(t *testing.T) {
	b := fake.Bucket()
	b.Put("x.log", gz(t, []byte("#headed\n1 a\n2 b\n")), "gzip")
	for _, scheme := range objectstore.Schemes {
		c := run(t, []string{scheme + "://" + b.Name + "/*"})
		if have := fmt.Sprint(c.records()); len(c.failures) > 0 || !strings.Contains(have, "1 a") || !strings.Contains(have, "2 b") {
			t.Errorf("%s: %v, %v", scheme, have, c.failures)
		}
	}
}

func TestAConnectionThatIsCutLosesNoLine(t *testing.T) {
	b := fake.Bucket()
	text := append([]byte("#headed\n"), randomText(rand.New(rand.NewPCG(5, 6)), 3000)...)
	b.Put("x.log", text, "")
	b.CutReads(20_000)
	for _, scheme := range objectstore.Schemes {
		url := scheme + "://" + b.Name + "/x.log"
		c := run(t, []string{url}, SplitBytes(100_000))
		if d := cmp.Diff(oracle(url, text, 8), c.records(), cmpRecords); d != "" {
			t.Error(d)
		}
	}
}

// Parts of two objects of one name must not pass for one file.
func TestAnObjectThatIsReplacedAfterTheMatchIsADeadLetter(t *testing.T) {
	for _, scheme := range objectstore.Schemes {
		b := fake.Bucket()
		b.Put("x.log", []byte("#headed\n1 a\n"), "")
		files, err := expand(t.Context(), []string{scheme + "://" + b.Name + "/x.log"})
		if err != nil {
			t.Fatal(err)
		}
		b.Put("x.log", []byte("#headed\n1 b\n"), "")
		c, err := newConfig(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.openPart(t.Context(), files[0], 0, files[0].Size)
		f, ok := err.(*failure)
		if !ok || f.Reason != flow.ReasonCorrupt || !strings.Contains(f.Failure.Error, "replaced") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}
