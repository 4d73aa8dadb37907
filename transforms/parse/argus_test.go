package parse

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

const (
	argusHeader = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label\n"
	argusLine   = "2026/01/15 12:00:00.000001,1.500000,tcp,10.0.0.1,50000,   ->,192.0.2.1,443,FSPA_FSPA,0,8,17,3042,540,8,flow=Normal"
)

func TestArgusMapsEveryField(t *testing.T) {
	got, _, err := decodeOne(t, "argus", argusHeader, argusLine)
	if err != nil {
		t.Fatal(err)
	}
	start := flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 1000, time.UTC))
	want := flow.Record{
		Format: "argus", Start: start, End: start + 1.5e9, EventTime: start + 1.5e9,
		Protocol: flow.N(6), TypeOfService: flow.N(0), ConnectionState: "FSPA_FSPA", CounterSemantics: "delta", ByteLayer: "l2",
		Source:      flow.Endpoint{IP: flow.MustIP("10.0.0.1"), Port: flow.N(50000), Bytes: flow.N(540), Packets: flow.N(8)},
		Destination: flow.Endpoint{IP: flow.MustIP("192.0.2.1"), Port: flow.N(443), Bytes: flow.N(2502), Packets: flow.N(9)},
		Extensions:  []flow.Extension{flow.Ext("Dir", "->"), flow.ExtN("dTos", 8), flow.Ext("Label", "flow=Normal")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestArgusReasons(t *testing.T) {
	with := func(old, new string) string {
		if !strings.Contains(argusLine, old) {
			t.Fatalf("no %s in the sample", old)
		}
		return strings.Replace(argusLine, old, new, 1)
	}
	for _, c := range []struct {
		name, header, data string
		reason             flow.Reason
		text               string
	}{
		{"no header", "", argusLine, flow.ReasonFormat, "no header line"},
		{"a column twice", "StartTime,SrcAddr,SrcAddr,DstAddr", argusLine, flow.ReasonFormat, "SrcAddr"},
		{"a header without a destination", "StartTime,SrcAddr,Sport", argusLine, flow.ReasonFormat, "lacks"},
		{"a zone that is none", "#timezone Mars/Base\n" + argusHeader, argusLine, flow.ReasonFormat, "Mars/Base"},
		{"the worker's zone", "#timezone Local\n" + argusHeader, argusLine, flow.ReasonFormat, "Local"},
		{"too few columns", argusHeader, argusLine[:60], flow.ReasonSyntax, "columns, the header has 16"},
		{"too many columns", argusHeader, argusLine + ",x", flow.ReasonSyntax, "17 columns, the header has 16"},
		{"another header in the middle", argusHeader, "StartTime,SrcAddr,DstAddr,Sport", flow.ReasonFormat, "other columns"},
		{"bytes that are not UTF-8", argusHeader, with("Normal", "\xff"), flow.ReasonEncoding, "UTF-8"},
		{"a time of day alone", argusHeader, with("2026/01/15 ", ""), flow.ReasonField, "StartTime"},
		{"the 31st of February", argusHeader, with("01/15", "02/31"), flow.ReasonField, "StartTime"},
		{"no start", argusHeader, with("2026/01/15 12:00:00.000001", ""), flow.ReasonField, "StartTime: missing"},
		{"a negative duration", argusHeader, with("1.500000", "-1.5"), flow.ReasonValue, "Dur"},
		{"an address out of range", argusHeader, with("192.0.2.1", "192.0.2.256"), flow.ReasonField, "DstAddr"},
		{"no source", argusHeader, with("10.0.0.1", ""), flow.ReasonField, "SrcAddr: missing"},
		{"a port beyond 16 bits", argusHeader, with(",50000,", ",65536,"), flow.ReasonValue, "Sport"},
		{"a port with rubbish", argusHeader, with(",50000,", ",5000x,"), flow.ReasonField, "Sport"},
		{"more source bytes than bytes", argusHeader, with(",540,", ",5400,"), flow.ReasonValue, "SrcBytes: 5400 is more than TotBytes, 3042"},
		{"more source packets than packets", argusHeader, with(",8,flow", ",18,flow"), flow.ReasonValue, "SrcPkts"},
		{"negative packets", argusHeader, with(",17,", ",-17,"), flow.ReasonValue, "TotPkts"},
		{"an ICMP type beyond 8 bits", argusHeader, strings.NewReplacer("tcp", "icmp", ",50000,", ",300,").Replace(argusLine), flow.ReasonValue, "ICMP"},
		{"both directions that are not the sum", "StartTime SrcAddr DstAddr SrcPkts DstPkts TotPkts", "1768478400 10.0.0.1 192.0.2.1 1 2 4", flow.ReasonValue, "TotPkts: 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "both") {
				c.header, c.data = strings.ReplaceAll(c.header, " ", "\t"), strings.ReplaceAll(c.data, " ", "\t")
			}
			_, o, err := decodeOne(t, "argus", c.header, c.data)
			if err == nil {
				t.Fatalf("accepted, outcome %v", o)
			}
			if got := flow.ReasonOf(err, flow.ReasonSyntax); got != c.reason || !strings.Contains(err.Error(), c.text) {
				t.Errorf("reason %q, error %q; want %q and %q", got, err, c.reason, c.text)
			}
		})
	}
}

