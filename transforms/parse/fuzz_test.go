package parse

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flowbeam/flowbeam/flow"
)

// fuzzFormat holds for every format: no panic; one input, one result; what is accepted
// has an event time, can be written as JSON and read back unchanged; and its cheap
// timestamp is its event time.
func fuzzFormat(f *testing.F, format string, sameTime bool) {
	s := samples[format]
	f.Add(s.header, s.line)
	paths, _ := filepath.Glob("testdata/cases/" + format + "/*/input")
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		in := readAsSource(f, format, "", data)
		for _, r := range in.Records {
			f.Add(in.Origin.Header, string(r.Data))
		}
	}
	info, _ := flow.FormatNamed(format)
	f.Fuzz(func(t *testing.T, header, line string) {
		in := rawBatch(format, line, line)
		in.Origin.Header = header
		fn := newFn(t, parseFn{})
		out, bad := fn.parse(&in)
		if n := fn.n; int(n.read) != len(out.Records)+len(bad)+int(n.gaps) || len(out.Records) == 1 || len(bad) == 1 {
			t.Fatalf("%+v, %d records, %d failures", n, len(out.Records), len(bad))
		}
		got, ok := info.Timestamp(header, []byte(line))
		info.Detect([]byte(line))
		if info.Header != nil && info.Header([]byte(line)) > len(line) {
			t.Fatal("the header is longer than the input")
		}
		for i := range bad {
			if bad[i].Data != line || bad[i].Reason == "" || bad[i].Error == "" {
				t.Fatalf("%+v", bad[i])
			}
		}
		if len(out.Records) == 0 {
			return
		}
		r := out.Records[0]
		out.Records[1].Position = r.Position
		if d := cmp.Diff(r, out.Records[1]); d != "" {
			t.Fatal(d)
		}
		if r.EventTime == 0 || r.ID.IsZero() {
			t.Fatalf("%+v", r)
		}
		if sameTime && ok && got != r.EventTime {
			t.Fatalf("timestamp %v, event time %v", got, r.EventTime)
		}
		readBack(t, &r)
	})
}

// fuzzUnits holds for every format of units what fuzzFormat holds for the others, and that
// each record's part gives the same record when it is a unit of its own.
func fuzzUnits(f *testing.F, format string) {
	s := samples[format]
	f.Add(s.header, s.line)
	paths, _ := filepath.Glob("testdata/cases/" + format + "/*/input")
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		in := readAsSource(f, format, "", data)
		for _, r := range in.Records {
			f.Add(in.Origin.Header, string(r.Data))
		}
	}
	info, _ := flow.FormatNamed(format)
	f.Fuzz(func(t *testing.T, header, unit string) {
		in := rawBatch(format, unit)
		in.Origin.Header = header
		fn := newFn(t, parseFn{KeepOriginal: true})
		out, bad := fn.parse(&in)
		if n := fn.n; int(n.read) != len(out.Records)+len(bad)+int(n.gaps) {
			t.Fatalf("%+v, %d records, %d failures", n, len(out.Records), len(bad))
		}
		info.Timestamp(header, []byte(unit))
		info.Detect([]byte(unit))
		for i := range bad {
			if bad[i].Reason == "" || bad[i].Error == "" || bad[i].Data == "" {
				t.Fatalf("%+v", bad[i])
			}
		}
		parts := in
		parts.Records = nil
		for i := range out.Records {
			r := &out.Records[i]
			if r.EventTime == 0 || r.ID.IsZero() {
				t.Fatalf("%+v", r)
			}
			readBack(t, r)
			part := in.Records[0]
			part.Data, part.Index = []byte(r.Original), r.Position.Index
			if text, ok := strings.CutPrefix(r.Original, base64Prefix); ok {
				b, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				part.Data = b
			}
			parts.Records = append(parts.Records, part)
		}
		again, bad := fn.parse(&parts)
		if len(bad) != 0 {
			t.Fatalf("%+v", bad)
		}
		if d := cmp.Diff(out.Records, again.Records, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzAzureVNet(f *testing.F)  { fuzzUnits(f, "azure_vnet") }
func FuzzAzureNSG(f *testing.F)   { fuzzUnits(f, "azure_nsg") }
func FuzzDatagram(f *testing.F)   { fuzzUnits(f, "datagram") }
func FuzzCloudWatch(f *testing.F) { fuzzUnits(f, "aws_cloudwatch") }

func FuzzZeek(f *testing.F)            { fuzzFormat(f, "zeek", true) }
func FuzzZeekJSON(f *testing.F)        { fuzzFormat(f, "zeek_json", false) }
func FuzzAWS(f *testing.F)             { fuzzFormat(f, "aws_vpc", false) }
func FuzzSuricata(f *testing.F)        { fuzzFormat(f, "suricata", false) }
func FuzzArgus(f *testing.F)           { fuzzFormat(f, "argus", false) }
func FuzzNfdump(f *testing.F)          { fuzzFormat(f, "nfdump", false) }
func FuzzNfdumpJSON(f *testing.F)      { fuzzFormat(f, "nfdump_json", false) }
func FuzzPmacct(f *testing.F)          { fuzzFormat(f, "pmacct", false) }
func FuzzGoflow2(f *testing.F)         { fuzzFormat(f, "goflow2", false) }
func FuzzGoflow2Protobuf(f *testing.F) { fuzzFormat(f, "goflow2_protobuf", true) }
func FuzzFlowbeam(f *testing.F)        { fuzzFormat(f, "flowbeam", false) }
func FuzzGCP(f *testing.F)             { fuzzFormat(f, "gcp_vpc", false) }

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"15.6", "0.0000005", "1e-7", "9223372036.854775807", "99999999999999999999e-11", "-1.5", "1.", "", "-", "1e", "00.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if hugeExponent(s) {
			return
		}
		v, ok, inRange := decimal(s, 9)
		want, wantOK, wantRange := decimalByRat(s, 9)
		if ok != wantOK || ok && (inRange != wantRange || inRange && v != want) {
			t.Fatalf("%q: %d %v %v, want %d %v %v", s, v, ok, inRange, want, wantOK, wantRange)
		}
	})
}
