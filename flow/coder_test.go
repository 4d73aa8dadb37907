package flow

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
)

// fill sets every exported leaf of v to a value that is not zero and differs from the
// other leaves'.
func fill(v reflect.Value, n *int) {
	*n++
	switch p := v.Addr().Interface().(type) {
	case *Int:
		*p = N(int64(*n))
		return
	case *Float:
		*p = F(float64(*n) + 0.5)
		return
	case *IP:
		*p = IP{B: [16]byte{10, 1, byte(*n >> 8), byte(*n)}, Len: 4}
		return
	case *Value:
		*p = StringValue(fmt.Sprint("value", *n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text", *n))
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(int64(*n)%100 + 1)
	case reflect.Uint8:
		v.SetUint(uint64(*n)%255 + 1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.25)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				panic(fmt.Sprintf("%v.%s is not exported: coders lose it", v.Type(), v.Type().Field(i).Name))
			}
			fill(v.Field(i), n)
		}
	default:
		panic(fmt.Sprintf("a field of type %v: teach fill", v.Type()))
	}
}

func filled[T any](seed int) T {
	var v T
	fill(reflect.ValueOf(&v).Elem(), &seed)
	return v
}

// leaves calls f for every field of v that a column would hold.
func leaves(v reflect.Value, path string, f func(path string, leaf reflect.Value)) {
	switch v.Addr().Interface().(type) {
	case *Int, *Float, *IP, *ID, *[]Label, *[]Extension:
		f(path, v)
		return
	}
	if v.Kind() != reflect.Struct {
		f(path, v)
		return
	}
	for i := range v.NumField() {
		leaves(v.Field(i), path+"."+v.Type().Field(i).Name, f)
	}
}

func recordLeaves(r *Record, f func(path string, leaf reflect.Value)) {
	leaves(reflect.ValueOf(r).Elem(), "Record", f)
}

// viaBeam sends v through the coder that Beam has for its type.
func viaBeam[T any](t testing.TB, v T) T {
	t.Helper()
	out, err := decodeViaBeam[T](encodeViaBeam(t, v))
	if err != nil {
		t.Fatalf("decode %T: %v", v, err)
	}
	return out
}

func encodeViaBeam[T any](t testing.TB, v T) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := beam.NewElementEncoder(reflect.TypeFor[T]()).Encode(v, &buf); err != nil {
		t.Fatalf("encode %T: %v", v, err)
	}
	return buf.Bytes()
}

func decodeViaBeam[T any](b []byte) (T, error) {
	v, err := beam.NewElementDecoder(reflect.TypeFor[T]()).Decode(bytes.NewReader(b))
	if err != nil {
		var zero T
		return zero, err
	}
	return v.(T), nil
}

func TestEveryFieldOfTheRecordIsInTheFieldTable(t *testing.T) {
	var r Record
	covered := map[any]string{}
	for _, c := range Records.Columns {
		if c.Ref == nil {
			continue
		}
		if other, ok := covered[c.Ref(&r)]; ok {
			t.Errorf("columns %s and %s refer to one field", other, c.Name)
		}
		covered[c.Ref(&r)] = c.Name
	}
	n := 0
	recordLeaves(&r, func(path string, leaf reflect.Value) {
		n++
		if _, ok := covered[leaf.Addr().Interface()]; !ok {
			t.Errorf("%s has no column in Records: the coder and every store would lose it", path)
		}
	})
	if n != len(covered) {
		t.Errorf("%d fields, %d columns with a field", n, len(covered))
	}
}

func TestCoderKeepsEveryField(t *testing.T) {
	t.Run("Record", func(t *testing.T) { roundTrip(t, filled[Record](0)) })
	t.Run("Batch", func(t *testing.T) { roundTrip(t, filled[Batch](300)) })
	t.Run("RawBatch", func(t *testing.T) { roundTrip(t, filled[RawBatch](7)) })
	t.Run("FailureBatch", func(t *testing.T) { roundTrip(t, filled[FailureBatch](9)) })
	t.Run("RollupBatch", func(t *testing.T) {
		b := filled[RollupBatch](11)
		b.Rows[0].Group = []Value{IntValue(-3), {}}
		b.Rows[1].Group = []Value{FloatValue(1.5), BoolValue(true)}
		b.Rows[1].Measures = []Value{TimeValue(77), {Kind: KindIP, Str: "::1"}}
		roundTrip(t, b)
	})
	t.Run("Count", func(t *testing.T) { roundTrip(t, filled[Count](0)) })
	t.Run("empty batches", func(t *testing.T) {
		roundTrip(t, Batch{})
		roundTrip(t, RawBatch{})
		roundTrip(t, FailureBatch{})
		roundTrip(t, RollupBatch{})
		roundTrip(t, Record{})
	})
}

