package parse

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

const (
	nfdumpHeader = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das,smk,dmk,dtos,dir,nh,nhb,svln,dvln,ismc,odmc,idmc,osmc,mpls1,mpls2,mpls3,mpls4,mpls5,mpls6,mpls7,mpls8,mpls9,mpls10,cl,sl,al,ra,eng,exid,tr\n"
	nfdumpLine   = "2026-01-15 12:00:00,2026-01-15 12:00:01,1.500,10.0.0.1,192.0.2.1,50000,443,TCP,...AP.SF,0,0,8,428,0,0,2,3,64496,64497,24,16,0,0,192.0.2.254,0.0.0.0,100,0,02:00:00:00:00:01,00:00:00:00:00:00,02:00:00:00:00:02,00:00:00:00:00:00,16-0-1,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,0-0-0,    0.000,    0.000,    0.000,192.0.2.250,17/1,1,2026-01-15 12:01:00.250"

	nfdumpNewHeader = "cnt,af,firstSeen,lastSeen,proto,srcAddr,srcPort,dstAddr,dstPort,srcAS,dstAS,input,output,flags,srcTos,packets,bytes\n"
	nfdumpNewLine   = "7,2,1768478400000,1768478401500,6,10.0.0.1,50000,192.0.2.1,443,64496,64497,2,3,...AP.SF,0,8,428"
)

var nfdumpObjectText = "{\n\t" + strings.Join([]string{
	`"type" : "FLOW"`, `"sampled" : 0`, `"export_sysid" : 1`, `"first" : "2026-01-15T12:00:00.000"`, `"last" : "2026-01-15T12:00:01.500"`,
	`"received" : "2026-01-15T12:01:00.250"`, `"in_packets" : 8`, `"in_bytes" : 428`, `"proto" : 6`, `"tcp_flags" : "...AP.SF"`,
	`"src_port" : 50000`, `"dst_port" : 443`, `"src_tos" : 0`, `"src4_addr" : "10.0.0.1"`, `"dst4_addr" : "192.0.2.1"`,
	`"input_snmp" : 2`, `"output_snmp" : 3`, `"src_as" : 64496`, `"dst_as" : 64497`, `"label" : "<none>"`,
}, ",\n\t") + "\n}"

// What the three forms say of one flow is the same.
func TestNfdumpMapsEveryField(t *testing.T) {
	at := flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC))
	common := flow.Record{
		Start: at, End: at + 1.5e9, EventTime: at + 1.5e9, IngressInterface: "2", EgressInterface: "3",
		Protocol: flow.N(6), TCPFlags: flow.N(0x1b), TypeOfService: flow.N(0), CounterSemantics: "delta", ByteLayer: "ip",
		Source:      flow.Endpoint{IP: flow.MustIP("10.0.0.1"), Port: flow.N(50000), ASN: flow.N(64496), Bytes: flow.N(428), Packets: flow.N(8)},
		Destination: flow.Endpoint{IP: flow.MustIP("192.0.2.1"), Port: flow.N(443), ASN: flow.N(64497)},
	}
	old, new, object := common, common, common
	old.Format, old.End, old.EventTime = "nfdump", at+1e9, at+1e9
	old.Observed, old.Exporter.IP, old.VLAN = at+60.25e9, flow.MustIP("192.0.2.250"), flow.N(100)
	old.Source.MAC, old.Destination.MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
	old.Source.PrefixLength, old.Destination.PrefixLength = flow.N(24), flow.N(16)
	old.Extensions = []flow.Extension{
		flow.Ext("nh", "192.0.2.254"), flow.Ext("mpls1", "16-0-1"), flow.Ext("eng", "17/1"), flow.ExtN("exid", 1),
		{Name: "td", Text: "1.500", Kind: flow.ExtFloat},
	}
	new.Format, new.ID = "nfdump", flow.NewIDText("nfdump", nfdumpNewLine[2:])
	object.Format, object.Observed, object.ID = "nfdump_json", at+60.25e9, flow.NewIDText("nfdump_json", nfdumpObjectText)
	object.Extensions = []flow.Extension{flow.Ext("type", "FLOW"), flow.ExtN("export_sysid", 1)}
	for _, c := range []struct {
		name, format, header, data string
		want                       flow.Record
	}{
		{"older CSV", "nfdump", nfdumpHeader, nfdumpLine, old},
		{"newer CSV", "nfdump", nfdumpNewHeader, nfdumpNewLine, new},
		{"JSON", "nfdump_json", "[\n", nfdumpObjectText, object},
		{"JSON at the array's end", "nfdump_json", "[\n", nfdumpObjectText + "]\n", object},
		{"JSON in the array's middle", "nfdump_json", "[\n", nfdumpObjectText + " ,\n", object},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := decodeOne(t, c.format, c.header, c.data)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID.IsZero() && !c.want.ID.IsZero() {
				got.ID = flow.NewIDText(c.format, trim(c.data)) // as every record without one gets it
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			info, _ := flow.FormatNamed(c.format)
			if at, ok := info.Timestamp(c.header, []byte(c.data)); !ok || at != got.EventTime {
				t.Errorf("timestamp %v %v", at, ok)
			}
		})
	}
}

