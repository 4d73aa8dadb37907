package parse

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

const zeekHeader = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n" +
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\tip_proto\n" +
	"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]\tcount\n"

// samples has one record of each format.
var samples = map[string]struct{ header, line string }{
	"canopus": {"", canopusLine},
	"zeek": {
		zeekHeader,
		"1768478400.000001\tCa1\t10.0.0.1\t50000\t192.0.2.1\t443\ttcp\tssl\t1.500000\t100\t2000\tSF\tT\tF\t0\tShADadFf\t8\t428\t9\t2376\t-\t6",
	},
	"zeek_json": {
		"", `{"ts":1768478400.000001,"uid":"Ca1","id.orig_h":"10.0.0.1","id.orig_p":50000,"id.resp_h":"192.0.2.1","id.resp_p":443,"proto":"tcp","service":"ssl","duration":1.5,"orig_bytes":100,"resp_bytes":2000,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":8,"orig_ip_bytes":428,"resp_pkts":9,"resp_ip_bytes":2376,"ip_proto":6}`,
	},
	"aws_vpc": {
		awsDefault + "\n", awsLine,
	},
	"gcp_vpc":          {"", gcpLine},
	"azure_vnet":       {"", vnetEntry("1768478459640,10.0.0.6,198.51.100.17,22730,443,6,O,C,NX,30,3705,67,44990")},
	"azure_nsg":        {"", nsgEntry("1768478457,10.5.16.4,198.51.100.204,59831,443,T,O,A,C,1021,588096,8005,4610880")},
	"datagram":         {"", string(v5Datagram(1))},
	"suricata":         {"", suricataFlow},
	"argus":            {argusHeader, argusLine},
	"nfdump":           {nfdumpHeader, nfdumpLine},
	"nfdump_json":      {"", nfdumpObjectText},
	"pmacct":           {"", pmacctLine},
	"aws_cloudwatch":   {"", cloudWatchMessage(awsLine)},
	"goflow2":          {"", goflow2Line},
	"goflow2_protobuf": {"", goflow2Delimited},
	"flowbeam": {
		"", `{"record_id":"000102030405060708090a0b0c0d0e0f","revision":3,"event_time":"2026-01-15T12:00:00Z","format":"canopus","late":false,"source_ip":"10.0.0.1"}`,
	},
}

// needsHeader are the formats whose lines can't be known without their header.
var needsHeader = map[string]bool{"zeek": true, "argus": true, "nfdump": true}

const awsLine = "2 123456789012 eni-0a1b2c3d4e5f60001 10.0.1.10 10.0.2.20 49152 443 6 20 4249 1768478400 1768478458 ACCEPT OK"

func sampleBatch(format string) flow.RawBatch {
	s := samples[format]
	in := rawBatch(format, s.line)
	in.Origin.Header = s.header
	return in
}

func TestEveryFormatHasASampleThatParses(t *testing.T) {
	for _, format := range flow.FormatNames() {
		if format == "spaced" || format == "parts" {
			continue // of the example and of the test of units
		}
		in := sampleBatch(format)
		out, bad := newFn(t, parseFn{}).parse(&in)
		if len(out.Records) != 1 {
			t.Errorf("%s: %v", format, bad)
		}
	}
}

// Ids are in every store: a change here doubles each record that is read again.
func TestRecordIDsAreGolden(t *testing.T) {
	for format, want := range map[string]string{
		"canopus":          "a10c332ed8c3572185f1de73a084fd3b",
		"zeek":             "931f531f01129491e2bba0a6bda54af2",
		"zeek_json":        "2812e4c1ac89dcd44d92a62361a0455c",
		"aws_vpc":          "f6efc89b5cc6d252d19aa3a445d6e92b",
		"azure_vnet":       "e7c1668eaff3777833cbcf9dfa4a1a0b",
		"azure_nsg":        "7ea601d4f0cf2fdecaf8733de6230019",
		"gcp_vpc":          "f0cba3375d7e3c04d466671b2d553248",
		"flowbeam":         "000102030405060708090a0b0c0d0e0f",
		"argus":            "ce1844c0a32fb5abd51422b4ef8963f6",
		"nfdump":           "76a8212326a9179d7cb152a45762733f",
		"nfdump_json":      "653f29fc2d884155c7f2c2ad755f8917",
		"pmacct":           "59825f35a418722eae42a6a782edf983",
		"datagram":         "9ce9da2e602fbe5dfe478f0948644b12",
		"suricata":         "3924a4db72b83b5a664a16135a17b141",
		"aws_cloudwatch":   "f6efc89b5cc6d252d19aa3a445d6e92b",
		"goflow2":          "b74e6958b55004243e17214e3d32e37e",
		"goflow2_protobuf": "b6fe93d42aa372c0c4af7d5c134f1e26",
	} {
		in := sampleBatch(format)
		out, _ := newFn(t, parseFn{}).parse(&in)
		if got := out.Records[0].ID.String(); got != want {
			t.Errorf("%s: id %s, want %s", format, got, want)
		}
	}
}