func TestArgusTimesAreInTheZoneOfTheHeader(t *testing.T) {
	for zone, want := range map[string]string{
		"":                             "2026-01-15T12:00:00.000001Z",
		"#timezone UTC\n":              "2026-01-15T12:00:00.000001Z",
		"#timezone Asia/Tokyo\n":       "2026-01-15T03:00:00.000001Z",
		"#timezone\tEurope/Prague\r\n": "2026-01-15T11:00:00.000001Z",
		"#timezone -03:30\n":           "2026-01-15T15:30:00.000001Z",
	} {
		r, _, err := decodeOne(t, "argus", zone+argusHeader, argusLine)
		if err != nil || r.Start.String() != want {
			t.Errorf("%q: %v %v, want %v", zone, r.Start, err, want)
		}
		info, _ := flow.FormatNamed("argus")
		if got, ok := info.Timestamp(zone+argusHeader, []byte(argusLine)); !ok || got != r.EventTime {
			t.Errorf("%q: timestamp %v %v, want %v", zone, got, ok, r.EventTime)
		}
		if n := info.Header([]byte(zone + argusHeader + argusLine)); n != len(zone+argusHeader) {
			t.Errorf("%q: a header of %d bytes", zone, n)
		}
	}
	r, _, err := decodeOne(t, "argus", "#timezone Europe/Prague\n"+argusHeader, strings.Replace(argusLine, "/01/", "/07/", 1))
	if err != nil || r.Start.String() != "2026-07-15T10:00:00.000001Z" {
		t.Errorf("in summer: %v %v", r.Start, err)
	}
}

// argusTotals adds up the packets that are known of a record as a whole only.
func argusTotals(out *flow.Batch) (packets, ipRecords, ipPackets, ipBytes int64) {
	for i := range out.Records {
		r := &out.Records[i]
		n := r.Source.Packets.V + r.Destination.Packets.V
		for _, e := range r.Extensions {
			if e.Name == "TotPkts" {
				v, _ := strconv.ParseInt(e.Text, 10, 64)
				n += v
			}
		}
		packets += n
		if r.Protocol.OK {
			ipRecords++
			ipPackets += n
			ipBytes += r.Source.Bytes.V + r.Destination.Bytes.V
		}
	}
	return packets, ipRecords, ipPackets, ipBytes
}

func TestArgusOfTheDataSet(t *testing.T) {
	for name, want := range map[string]sums{
		"test2-malicious.binetflow": {records: 6751, packets: 491_156, bytes: 348_705_565},
		"test3-mixed.binetflow":     {records: 89, packets: 186, bytes: 39_779},
		"test4-malicious.binetflow": {records: 394, packets: 1200, bytes: 434_264},
		"test5-mixed.binetflow":     {records: 299, packets: 29_665, bytes: 2_826_117}, // and a management record
		"test11-portscan.binetflow": {records: 66, packets: 712, bytes: 181_904},
	} {
		t.Run(name, func(t *testing.T) {
			again := 0
			if name == "test11-portscan.binetflow" {
				again = 1 // one line stands there twice
			}
			out, bad, got := parseFileOf(t, testenv.Shared(t, "suricata/argus/"+name), again)
			got.packets, _, _, _ = argusTotals(&out)
			if got != want {
				t.Errorf("%+v, want %+v; %v", got, want, bad)
			}
		})
	}
}

// Both layouts of one capture, against its own packets: Argus counts 14 bytes of Ethernet
// with each.
func TestArgusOfOneTrafficIsTheTruth(t *testing.T) {
	dir := testenv.Shared(t, "one-traffic")
	for name, want := range map[string]struct{ records, packets, bytes, ipRecords, ipPackets, ipBytes int64 }{
		"mixed-lan":             {423, 1000, 108_428, 378, 910, 91_908},
		"tls-browsing":          {174, 3138, 1_550_828, 158, 3090, 1_505_072},
		"zeek-wikipedia":        {42, 136, 25_260, 34, 126, 22_896},
		"echo-1000-connections": {583, 82_582, 5_512_362, 583, 82_582, 4_356_214},
	} {
		for _, file := range []string{"argus.binetflow", "argus.csv"} {
			t.Run(name+"/"+file, func(t *testing.T) {
				out, bad, got := parseFile(t, filepath.Join(dir, name, file))
				packets, ipRecords, ipPackets, ipBytes := argusTotals(&out)
				if got.records != want.records || got.failed != 0 || packets != want.packets || got.bytes != want.bytes ||
					ipRecords != want.ipRecords || ipPackets != want.ipPackets || ipBytes-14*ipPackets != want.ipBytes {
					t.Errorf("%+v, %d packets; of IP %d records, %d packets, %d bytes; want %+v; %v", got, packets, ipRecords, ipPackets, ipBytes, want, bad)
				}
				if file == "argus.csv" {
					compareTuples(t, filepath.Join(dir, name, "truth-tuples.tsv"), out.Records, 14)
				}
			})
		}
	}
}