func roundTrip[T any](t *testing.T, v T) {
	t.Helper()
	if diff := cmp.Diff(v, viaBeam(t, v)); diff != "" {
		t.Errorf("%T changed on the wire (-sent +received):\n%s", v, diff)
	}
}

func TestCoderKeepsAbsentApartFromZero(t *testing.T) {
	var zeros, absents Record
	n := 0
	recordLeaves(&zeros, func(_ string, leaf reflect.Value) {
		switch p := leaf.Addr().Interface().(type) {
		case *Int:
			*p = N(0)
			n++
		case *Float:
			*p = F(0)
			n++
		case *IP:
			*p = IP{Len: 4}
			n++
		}
	})
	if n < 40 {
		t.Fatalf("only %d optional fields found", n)
	}
	// Each of the two after the other, so that the bits for "as before" are seen too.
	b := Batch{Records: []Record{zeros, absents, zeros, zeros, absents, absents}}
	roundTrip(t, b)
	if zeros.Source.Bytes == absents.Source.Bytes {
		t.Error("a present zero equals absent")
	}
	if got := string(AppendRecordJSON(nil, &zeros)); !strings.Contains(got, `"source_bytes":0`) || !strings.Contains(got, `"source_ip":"0.0.0.0"`) {
		t.Errorf("JSON lost a present zero: %s", got)
	}
	if got := string(AppendRecordJSON(nil, &absents)); got != `{"revision":0,"late":false}` {
		t.Errorf("JSON of an empty record: %s", got)
	}
}

func TestLengthOfAnEncodedBatch(t *testing.T) {
	for _, n := range []int{0, 1, 300} {
		b := Batch{Watermark: math.MinInt64, Records: make([]Record, n)}
		if have, err := BatchLen(EncodeBatch(&b)); have != n || err != nil {
			t.Errorf("%d, %v; want %d", have, err, n)
		}
	}
	for _, garbage := range []string{"", "\x00", "\x01", "\x01\x00", "\xff\x00\x01"} {
		if n, err := BatchLen([]byte(garbage)); err == nil {
			t.Errorf("%q has %d records", garbage, n)
		}
	}
}

func TestCoderOfRecordsAfterOneAnother(t *testing.T) {
	full, other := filled[Record](0), filled[Record](500)
	oneChanged := full.Clone()
	oneChanged.Source.Bytes = N(-5)
	extremes := Record{EventTime: math.MaxInt64, Start: math.MinInt64, Revision: math.MinInt64,
		Source:       Endpoint{Bytes: N(math.MaxInt64), Packets: N(math.MinInt64), IP: MustIP("::")},
		LossInternal: F(math.Inf(-1)), LossExternal: F(math.Copysign(0, -1))}
	opposite := Record{EventTime: math.MinInt64, Start: math.MaxInt64, Revision: math.MaxInt64,
		Source: Endpoint{Bytes: N(math.MinInt64), Packets: N(math.MaxInt64), IP: MustIP("0.0.0.0")}}
	for name, records := range map[string][]Record{
		"equal":                          {full, full, full},
		"all different":                  {full, other, full},
		"one field differs":              {full, oneChanged, oneChanged, full},
		"empty between full":             {full, {}, full, {}, {}},
		"empty alone":                    {{}, {}, {}},
		"differences that overflow":      {extremes, opposite, extremes},
		"4-byte after 16-byte addresses": {{Source: Endpoint{IP: MustIP("2001:db8::1")}}, {Source: Endpoint{IP: MustIP("192.0.2.1")}}},
		"text of every byte":             {{Original: allBytes()}, {Original: allBytes()}, {Original: "\x00"}},
	} {
		t.Run(name, func(t *testing.T) { roundTrip(t, Batch{Records: records, Watermark: -1}) })
	}
	t.Run("a value left behind in an absent field", func(t *testing.T) {
		b := Batch{Records: []Record{{Revision: 1, Source: Endpoint{Bytes: Int{V: 9}}}, {Revision: 1, Source: Endpoint{Bytes: N(10)}}}}
		got := viaBeam(t, b)
		if got.Records[1].Source.Bytes != N(10) || got.Records[0].Source.Bytes != (Int{}) {
			t.Errorf("got %v, %v", got.Records[0].Source.Bytes, got.Records[1].Source.Bytes)
		}
	})
}