func TestZeekIDIsThatOfUidTimeAndDuration(t *testing.T) {
	id := func(edit func(string) string) flow.ID {
		in := sampleBatch("zeek")
		in.Records[0].Data = []byte(edit(string(in.Records[0].Data)))
		out, bad := newFn(t, parseFn{}).parse(&in)
		if len(out.Records) != 1 {
			t.Fatal(bad)
		}
		return out.Records[0].ID
	}
	same := id(func(s string) string { return s })
	if same != flow.NewID("zeek", []byte("Ca1"), []byte("1768478400.000001"), []byte("1.500000")) {
		t.Error("not of uid, ts and duration as they are written")
	}
	if id(func(s string) string { return strings.Replace(s, "\tssl\t", "\thttp\t", 1) }) != same {
		t.Error("the id follows from another column")
	}
	if id(func(s string) string { return strings.Replace(s, "1.500000", "3.500000", 1) }) == same {
		t.Error("a long connection logged once more has the id of the first")
	}
	a := id(func(s string) string { return strings.Replace(s, "\tCa1\t", "\t-\t", 1) })
	b := id(func(s string) string {
		return strings.Replace(strings.Replace(s, "\tCa1\t", "\t-\t", 1), "50000", "50001", 1)
	})
	if a == b {
		t.Error("two flows without uid have one id")
	}
}

func TestDetection(t *testing.T) {
	for format, s := range samples {
		head := s.header + s.line
		if got, err := flow.DetectFormat([]byte(head)); got != format {
			t.Errorf("a file of %s is detected as %q, %v", format, got, err)
		}
		if needsHeader[format] {
			continue // its lines say nothing without it
		}
		if got, err := flow.DetectFormat([]byte(s.line)); got != format {
			t.Errorf("a message of %s is detected as %q, %v", format, got, err)
		}
	}
	for _, other := range []string{"", "hello", "{}", "[1]", "a,b,c\n1,2,3", "\x00\x05\x00\x01", `{"message":"hello"}`, "2 3 4"} {
		if got, err := flow.DetectFormat([]byte(other)); err == nil {
			t.Errorf("%q is detected as %s", other, got)
		}
	}
}

func TestWrongFormatNamesWhatItLooksLike(t *testing.T) {
	for declared := range samples {
		for is, s := range samples {
			if is == declared || needsHeader[is] {
				continue
			}
			in := rawBatch(declared, s.line)
			out, bad := newFn(t, parseFn{}).parse(&in)
			if len(out.Records) != 0 || len(bad) != 1 || bad[0].Reason != flow.ReasonFormat || !strings.Contains(bad[0].Error, "looks like "+is) {
				t.Errorf("%s declared as %s: %v", is, declared, bad)
			}
		}
	}
}

