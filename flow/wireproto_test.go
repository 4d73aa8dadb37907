package flow

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protoMessage is the message that an encoder's fields describe.
func protoMessage(t testing.TB, fields []ProtoField) protoreflect.MessageDescriptor {
	t.Helper()
	types := map[Kind]descriptorpb.FieldDescriptorProto_Type{
		KindInt: descriptorpb.FieldDescriptorProto_TYPE_INT64, KindTime: descriptorpb.FieldDescriptorProto_TYPE_INT64,
		KindFloat: descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, KindBool: descriptorpb.FieldDescriptorProto_TYPE_BOOL,
		KindBytes: descriptorpb.FieldDescriptorProto_TYPE_BYTES,
	}
	m := &descriptorpb.DescriptorProto{Name: proto.String("row")}
	for _, f := range fields {
		typ, ok := types[f.Kind]
		if !ok {
			typ = descriptorpb.FieldDescriptorProto_TYPE_STRING
		}
		m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
			Name: proto.String(f.Name), Number: proto.Int32(int32(f.Number)), Type: &typ,
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("row.proto"), Syntax: proto.String("proto2"), MessageType: []*descriptorpb.DescriptorProto{m},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0)
}

// decodeProto reads a message by reflection: column to value, absent ones left out.
func decodeProto(t testing.TB, d protoreflect.MessageDescriptor, b []byte) map[string]any {
	t.Helper()
	m := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatalf("not a message: %v", err)
	}
	if len(m.GetUnknown()) > 0 {
		t.Fatalf("%d bytes of unknown fields", len(m.GetUnknown()))
	}
	out := map[string]any{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		out[string(f.Name())] = v.Interface()
		return true
	})
	// Of a field that stands in the message twice the last one counts: one per field here.
	if again, err := proto.Marshal(m); err != nil || len(again) != len(b) {
		t.Fatalf("%d bytes, and %d when reflection writes it: %v", len(b), len(again), err)
	}
	return out
}

// columnValues is the same by way of Column.Get.
func columnValues[T any](table *Table[T], row *T) map[string]any {
	out := map[string]any{}
	for i := range table.Columns {
		c := &table.Columns[i]
		switch v := c.Get(row); v.Kind {
		case 0:
		case KindInt:
			out[c.Name] = v.Int
		case KindTime:
			out[c.Name] = int64(math.Floor(float64(v.Int%1000)/1000)) + v.Int/1000
		case KindFloat:
			out[c.Name] = v.Float
		case KindBool:
			out[c.Name] = v.Int != 0
		case KindBytes:
			out[c.Name] = []byte(v.Str)
		default:
			out[c.Name] = string([]rune(v.Str)) // U+FFFD for each byte that is not UTF-8
		}
	}
	return out
}

func sameProto[T any](t testing.TB, table *Table[T], e *ProtoEncoder[T], d protoreflect.MessageDescriptor, row *T) {
	t.Helper()
	have, want := decodeProto(t, d, e.Append(nil, row)), columnValues(table, row)
	for name, v := range want {
		h := have[name]
		if f, ok := v.(float64); ok && math.IsNaN(f) {
			if g, ok := h.(float64); !ok || !math.IsNaN(g) {
				t.Errorf("%s: %v, want NaN", name, h)
			}
			continue
		}
		if !reflect.DeepEqual(h, v) {
			t.Errorf("%s: %v, want %v", name, h, v)
		}
	}
	for name, v := range have {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %v, want it absent", name, v)
		}
	}
}