func allBytes() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

func TestCoderOfABatchCostsLittlePerRecord(t *testing.T) {
	b := probeBatch(1000)
	if n := len(EncodeBatch(&b)) / len(b.Records); n > 90 {
		t.Errorf("%d bytes a record, want at most 90", n)
	}
}

func TestDecodersRefuseGarbage(t *testing.T) {
	whole := EncodeBatch(&Batch{Records: []Record{filled[Record](0), filled[Record](1)}})
	t.Run("cut anywhere", func(t *testing.T) {
		for n := range whole {
			if b, err := DecodeBatch(whole[:n]); err == nil || b.Records != nil {
				t.Fatalf("accepted the first %d of %d bytes", n, len(whole))
			}
		}
	})
	t.Run("bytes after the end", func(t *testing.T) {
		if b, err := DecodeBatch(append(bytes.Clone(whole), 0)); err == nil || b.Records != nil {
			t.Error("accepted")
		}
	})
	t.Run("a newer wire version", func(t *testing.T) {
		newer := bytes.Clone(whole)
		newer[0]++
		if _, err := DecodeBatch(newer); !errors.Is(err, ErrNewer) {
			t.Errorf("got %v, want ErrNewer", err)
		}
	})
	t.Run("a field that this build does not know", func(t *testing.T) {
		if _, err := DecodeBatch(unknownField()); !errors.Is(err, ErrNewer) {
			t.Errorf("got %v, want ErrNewer", err)
		}
	})
	t.Run("as before, of a field that is always written", func(t *testing.T) {
		e := encoder{b: []byte{wireVersion}}
		e.i64(0)
		e.u64(1)
		e.b = append(e.b, 3)
		e.bitmap(bitmap{1}) // the id
		e.bitmap(bitmap{1})
		if _, err := DecodeBatch(e.b); !errors.Is(err, errGarbage) {
			t.Errorf("got %v", err)
		}
	})
}

func unknownField() []byte {
	var unknown bitmap
	unknown.set(len(wire.slots))
	e := encoder{b: []byte{wireVersion}}
	e.i64(0)
	e.u64(1)
	e.b = append(e.b, 1)
	e.bitmap(unknown)
	return e.b
}

func TestBeamCodersReturnErrors(t *testing.T) {
	// The element coder writes the length before what the type's coder wrote.
	prefixed := func(b []byte) []byte { e := encoder{}; e.str(string(b)); return e.b }
	newer, garbage := prefixed([]byte{wireVersion + 1}), prefixed([]byte{wireVersion, 0xff})
	check := func(name string, err error, want error) {
		if !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", name, err, want)
		}
	}
	_, err := decodeViaBeam[Batch](newer)
	check("Batch", err, ErrNewer)
	_, err = decodeViaBeam[Batch](prefixed(unknownField()))
	check("Batch with an unknown field", err, ErrNewer)
	_, err = decodeViaBeam[Batch](garbage)
	check("Batch", err, errGarbage)
	_, err = decodeViaBeam[Batch](prefixed(nil))
	check("Batch of no bytes", err, errGarbage)
	_, err = decodeViaBeam[Record](newer)
	check("Record", err, ErrNewer)
	_, err = decodeViaBeam[Record](garbage)
	check("Record", err, errGarbage)
	_, err = decodeViaBeam[RawBatch](newer)
	check("RawBatch", err, ErrNewer)
	_, err = decodeViaBeam[RawBatch](garbage)
	check("RawBatch", err, errGarbage)
	_, err = decodeViaBeam[FailureBatch](newer)
	check("FailureBatch", err, ErrNewer)
	_, err = decodeViaBeam[FailureBatch](garbage)
	check("FailureBatch", err, errGarbage)
	_, err = decodeViaBeam[RollupBatch](newer)
	check("RollupBatch", err, ErrNewer)
	_, err = decodeViaBeam[RollupBatch](garbage)
	check("RollupBatch", err, errGarbage)
}

// memory that decoding n bytes may ask for: the struct of a record is about 110 times the
// least that a record takes on the wire, and what is in it comes on top.
func memoryBound(n int) uint64 { return 130*uint64(n) + 16<<10 }

// allocated says how many bytes f allocated. Other goroutines' count too, so callers
// measure again before they complain.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func checkMemory(t *testing.T, n int, f func()) {
	t.Helper()
	var got uint64
	for range 3 {
		if got = allocated(f); got <= memoryBound(n) {
			return
		}
	}
	t.Fatalf("decoding %d bytes allocated %d, more than %d", n, got, memoryBound(n))
}

