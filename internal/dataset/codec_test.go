package dataset

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/google/go-cmp/cmp"
)

// memFile is a File in memory.
type memFile struct{ *bytes.Reader }

func (memFile) Close() error { return nil }

func memory(b []byte) File { return memFile{bytes.NewReader(b)} }

// fill sets every field of a struct to a value of its own, text with what formats quote.
func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *flow.Int:
		*x = flow.N(int64(*n) - 3)
		return
	case *flow.Float:
		*x = flow.F(float64(*n) / 7)
		return
	case *flow.Time:
		*x = flow.TimeOf(time.Date(2026, 3, 1, 23, 59, 59, *n*1000, time.UTC))
		return
	case *flow.IP:
		if *x = flow.MustIP(fmt.Sprintf("10.0.0.%d", *n%256)); *n%2 == 0 {
			*x = flow.MustIP(fmt.Sprintf("2001:db8::%x", *n))
		}
		return
	case *flow.ID:
		*x = flow.NewID("test", []byte{byte(*n)})
		return
	case *[]flow.Label:
		*x = []flow.Label{{Name: "a,b", Value: fmt.Sprintf("\"%d\"\n", *n)}, {Name: "ü", Value: ""}}
		return
	case *[]flow.Extension:
		*x = []flow.Extension{flow.Ext("s", "x}\"],"), flow.ExtN("n", int64(*n)), {Name: "b", Text: "true", Kind: flow.ExtBool}}
		return
	case *[]byte:
		*x = []byte{0, 255, '\n', byte(*n)}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf(" t,%d\r\n\"q\"\t\\ü\x00", *n))
	case reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(v.Type().String())
	}
}

func fullRecord(n int) flow.Record {
	var r flow.Record
	fill(reflect.ValueOf(&r).Elem(), &n)
	return r
}