func TestProtoIsWhatReflectionReads(t *testing.T) {
	e, err := NewProtoEncoder(&Records, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := protoMessage(t, e.Fields())
	full := filled[Record](3)
	sameProto(t, &Records, e, d, &full)
	if have := decodeProto(t, d, e.Append(nil, &full)); len(have) != len(Records.Columns) {
		t.Errorf("%d of %d columns of a record that has all", len(have), len(Records.Columns))
	}
	// Each field alone, and each absent alone; zero is present.
	var paths []string
	recordLeaves(&full, func(path string, _ reflect.Value) { paths = append(paths, path) })
	for i := range paths {
		only, without := Record{}, filled[Record](3)
		src := filled[Record](3)
		var leaf reflect.Value
		recordLeaves(&src, func(path string, v reflect.Value) {
			if path == paths[i] {
				leaf = v
			}
		})
		recordLeaves(&only, func(path string, v reflect.Value) {
			if path == paths[i] {
				v.Set(leaf)
			}
		})
		recordLeaves(&without, func(path string, v reflect.Value) {
			if path == paths[i] {
				v.SetZero()
			}
		})
		sameProto(t, &Records, e, d, &only)
		sameProto(t, &Records, e, d, &without)
	}
	zero := Record{Source: Endpoint{Port: N(0), Bytes: N(0), IP: MustIP("0.0.0.0")}, LossInternal: F(0)}
	sameProto(t, &Records, e, d, &zero)
	if have := decodeProto(t, d, e.Append(nil, &zero)); have["source_port"] != int64(0) || have["loss_internal"] != 0.0 || have["destination_port"] != nil {
		t.Errorf("zero and absent: %v", have)
	}
	odd := Record{UserID: "a\xff\xfeb\x00ü", EventTime: -1, Start: 1, Source: Endpoint{IP: MustIP("2001:db8::1"), Bytes: N(-5)}, LossExternal: F(math.NaN()), RTTInternal: N(math.MinInt64), End: math.MinInt64}
	sameProto(t, &Records, e, d, &odd)
}

func TestProtoOfOtherTables(t *testing.T) {
	e, _ := NewProtoEncoder(&Failures, nil)
	for _, data := range []string{"text", "\xff\x00", ""} {
		f := filled[Failure](1)
		f.Data = data
		sameProto(t, &Failures, e, protoMessage(t, e.Fields()), &f)
	}
	table := RollupTable("1m", []string{"user_id", "protocol"}, []Kind{KindString, KindInt}, []string{"n", "x", "at"}, []Kind{KindInt, KindFloat, KindTime})
	r, _ := NewProtoEncoder(table, nil)
	for _, row := range []Rollup{
		{Window: 60e9, Length: time.Minute, Records: 3, Group: []Value{StringValue("ü"), IntValue(0)}, Measures: []Value{IntValue(7), FloatValue(0.5), TimeValue(5e9)}},
		{Window: 60e9, Length: time.Minute, Group: []Value{{}, {}}, Measures: []Value{{}, {}, {}}},
	} {
		sameProto(t, table, r, protoMessage(t, r.Fields()), &row)
	}
	if r.NextNumber() != len(table.Columns)+1 {
		t.Error(r.NextNumber())
	}
}

// A column that the store does not have yet loses nothing.
func TestProtoKeepsWhatTheStoreHasNoColumnFor(t *testing.T) {
	lacks := map[string]bool{"user_id": true, "source_port": true, "loss_internal": true, "received_time": true, "source_ip": true, "source_labels": true, "duration_ns": true}
	e, err := NewProtoEncoder(&Records, func(c string) bool { return !lacks[c] })
	if err != nil {
		t.Fatal(err)
	}
	r := filled[Record](1)
	r.Extensions = []Extension{{Name: "user_id", Text: "of the source"}, ExtN("n", 3)}
	have := decodeProto(t, protoMessage(t, e.Fields()), e.Append(nil, &r))
	var ext map[string]any
	if err := json.Unmarshal([]byte(have["extensions"].(string)), &ext); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"user_id": "of the source", "n": 3.0, "user_id_column": r.UserID, "source_port": float64(r.Source.Port.V), "loss_internal": r.LossInternal.V,
		"received_time": r.Received.String(), "source_ip": r.Source.IP.String(), "source_labels": string(AppendLabels(nil, r.Source.Labels)),
	}
	if !reflect.DeepEqual(ext, want) {
		t.Errorf("extensions: %v\nwant %v", ext, want)
	}
	for name := range lacks {
		if _, ok := have[name]; ok {
			t.Errorf("%s is sent to a store that has no such column", name)
		}
	}
	if _, ok := have["format"]; !ok || len(r.Extensions) != 2 {
		t.Errorf("other columns, or the record, changed: %v, %v", have["format"], r.Extensions)
	}
	empty := Record{}
	if have := decodeProto(t, protoMessage(t, e.Fields()), e.Append(nil, &empty)); have["extensions"] != nil {
		t.Errorf("extensions of nothing: %v", have["extensions"])
	}
}