func TestDecodersAskForMemoryInProportion(t *testing.T) {
	header := func(count uint64, tail string) []byte {
		e := encoder{b: []byte{wireVersion}}
		e.i64(0)
		e.u64(count)
		return append(e.b, tail...)
	}
	for name, b := range map[string][]byte{
		"a count without records":      header(1<<40, ""),
		"many records of one byte":     header(60000, strings.Repeat("\x00", 60000)),
		"as many as the bytes allow":   header(60000/minRecord, strings.Repeat("\x00", 60000)),
		"a list longer than the bytes": append(header(1, "\x01"), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\xff\xff\x03"...),
	} {
		t.Run(name, func(t *testing.T) {
			checkMemory(t, len(b), func() {
				if got, err := DecodeBatch(b); err == nil && len(got.Records) != 60000/minRecord {
					t.Errorf("accepted: %d records", len(got.Records))
				}
			})
		})
	}
}

func FuzzDecodeBatch(f *testing.F) {
	b := probeBatch(3)
	f.Add(EncodeBatch(&b))
	f.Add(EncodeBatch(&Batch{Records: []Record{filled[Record](0), {}, filled[Record](0), filled[Record](9)}}))
	f.Add(unknownField())
	f.Add([]byte{wireVersion, 0, 200, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzDecoder(t, b, (*encoder).batch, (*decoder).batch)
	})
}

func FuzzDecodeRecord(f *testing.F) {
	r := filled[Record](0)
	f.Add(encodeValue(&r, (*encoder).record1))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzDecoder(t, b, (*encoder).record1, (*decoder).record1) })
}

func FuzzDecodeRawBatch(f *testing.F) {
	v := filled[RawBatch](0)
	f.Add(encodeValue(&v, (*encoder).rawBatch))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzDecoder(t, b, (*encoder).rawBatch, (*decoder).rawBatch) })
}

func FuzzDecodeFailureBatch(f *testing.F) {
	v := filled[FailureBatch](0)
	f.Add(encodeValue(&v, (*encoder).failures))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzDecoder(t, b, (*encoder).failures, (*decoder).failures) })
}

func FuzzDecodeRollupBatch(f *testing.F) {
	v := filled[RollupBatch](0)
	f.Add(encodeValue(&v, (*encoder).rollups))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzDecoder(t, b, (*encoder).rollups, (*decoder).rollups) })
}

// fuzzDecoder holds a decoder to this: no panic, memory in proportion to the input, and
// what is accepted is a fixed point of encoding and decoding.
func fuzzDecoder[T any](t *testing.T, b []byte, enc func(*encoder, *T), dec func(*decoder, *T)) {
	var v T
	var err error
	checkMemory(t, len(b), func() { v, err = decodeValue(b, dec) })
	if err != nil {
		if !errors.Is(err, errGarbage) && !errors.Is(err, ErrNewer) {
			t.Fatalf("an error of another kind: %v", err)
		}
		return
	}
	again := encodeValue(&v, enc)
	w, err := decodeValue(again, dec)
	if err != nil {
		t.Fatalf("does not read what it wrote: %v", err)
	}
	if last := encodeValue(&w, enc); !bytes.Equal(again, last) {
		t.Fatalf("written twice it differs:\n%x\n%x", again, last)
	}
}

func TestAppendTimeIsRFC3339(t *testing.T) {
	for _, s := range []string{
		"1970-01-01T00:00:00.000000001Z", "1969-12-31T23:59:59.999999999Z", "1677-09-23T00:00:00Z", "2262-04-11T23:47:16.854775807Z",
		"2000-02-29T12:34:56.7Z", "1900-02-28T23:59:59Z", "1900-03-01T00:00:00Z", "2024-02-29T00:00:00.05Z", "2024-12-31T23:59:59.123456Z", "2026-10-05T07:08:09Z",
	} {
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AppendTime(nil, TimeOf(want))); got != s {
			t.Errorf("got %s, want %s", got, s)
		}
	}
	for d := range 366 * 401 { // every day of a cycle of the calendar
		tm := Time(time.Date(1850, 1, 1, 6, 0, 0, 0, time.UTC).Add(time.Duration(d) * 24 * time.Hour).UnixNano())
		if got, want := string(AppendTime(nil, tm)), tm.Std().Format(time.RFC3339Nano); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}