// The row's number follows from what else was asked for: the same flow by another filter is
// the same record.
func TestNfdumpIDIsNotThatOfTheRowsNumber(t *testing.T) {
	a, _, err1 := decodeOne(t, "nfdump", nfdumpNewHeader, nfdumpNewLine)
	b, _, err2 := decodeOne(t, "nfdump", nfdumpNewHeader, "8"+nfdumpNewLine[1:])
	c, _, err3 := decodeOne(t, "nfdump", nfdumpNewHeader, strings.Replace(nfdumpNewLine, ",428", ",429", 1))
	if err1 != nil || err2 != nil || err3 != nil || a.ID != b.ID || a.ID == c.ID || a.ID.IsZero() {
		t.Errorf("%s %s %s, %v %v %v", a.ID, b.ID, c.ID, err1, err2, err3)
	}
}

func TestNfdumpReasons(t *testing.T) {
	with := func(in, old, new string) string {
		if !strings.Contains(in, old) {
			t.Fatalf("no %s in the sample", old)
		}
		return strings.Replace(in, old, new, 1)
	}
	for _, c := range []struct {
		name, format, header, data string
		reason                     flow.Reason
		text                       string
	}{
		{"no header", "nfdump", "", nfdumpLine, flow.ReasonFormat, "no header line"},
		{"a header without addresses", "nfdump", "ts,te,pr,sp", nfdumpLine, flow.ReasonFormat, "lacks"},
		{"too few columns", "nfdump", nfdumpHeader, nfdumpLine[:80], flow.ReasonSyntax, "columns, the header has 48"},
		{"the other dialect's row", "nfdump", nfdumpHeader, nfdumpNewLine, flow.ReasonSyntax, "17 columns, the header has 48"},
		{"the other dialect's header", "nfdump", nfdumpHeader, nfdumpNewHeader, flow.ReasonFormat, "other columns"},
		{"an end before the start", "nfdump", nfdumpHeader, with(nfdumpLine, "12:00:01", "11:59:01"), flow.ReasonValue, "last"},
		{"an hour that is none", "nfdump", nfdumpHeader, with(nfdumpLine, "12:00:01", "24:00:01"), flow.ReasonField, "te"},
		{"flags that are none", "nfdump", nfdumpHeader, with(nfdumpLine, "...AP.SF", "...AP.FS"), flow.ReasonField, "flg"},
		{"a port beyond 16 bits", "nfdump", nfdumpHeader, with(nfdumpLine, "50000", "70000"), flow.ReasonValue, "sp"},
		{"no source", "nfdump", nfdumpHeader, with(nfdumpLine, "10.0.0.1", ""), flow.ReasonField, "source address: missing"},
		{"bytes with a unit", "nfdump", nfdumpHeader, with(nfdumpLine, ",428,", ",4.2 M,"), flow.ReasonField, "ibyt"},
		{"a prefix longer than an address", "nfdump", nfdumpHeader, with(nfdumpLine, ",24,16,", ",24,160,"), flow.ReasonValue, "dmk"},
		{"no time", "nfdump", nfdumpNewHeader, with(with(nfdumpNewLine, "1768478400000", "0"), "1768478401500", "0"), flow.ReasonField, "last: missing"},
		{"an object that is cut", "nfdump_json", "", nfdumpObjectText[:100], flow.ReasonSyntax, "cut off"},
		{"an object and what follows it", "nfdump_json", "", nfdumpObjectText + "\n\tmore", flow.ReasonSyntax, "JSON"},
		{"a port that is an object", "nfdump_json", "", with(nfdumpObjectText, "50000", "{}"), flow.ReasonField, "src_port"},
		{"an address that is none", "nfdump_json", "", with(nfdumpObjectText, "192.0.2.1", "192.0.2"), flow.ReasonField, "dst4_addr"},
		{"a zone that is none", "nfdump_json", "#timezone No/Where\n", nfdumpObjectText, flow.ReasonFormat, "No/Where"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, o, err := decodeOne(t, c.format, c.header, c.data)
			if err == nil {
				t.Fatalf("accepted, outcome %v", o)
			}
			if got := flow.ReasonOf(err, flow.ReasonSyntax); got != c.reason || !strings.Contains(err.Error(), c.text) {
				t.Errorf("reason %q, error %q; want %q and %q", got, err, c.reason, c.text)
			}
		})
	}
}