func TestProtoRefusesAStoreThatWouldLoseValues(t *testing.T) {
	for column, table := range map[string]func(func(string) bool) error{
		"record_id": func(has func(string) bool) error { _, err := NewProtoEncoder(&Records, has); return err },
		"error":     func(has func(string) bool) error { _, err := NewProtoEncoder(&Failures, has); return err },
	} {
		if err := table(func(c string) bool { return c != column }); err == nil || !strings.Contains(err.Error(), column) {
			t.Errorf("without %s: %v", column, err)
		}
	}
	if _, err := NewProtoEncoder(&Records, func(c string) bool { return c != "extensions" && c != "vlan_id" }); err == nil {
		t.Error("neither vlan_id nor extensions, and no error")
	}
}

func TestUvarintIsTheStandardOne(t *testing.T) {
	for shift := range 64 {
		for d := uint64(0); d < 5; d++ {
			for _, v := range []uint64{1<<shift + d, 1<<shift - 1 - d, ^uint64(0)>>shift - d, 0x5555555555555555 >> shift} {
				if have, want := appendUvarint([]byte{7}, v), binary.AppendUvarint([]byte{7}, v); !bytes.Equal(have, want) {
					t.Fatalf("%x: %x, want %x", v, have, want)
				}
			}
		}
	}
}

func TestIPv4TextIsThatOfIP(t *testing.T) {
	for i := range 256 {
		ip := IP{B: [16]byte{byte(i), byte(255 - i), byte(i * 7), byte(i / 3)}, Len: 4}
		if have := string(appendIPv4([]byte("x"), [4]byte(ip.B[:4]))); have != "x"+ip.String() {
			t.Fatalf("%s, want %s", have, ip)
		}
	}
}

func FuzzProto(f *testing.F) {
	f.Add("user", "\xff", int64(-1), int64(0), 0.5, true, []byte{1, 2, 3, 4}, uint64(3))
	f.Fuzz(func(t *testing.T, a, b string, n, at int64, x float64, ok bool, ip []byte, lacking uint64) {
		r := Record{UserID: a, Original: b, Revision: n, EventTime: Time(at), End: Time(at), Start: Time(n), Late: ok, LossInternal: Float{x, ok},
			Extensions: []Extension{{a, b, ExtensionKind(n & 3)}}, Source: Endpoint{Bytes: N(n), Labels: []Label{{b, a}}}, SamplingRate: Int{at, ok}}
		if len(ip) >= 16 {
			r.Destination.IP = IP{B: [16]byte(ip[:16]), Len: 16}
		}
		e, err := NewProtoEncoder(&Records, nil)
		if err != nil {
			t.Fatal(err)
		}
		sameProto(t, &Records, e, protoMessage(t, e.Fields()), &r)
		i := 0
		e, err = NewProtoEncoder(&Records, func(c string) bool {
			col, _ := Records.Column(c)
			i++
			return col.Required || c == ExtensionColumn || lacking>>(i&63)&1 == 0
		})
		if err != nil {
			t.Fatal(err)
		}
		have := decodeProto(t, protoMessage(t, e.Fields()), e.Append(nil, &r))
		if ext, _ := have["extensions"].(string); !json.Valid([]byte(ext)) {
			t.Errorf("extensions are no JSON: %q", ext)
		}
	})
}

func BenchmarkProto(b *testing.B) {
	e, err := NewProtoEncoder(&Records, nil)
	if err != nil {
		b.Fatal(err)
	}
	r := probeBatch(1).Records[0]
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = e.Append(buf[:0], &r)
	}
	b.SetBytes(int64(len(buf)))
}
