package filesource

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func TestDataCenterFromThePath(t *testing.T) {
	for _, tc := range []struct{ spec, path, want string }{
		{"", "/a/b.log", ""},
		{"fra", "/a/b.log", "fra"},
		{`/dc=([^/]+)/`, "/a/dc=ams/b.log", "ams"},
		{`/dc=([^/]+)/`, "/a/b.log", ""},
		{`(?:site|dc)-([a-z]+)`, "/a/site-lon/b.log", "lon"},
	} {
		c, err := newConfig([]Option{DataCenter(tc.spec)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.setup(); err != nil {
			t.Fatal(err)
		}
		if got := c.dataCenterOf(tc.path); got != tc.want {
			t.Errorf("%q of %q: %q, want %q", tc.spec, tc.path, got, tc.want)
		}
	}
	dir := t.TempDir()
	write(t, dir, "dc=ams/x.log", []byte("a\n"))
	got := run(t, []string{dir + "/**"}, Format("plain"), DataCenter("/dc=([^/]+)/"), Tenant("acme"), Header("a b c"))
	if o := got.batches[0].Origin; o.DataCenter != "ams" || o.Tenant != "acme" || o.Header != "a b c" {
		t.Errorf("origin %+v", o)
	}
}

func TestAFilesOwnHeaderGoesBeforeTheDeclaredOne(t *testing.T) {
	path := write(t, t.TempDir(), "in", []byte("#headed\na\n"))
	if got := run(t, []string{path}, Header("declared")); got.batches[0].Origin.Header != "#headed\n" {
		t.Errorf("origin %+v", got.batches[0].Origin)
	}
}

// What a declared header says of all files stays true where they have headers of their own.
func TestADeclaredZoneGoesBeforeAFilesOwnHeader(t *testing.T) {
	path := write(t, t.TempDir(), "in", []byte("#headed\na\n"))
	for declared, want := range map[string]string{
		"#timezone Asia/Tokyo":               "#timezone Asia/Tokyo\n#headed\n",
		"#timezone Asia/Tokyo\n":             "#timezone Asia/Tokyo\n#headed\n",
		"#timezone Asia/Tokyo\nother header": "#timezone Asia/Tokyo\n#headed\n",
		"other header\n#timezone Asia/Tokyo": "#headed\n",
	} {
		if got := run(t, []string{path}, Header(declared)); got.batches[0].Origin.Header != want {
			t.Errorf("%q: origin %+v", declared, got.batches[0].Origin)
		}
	}
}

func TestWiringMistakesPanic(t *testing.T) {
	for _, tc := range []struct {
		want  string
		globs []string
		opts  []Option
	}{
		{"no globs", nil, nil},
		{"an empty glob", []string{""}, nil},
		{"no storage for gopher://; known are local paths and file://", []string{"gopher://x/y"}, nil},
		{"[ without its ]", []string{"/a/[b"}, nil},
		{`"nope" is not registered; known are `, []string{"x"}, []Option{Format("nope")}},
		{"has 2 groups", []string{"x"}, []Option{DataCenter("(a)(b)")}},
		{"has 0 groups", []string{"x"}, []Option{DataCenter("(?:a)")}},
		{"missing closing )", []string{"x"}, []Option{DataCenter("(a")}},
		{"MaxLine: 0", []string{"x"}, []Option{MaxLine(0)}},
		{"Skew: -1s", []string{"x"}, []Option{Skew(-time.Second)}},
		{"Watch: interval -1s", []string{"x"}, []Option{Watch(-time.Second)}},
		{"exclude each other", []string{"x"}, []Option{Watch(time.Second), Batch()}},
		{"are for Watch", []string{"x"}, []Option{StopAfter(1)}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			defer func() {
				if msg := fmt.Sprint(recover()); !strings.HasPrefix(msg, "filesource.Read: ") || !strings.Contains(msg, tc.want) {
					t.Errorf("panic %q", msg)
				}
			}()
			_, s := beam.NewPipelineWithRoot()
			Read(s, tc.globs, tc.opts...)
		})
	}
}

func TestAGlobThatMatchesNothingIsAnErrorThatNamesIt(t *testing.T) {
	dir := t.TempDir()
	there := write(t, dir, "a.log", []byte("a\n"))
	if err := Check([]string{there, dir + "/*.log"}); err != nil {
		t.Error(err)
	}
	absent := []string{filepath.Join(dir, "*.gz"), filepath.Join(dir, "none"), dir}
	err := Check(append(absent, there))
	for _, g := range absent {
		if err == nil || !strings.Contains(err.Error(), g) {
			t.Errorf("%s isn't named by %v", g, err)
		}
	}
	if _, err := tryRun(t, []string{dir + "/*.gz"}, Format("plain")); err == nil || !strings.Contains(err.Error(), "*.gz") {
		t.Errorf("run: %v", err)
	}
}

// A declared format that the files are not of is said before a run starts.
func TestAWrongFormatIsNamedBeforeTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "1.log.gz", gz(t, []byte("\ufeff#headed\na\n")))
	write(t, dir, "2.log", []byte("1768478400 a\n"))
	if err := Check([]string{dir + "/*.gz"}, Format("clocked")); err == nil || !strings.Contains(err.Error(), "1.log.gz") || !strings.Contains(err.Error(), "looks like headed") {
		t.Errorf("%v", err)
	}
	if err := Check([]string{dir + "/*.log", dir + "/*.gz"}, Format("headed")); err == nil || !strings.Contains(err.Error(), "looks like clocked") || strings.Contains(err.Error(), ".gz") {
		t.Errorf("%v", err)
	}
	write(t, dir, "3.txt", []byte("anything"))
	write(t, dir, "4.txt.gz", gz(t, []byte("anything"))[:9]) // broken: the read says so
	for _, opts := range [][]Option{{}, {Format("plain")}, {Format("clocked"), Header("#headed")}} {
		if err := Check([]string{dir + "/1*", dir + "/3*"}, opts...); err != nil {
			t.Error(err)
		}
	}
	if err := Check([]string{dir + "/3*", dir + "/4*"}, Format("clocked")); err != nil {
		t.Error(err)
	}
}

func TestAFileThatSeveralGlobsMatchIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "a.log", []byte("a\n"))
	if got := run(t, []string{path, dir + "/*", dir + "/**"}, Format("plain")).records(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