func TestNfdumpTCPFlags(t *testing.T) {
	for text, want := range map[string]int64{
		"........": 0, ".......F": 1, "CEUAPRSF": 0xff, "......": 0, "UAPRSF": 0x3f, "0x1ff": 0x1ff, "0x": -1, "0xzz": -1, "F": -1, ".........": -1, "F.......": -1, "0x12345": -1,
	} {
		got, err := nfdumpTCPFlags("flg", text)
		if want < 0 && err == nil || want >= 0 && got != flow.N(want) {
			t.Errorf("%q: %v %v, want %d", text, got, err, want)
		}
	}
}

func TestNfdumpOfTheDataSet(t *testing.T) {
	dir := testenv.Shared(t, "suricata/nfdump")
	for name, want := range map[string]sums{
		"test1-malicious.csv.gz":  {records: 4593, packets: 4652, bytes: 241_025},
		"test1-malicious.json.gz": {records: 4593, packets: 4652, bytes: 241_025},
		"first200.csv":            {records: 200, packets: 204, bytes: 10_636},
		"first200.json":           {records: 200, packets: 204, bytes: 10_636},
		"first5-tokyo-time.csv":   {records: 5, packets: 5, bytes: 260},
		"no-match.csv":            {},
		"no-match.json":           {},
	} {
		t.Run(name, func(t *testing.T) {
			out, bad, got := parseFile(t, filepath.Join(dir, name))
			if got != want {
				t.Fatalf("%+v, want %+v; %v", got, want, bad[:min(len(bad), 1)])
			}
			if want.records == 4593 {
				tcp, first, last := 0, out.Records[0].Start, flow.Time(0)
				for i := range out.Records {
					r := &out.Records[i]
					first, last = min(first, r.Start), max(last, r.End)
					if r.Protocol == flow.N(6) {
						tcp++
					}
				}
				if tcp != 4576 || first.Truncate(time.Second) != 1515771450e9 || last.Truncate(time.Second) != 1515771483e9 {
					t.Errorf("%d of TCP, from %v to %v", tcp, first, last)
				}
			}
		})
	}
}

// The zone that the header declares puts local times right.
func TestNfdumpTimesAreInTheDeclaredZone(t *testing.T) {
	dir := testenv.Shared(t, "suricata/nfdump")
	utc, _, _ := parseFile(t, filepath.Join(dir, "first200.csv"))
	tokyo, _, _ := parseFile(t, filepath.Join(dir, "first5-tokyo-time.csv"))
	in := readAsSource(t, "nfdump", "", readFile(t, filepath.Join(dir, "first5-tokyo-time.csv")))
	in.Origin.Header = "#timezone Asia/Tokyo\n" + in.Origin.Header
	right, bad := newFn(t, parseFn{}).parse(&in)
	if len(right.Records) != 5 || len(bad) > 0 {
		t.Fatal(bad)
	}
	for i := range right.Records {
		if want := utc.Records[i].EventTime; right.Records[i].EventTime != want || tokyo.Records[i].EventTime != want+9*3600e9 {
			t.Errorf("%d: %v, undeclared %v, want %v", i, right.Records[i].EventTime, tokyo.Records[i].EventTime, want)
		}
		if right.Records[i].Observed != 0 {
			t.Errorf("%d: received at %v, which was never", i, right.Records[i].Observed)
		}
	}
}

// CSV and JSON of one capture, against its own packets, tuple by tuple.
func TestNfdumpOfOneTrafficIsTheTruth(t *testing.T) {
	dir := testenv.Shared(t, "one-traffic")
	for name, want := range map[string]sums{
		"mixed-lan":             {records: 533, packets: 910, bytes: 91_908},
		"tls-browsing":          {records: 232, packets: 3090, bytes: 1_505_072},
		"zeek-wikipedia":        {records: 57, packets: 126, bytes: 22_896},
		"echo-1000-connections": {records: 1000, packets: 82_582, bytes: 4_356_214},
	} {
		for _, file := range []string{"nfdump.csv", "nfdump.json"} {
			t.Run(name+"/"+file, func(t *testing.T) {
				out, bad, got := parseFile(t, filepath.Join(dir, name, file))
				if got != want {
					t.Errorf("%+v, want %+v; %v", got, want, bad)
				}
				compareTuples(t, filepath.Join(dir, name, "truth-tuples.tsv"), out.Records, 0)
				icmp := 0
				for i := range out.Records {
					if r := &out.Records[i]; r.ICMPType.OK && r.CommunityID != "" {
						icmp++
					}
				}
				if (icmp > 0) != (name == "mixed-lan") {
					t.Errorf("%d of ICMP", icmp)
				}
			})
		}
	}
}