func encode[T any](t testing.TB, table *flow.Table[T], f Format, c Compression, rows []T) []byte {
	t.Helper()
	var buf bytes.Buffer
	enc, err := NewEncoder(&buf, table, f, c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := enc.Write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func eachCodec(t *testing.T, f func(t *testing.T, format Format, c Compression)) {
	for _, format := range Formats {
		for _, c := range Compressions {
			if ValidateFormat(format, c) != nil {
				continue
			}
			t.Run(string(format)+"/"+string(c), func(t *testing.T) { f(t, format, c) })
		}
	}
}

func TestRecordsComeBackFromEveryFormatAndCompression(t *testing.T) {
	want := []flow.Record{fullRecord(0), {ID: flow.NewID("test", []byte("bare")), Format: "x", EventTime: 1e15}, fullRecord(1000)}
	// Absent and zero differ.
	want[1].Source.Bytes = flow.N(0)
	want[1].LossInternal = flow.F(0)
	for i := range 1500 { // over chunks
		r := flow.Record{ID: flow.NewID("test", fmt.Append(nil, i)), Format: "x", EventTime: flow.Time(1e15 + i*1000)}
		if i%3 == 0 {
			r.UserID = fmt.Sprint("user-", i)
			r.Source.IP = flow.MustIP("192.0.2.1")
		}
		want = append(want, r)
	}
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		b := encode(t, &flow.Records, f, c, want)
		var have []flow.Record
		if err := ReadRows(memory(b), &flow.Records, f, c, func(r *flow.Record) error {
			have = append(have, r.Clone())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(want, have) {
			d := cmp.Diff(want, have)
			t.Errorf("(-want +have)\n%s", d)
		}
		var ids []flow.ID
		if err := readColumns(memory(b), f, c, []column{{"record_id", flow.KindID}}, func(v []flow.Value) error {
			id, err := flow.ParseID(v[0].Str)
			ids = append(ids, id)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if ids[i] != want[i].ID {
				t.Fatalf("id %d = %v, want %v", i, ids[i], want[i].ID)
			}
		}
	})
}

// The Parquet schema is made for the library here, and as text, which is committed, in flow.
func TestTheParquetSchemaIsTheCommittedOne(t *testing.T) {
	lines := func(s string) (out []string) {
		for l := range strings.Lines(s) {
			l = strings.ReplaceAll(l, "isAdjustedToUTC=true,unit=MICROS", "MICROS,true")
			l = strings.ReplaceAll(l, " (INT(64,true))", "") // what an int64 is anyway
			if l = strings.TrimSpace(l); !strings.HasPrefix(l, "message") {
				out = append(out, l)
			}
		}
		return out
	}
	for _, c := range []struct{ have, want string }{
		{parquetSchema(&flow.Records).String(), string(flow.Records.ParquetSchema())},
		{parquetSchema(&flow.Failures).String(), string(flow.Failures.ParquetSchema())},
	} {
		if d := cmp.Diff(lines(c.want), lines(c.have)); d != "" {
			t.Errorf("(-flow +here)\n%s", d)
		}
	}
}

func TestBelowAMicrosecondIsLostInParquetAndAvroAndKeptInText(t *testing.T) {
	r := []flow.Record{{ID: flow.ID{1}, Format: "x", EventTime: 1e18 + 1_999}, {ID: flow.ID{2}, Format: "x", EventTime: -1}}
	for f, want := range map[Format][2]flow.Time{Parquet: {1e18 + 1000, -1000}, Avro: {1e18 + 1000, -1000}, NDJSON: {1e18 + 1999, -1}, CSV: {1e18 + 1999, -1}} {
		var have []flow.Time
		err := ReadRows(memory(encode(t, &flow.Records, f, None, r)), &flow.Records, f, None, func(r *flow.Record) error {
			have = append(have, r.EventTime)
			return nil
		})
		if err != nil || len(have) != 2 || [2]flow.Time(have) != want {
			t.Errorf("%s: %v, %v, want %v", f, have, err, want)
		}
	}
}

func TestBytesThatAreNotUTF8AreReplaced(t *testing.T) {
	r := []flow.Record{{ID: flow.ID{1}, Format: "a\xff\xfeb", EventTime: 1}}
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		err := ReadRows(memory(encode(t, &flow.Records, f, c, r)), &flow.Records, f, c, func(r *flow.Record) error {
			if r.Format != "a\ufffd\ufffdb" {
				t.Errorf("format = %q", r.Format)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestACutFileIsAnError(t *testing.T) {
	var rows []flow.Record
	for i := range 50 {
		rows = append(rows, fullRecord(i))
	}
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		whole := encode(t, &flow.Records, f, c, rows)
		for _, cut := range []int{1, len(whole) / 2, len(whole) - 1} {
			n := 0
			if err := ReadRows(memory(whole[:cut]), &flow.Records, f, c, func(*flow.Record) error { n++; return nil }); err == nil {
				t.Errorf("cut at %d of %d bytes: %d rows and no error", cut, len(whole), n)
			}
		}
	})
}

func TestUselessCompressionsAreRefused(t *testing.T) {
	for _, f := range []Format{NDJSON, CSV} {
		if _, err := NewEncoder(io.Discard, &flow.Records, f, Snappy); err == nil {
			t.Errorf("%s with snappy was taken", f)
		}
	}
	if ValidateFormat("xml", None) == nil || ValidateFormat(CSV, "lzma") == nil {
		t.Error("an unknown name was taken")
	}
}

func FuzzCSVField(f *testing.F) {
	for _, s := range []string{"", "a", `"`, "a\r\nb", ` "x",`, "\r", "\n", "ü\xff"} {
		f.Add(s, s)
		f.Add(s+"\xff\xfe", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		rows := []flow.Record{{ID: flow.ID{1}, Format: a, Original: b, EventTime: 1}}
		want := []string{validText(a), validText(b)}
		for _, format := range []Format{CSV, NDJSON} {
			err := ReadRows(memory(encode(t, &flow.Records, format, None, rows)), &flow.Records, format, None, func(r *flow.Record) error {
				if have := []string{r.Format, r.Original}; !reflect.DeepEqual(have, want) {
					t.Errorf("%s: %q, want %q", format, have, want)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
	})
}
