package avrodata

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/hamba/avro/v2/ocf"
)

const rowSchema = `{
	"type": "record", "name": "Row",
	"fields": [{"name": "n", "type": "long"}, {"name": "s", "type": "string"}]
}`

type row struct {
	N int64  `avro:"n"`
	S string `avro:"s"`
}

func file(t testing.TB, codec ocf.CodecName, blockLength int, rows ...row) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := ocf.NewEncoder(rowSchema, &b, ocf.WithCodec(codec), ocf.WithBlockLength(blockLength), ocf.WithSchemaMarshaler(ocf.FullSchemaMarshaler))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(b []byte) (*Container, error) { return OpenContainer(bytes.NewReader(b), int64(len(b))) }

// all are the data of a file, and what ended it.
func all(t testing.TB, b []byte) (data []string, err error) {
	t.Helper()
	c, err := open(b)
	if err != nil {
		return nil, err
	}
	for {
		d, err := c.Next()
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return data, err
		}
		data = append(data, string(d))
	}
}

func TestDataOfEachCodec(t *testing.T) {
	rows := []row{{1, "a"}, {-300, strings.Repeat("long ", 100)}, {3, ""}, {4, "d"}, {5, "e"}}
	for _, codec := range []ocf.CodecName{ocf.Null, ocf.Deflate, ocf.Snappy, ocf.ZStandard} {
		for _, length := range []int{1, 2, 100} {
			got, err := all(t, file(t, codec, length, rows...))
			if err != nil || len(got) != len(rows) {
				t.Fatalf("%s: %d data, %v", codec, len(got), err)
			}
			for i, r := range rows {
				if want := encode(t, rowSchema, r); got[i] != want {
					t.Errorf("%s: %x, want %x", codec, got[i], want)
				}
			}
		}
		c, err := open(file(t, codec, 1))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := c.Next(); err != io.EOF {
			t.Errorf("%s: an empty file has %x, %v", codec, d, err)
		}
		if s, err := Parse(c.SchemaText()); err != nil || s.Fingerprint != c.Schema().Fingerprint || strings.Contains(c.SchemaText(), "\n") {
			t.Errorf("%s: %v", c.SchemaText(), err)
		}
	}
}

func TestBrokenFilesEndWithAnError(t *testing.T) {
	whole := file(t, ocf.Null, 2, row{1, "a"}, row{2, "b"}, row{3, "c"})
	for cut := range len(whole) {
		got, err := all(t, whole[:cut])
		if err == nil && len(got) != 2 && len(got) != 0 { // at the end of a block nothing shows it
			t.Errorf("cut to %d bytes: %d data", cut, len(got))
		}
	}
	for name, change := range map[string]struct {
		old, new string
		want     string
	}{
		"another codec":           {"null", "lzma", `codec "lzma"`},
		"another magic":           {"Obj\x01", "Obj\x02", "no Avro"},
		"a schema that is broken": {`"long"`, `"wide"`, "the file's schema"},
		"a negative size":         {"\x04\x0c\x02\x02a", "\x04\x0b\x02\x02a", "a block of -6 bytes"},
		"a negative count":        {"\x04\x0c\x02\x02a", "\x03\x0c\x02\x02a", "claims -2 records"},
		"too many records":        {"\x04\x0c\x02\x02a", "\x64\x0c\x02\x02a", "claims 50 records in 6 bytes"},
		"records of no number":    {"\x04\x0c\x02\x02a", "\x00\x0c\x02\x02a", "claims 0 records"},
	} {
		if !bytes.Contains(whole, []byte(change.old)) {
			t.Fatalf("%s: %q is not in the file", name, change.old)
		}
		_, err := all(t, bytes.Replace(whole, []byte(change.old), []byte(change.new), 1))
		if err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: %v, want %q", name, err, change.want)
		}
	}
	for _, n := range []int64{-1, maxMeta + 1, 1 << 62} { // of a key in the head
		if _, err := all(t, []byte("Obj\x01\x02"+encode(t, `"long"`, n))); err == nil || !strings.Contains(err.Error(), "a length of") {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	marker := bytes.Clone(whole)
	marker[len(marker)-1] ^= 1
	if got, err := all(t, marker); err == nil || len(got) != 2 {
		t.Errorf("another marker: %d data, %v", len(got), err)
	}
}

// What is left of a block is one datum, and the next block is read.
func TestABrokenDatumTakesTheRestOfItsBlock(t *testing.T) {
	whole := file(t, ocf.Null, 3, row{1, "a"}, row{2, "b"}, row{3, "c"}, row{4, "d"})
	got, err := all(t, bytes.Replace(whole, []byte("\x04\x02b"), []byte("\x04\x22b"), 1))
	want := []string{"\x02\x02a", "\x04\x22b\x06\x02c", "\x08\x02d"}
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q, %v", got, err)
	}
	got, err = all(t, bytes.Replace(whole, []byte("\x06\x12\x02\x02a"), []byte("\x04\x12\x02\x02a"), 1))
	want = []string{"\x02\x02a", "\x04\x02b\x06\x02c", "\x08\x02d"}
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("a block with more than it says: %q, %v", got, err)
	}
}

func TestABlockThatDecompressesBeyondTheLimit(t *testing.T) {
	big := strings.Repeat("x", maxBlock+1)
	for _, codec := range []ocf.CodecName{ocf.Deflate, ocf.Snappy, ocf.ZStandard} {
		if _, err := all(t, file(t, codec, 1, row{1, big})); err == nil {
			t.Errorf("%s: accepted", codec)
		}
	}
}

func FuzzContainer(f *testing.F) {
	for _, codec := range []ocf.CodecName{ocf.Null, ocf.Deflate, ocf.Snappy, ocf.ZStandard} {
		f.Add(file(f, codec, 2, row{1, "a"}, row{2, "b"}, row{3, "c"}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := open(b)
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			d, err := c.Next()
			if err != nil {
				if err == io.ErrUnexpectedEOF {
					t.Fatal("an error that says nothing")
				}
				return
			}
			if len(d) == 0 && n > 1<<20 {
				t.Fatal("data without end")
			}
		}
	})
}

// Data of a file are found in their blocks, beside the library, which decodes them.
func BenchmarkContainer(b *testing.B) {
	rows := make([]row, 10_000)
	for i := range rows {
		rows[i] = row{int64(i) << 20, strings.Repeat("x", i%40)}
	}
	f := file(b, ocf.Snappy, 1000, rows...)
	perRow := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
	}
	b.Run("data", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := open(f)
			if err != nil {
				b.Fatal(err)
			}
			for range rows {
				if _, err := c.Next(); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRow(b)
	})
	b.Run("struct by hamba/avro", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d, err := ocf.NewDecoder(bytes.NewReader(f))
			if err != nil {
				b.Fatal(err)
			}
			for d.HasNext() {
				var r row
				if err := d.Decode(&r); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRow(b)
	})
}