// A dead letter's reason is part of its id: it must not depend on what else was in the
// batch, or a replay with other batches would double it.
func TestDeadLettersDoNotDependOnTheBatch(t *testing.T) {
	lines := []string{canopusLine, "{", samples["zeek_json"].line, `{"client_ip":`, "x"}
	together := rawBatch("canopus", lines...)
	_, want := newFn(t, parseFn{}).parse(&together)
	var got []flow.Failure
	for i := range together.Records {
		alone := together
		alone.Records = together.Records[i : i+1]
		_, bad := newFn(t, parseFn{}).parse(&alone)
		got = append(got, bad...)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTimestampIsTheEventTime(t *testing.T) {
	for format := range samples {
		in := sampleBatch(format)
		out, _ := newFn(t, parseFn{}).parse(&in)
		info, _ := flow.FormatNamed(format)
		if got, ok := info.Timestamp(in.Origin.Header, in.Records[0].Data); !ok || got != out.Records[0].EventTime {
			t.Errorf("%s: %v %v, want %v", format, got, ok, out.Records[0].EventTime)
		}
		for _, none := range []string{"", "#close", "{}", "x"} {
			if got, ok := info.Timestamp(in.Origin.Header, []byte(none)); ok {
				t.Errorf("%s: %q has the time %v", format, none, got)
			}
		}
	}
}

func TestCutInputNeverPanics(t *testing.T) {
	for format, s := range samples {
		info, _ := flow.FormatNamed(format)
		for i := range len(s.line) {
			in := rawBatch(format, s.line[:i], s.line[i:])
			in.Origin.Header = s.header
			newFn(t, parseFn{}).parse(&in)
			info.Timestamp(s.header, in.Records[0].Data)
			info.Detect(in.Records[1].Data)
		}
		for i := range len(s.header) {
			in := rawBatch(format, s.line)
			in.Origin.Header = s.header[:i]
			newFn(t, parseFn{}).parse(&in)
			if info.Header != nil {
				if n := info.Header([]byte(s.header[:i])); n > i {
					t.Fatalf("%s: a header of %d bytes in %d", format, n, i)
				}
			}
		}
	}
}

func TestHeaderIsFoundWhole(t *testing.T) {
	for _, format := range []string{"zeek", "aws_vpc", "argus", "nfdump"} {
		s := samples[format]
		info, _ := flow.FormatNamed(format)
		for _, tail := range []string{"", s.line, s.line + "\n" + s.line} {
			if got := info.Header([]byte(s.header + tail)); got != len(s.header) {
				t.Errorf("%s: %d bytes, want %d", format, got, len(s.header))
			}
		}
		if got := info.Header([]byte(s.line)); got != 0 {
			t.Errorf("%s: a record counts as %d bytes of header", format, got)
		}
	}
}

// Records that were parsed can be written, refused and read back unchanged.
func TestReadBackGivesTheSameRecord(t *testing.T) {
	for format := range samples {
		in := sampleBatch(format)
		out, _ := newFn(t, parseFn{CommunityID: true, KeepOriginal: true}).parse(&in)
		readBack(t, &out.Records[0])
	}
	paths, _ := filepath.Glob("testdata/cases/*/*/records.golden.ndjson")
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			r, _, err := decodeOne(t, flow.FormatRecord, "", string(line))
			if err != nil {
				t.Fatalf("%s: %v", p, err)
			}
			readBack(t, &r)
		}
	}
}

func readBack(t *testing.T, r *flow.Record) {
	t.Helper()
	line := string(flow.AppendRecordJSON(nil, r))
	got, _, err := decodeOne(t, flow.FormatRecord, "", line)
	if err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
	if d := cmp.Diff(*r, got); d != "" {
		t.Fatalf("%s\n%s", d, line)
	}
}

func TestRegisterRefusesAFormatWithoutNew(t *testing.T) {
	defer func() {
		if s, _ := recover().(string); !strings.HasPrefix(s, "parse.Register: ") {
			t.Errorf("panic %q", s)
		}
	}()
	Register(Format{FormatInfo: flow.FormatInfo{Name: "no_new"}})
}

// A Step that adds an extension to one record must not write into the next one's.
func TestExtensionsOfRecordsAreApart(t *testing.T) {
	s := samples["zeek"]
	in := rawBatch("zeek", s.line, strings.Replace(s.line, "\tCa1\t", "\tCa2\t", 1))
	in.Origin.Header = s.header
	out, _ := newFn(t, parseFn{}).parse(&in)
	_ = append(out.Records[0].Extensions, flow.Ext("added", "x"))
	if got := out.Records[1].Extensions; len(got) != 1 || got[0] != flow.Ext("uid", "Ca2") {
		t.Errorf("%v", got)
	}
}

func TestFlowbeamPositionIsTheRecordsOwn(t *testing.T) {
	for line, want := range map[string]flow.Position{
		`{"event_time":"2026-01-15T12:00:00Z","position_key":"m1"}`: {Key: "m1"},
		`{"event_time":"2026-01-15T12:00:00Z"}`:                     {Source: "in", Offset: flow.N(0)},
	} {
		in := rawBatch("flowbeam", line)
		out, bad := newFn(t, parseFn{}).parse(&in)
		if len(out.Records) != 1 || out.Records[0].Position != want {
			t.Errorf("%s: %v %v", line, out.Records, bad)
		}
	}
}
