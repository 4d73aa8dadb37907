package parse

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

const suricataFlow = `{"timestamp":"2026-01-15T13:01:05.000001+0100","flow_id":1300000000000001,"in_iface":"eth0","event_type":"flow","src_ip":"10.0.0.1","src_port":50000,"dest_ip":"192.0.2.1","dest_port":443,"proto":"TCP","app_proto":"tls","flow":{"pkts_toserver":8,"pkts_toclient":9,"bytes_toserver":540,"bytes_toclient":2502,"start":"2026-01-15T13:00:00.000001+0100","end":"2026-01-15T13:00:01.500001+0100","age":1,"state":"closed","reason":"timeout","alerted":false},"community_id":"1:QAf3+pGMaqGO534pWKUcLd7LteM=","tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1a","syn":true,"fin":true,"psh":true,"ack":true,"state":"closed"},"host":"sensor1"}`

const suricataNetflow = `{"timestamp":"2026-01-15T13:01:05.000001+0100","flow_id":1300000000000001,"event_type":"netflow","src_ip":"10.0.0.1","src_port":50000,"dest_ip":"192.0.2.1","dest_port":443,"proto":"TCP","app_proto":"failed","netflow":{"pkts":8,"bytes":540,"start":"2026-01-15T13:00:00.000001+0100","end":"2026-01-15T13:00:01.500001+0100","age":1,"min_ttl":64,"max_ttl":64},"tcp":{"tcp_flags":"1b","syn":true,"fin":true,"psh":true,"ack":true}}`

func TestSuricataMapsEveryField(t *testing.T) {
	got, _, err := decodeOne(t, "suricata", "", suricataFlow)
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) flow.Time {
		return flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 1000, time.UTC).Add(d))
	}
	want := flow.Record{
		Format: "suricata", ID: flow.NewIDText("suricata", "sensor1", "1300000000000001", "2026-01-15T13:00:00.000001+0100", "flow"),
		CommunityID: "1:QAf3+pGMaqGO534pWKUcLd7LteM=", Start: at(0), End: at(1500 * time.Millisecond), EventTime: at(1500 * time.Millisecond), Observed: at(65 * time.Second),
		Exporter: flow.Exporter{Name: "sensor1"}, IngressInterface: "eth0", Protocol: flow.N(6), Application: "tls", TCPFlags: flow.N(0x1b),
		Source:          flow.Endpoint{IP: flow.MustIP("10.0.0.1"), Port: flow.N(50000), Bytes: flow.N(540), Packets: flow.N(8)},
		Destination:     flow.Endpoint{IP: flow.MustIP("192.0.2.1"), Port: flow.N(443), Bytes: flow.N(2502), Packets: flow.N(9)},
		ConnectionState: "closed", EndReason: "end", CounterSemantics: "total", ByteLayer: "l2",
		Extensions: []flow.Extension{
			flow.ExtN("flow_id", 1300000000000001), flow.ExtN("flow.age", 1), flow.Ext("flow.reason", "timeout"),
			{Name: "flow.alerted", Text: "false", Kind: flow.ExtBool},
			flow.Ext("tcp.tcp_flags_ts", "1b"), flow.Ext("tcp.tcp_flags_tc", "1a"), flow.Ext("tcp.state", "closed"),
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The two netflow events of a conversation share flow_id and start: without the direction
// in their ids one of them would vanish as a copy.
func TestSuricataDirectionsHaveIdsOfTheirOwn(t *testing.T) {
	turn := strings.NewReplacer("10.0.0.1", "192.0.2.1", "192.0.2.1", "10.0.0.1", ":50000", ":443", ":443", ":50000")
	ids := map[flow.ID]string{}
	for _, line := range []string{
		suricataFlow, suricataNetflow, turn.Replace(suricataNetflow),
		strings.Replace(suricataNetflow, `"netflow","src`, `"netflow","host":"sensor2","src`, 1),
		strings.Replace(suricataFlow, "sensor1", "sensor2", 1),
		strings.Replace(suricataFlow, "13:00:00.000001+0100", "12:59:00.000001+0100", 1), // the sensor's id came again
	} {
		r, _, err := decodeOne(t, "suricata", "", line)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := ids[r.ID]; ok || r.ID.IsZero() {
			t.Errorf("one id %s of\n%s\n%s", r.ID, line, other)
		}
		ids[r.ID] = line
	}
	again, _, _ := decodeOne(t, "suricata", "", strings.Replace(suricataFlow, `"timestamp":"2026-01-15T13:01:05`, `"timestamp":"2026-01-15T13:01:06`, 1))
	if ids[again.ID] == "" {
		t.Error("the id follows from when the event was logged")
	}
}

func TestSuricataReasons(t *testing.T) {
	with := func(old, new string) string {
		if !strings.Contains(suricataFlow, old) {
			t.Fatalf("no %s in the sample", old)
		}
		return strings.Replace(suricataFlow, old, new, 1)
	}
	for _, c := range []struct {
		name, data string
		reason     flow.Reason
		text       string
	}{
		{"no event type", with(`"event_type"`, `"event"`), flow.ReasonField, "event_type: missing"},
		{"an event type of another kind", with(`"event_type":"flow"`, `"event_type":1`), flow.ReasonField, "event_type: want a string"},
		{"another tool's event", `{"event_type":"purge","ip_src":"10.0.0.1"}`, flow.ReasonField, "timestamp: missing"},
		{"a flow event without the flow", with(`"flow":{`, `"flows":{`), flow.ReasonField, "flow: missing"},
		{"a flow that is no object", with(`"flow":{`, `"flow":[],"x":{`), flow.ReasonField, "flow: want an object"},
		{"a broken object inside", with(`"alerted":false}`, `"alerted":false`), flow.ReasonSyntax, "JSON"},
		{"a member twice in an object inside", with(`"alerted"`, `"age":2,"alerted"`), flow.ReasonSyntax, "age"},
		{"a start without offset", with(`01-15T13:00:00.000001+0100`, `01-15T13:00:00.000001`), flow.ReasonField, "flow.start: want an RFC 3339 time"},
		{"a start that is a number", with(`"start":"2026-01-15T13:00:00.000001+0100"`, `"start":1`), flow.ReasonField, "flow.start"},
		{"an end before the start", with(`13:00:01.500001`, `12:59:01.500001`), flow.ReasonValue, "flow.end"},
		{"neither start nor end", strings.NewReplacer(`"start"`, `"a"`, `"end"`, `"b"`).Replace(suricataFlow), flow.ReasonField, "end: missing"},
		{"a port beyond 16 bits", with("50000", "65536"), flow.ReasonValue, "src_port"},
		{"a port as text", with("50000", `"50000"`), flow.ReasonField, "src_port: want a number"},
		{"no source", with(`"src_ip"`, `"source"`), flow.ReasonField, "src_ip: missing"},
		{"no destination", with(`"dest_ip"`, `"dest"`), flow.ReasonField, "dest_ip: missing"},
		{"an address that is none", with("192.0.2.1", "192.0.2"), flow.ReasonField, "dest_ip"},
		{"negative bytes", with(`"bytes_toserver":540`, `"bytes_toserver":-1`), flow.ReasonValue, "flow.bytes_toserver"},
		{"packets with a fraction", with(`"pkts_toclient":9`, `"pkts_toclient":9.5`), flow.ReasonField, "flow.pkts_toclient"},
		{"flags that are not hexadecimal", with(`"tcp_flags":"1b"`, `"tcp_flags":"SA"`), flow.ReasonField, "tcp.tcp_flags"},
		{"a VLAN beyond 12 bits", with(`"proto"`, `"vlan":[4096],"proto"`), flow.ReasonValue, "vlan"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, o, err := decodeOne(t, "suricata", "", c.data)
			if err == nil {
				t.Fatalf("accepted, outcome %v", o)
			}
			if got := flow.ReasonOf(err, flow.ReasonSyntax); got != c.reason || !strings.Contains(err.Error(), c.text) {
				t.Errorf("reason %q, error %q; want %q and %q", got, err, c.reason, c.text)
			}
		})
	}
}

func TestSuricataOfTheDataSet(t *testing.T) {
	for name, want := range map[string]sums{
		"eve.test6-malicious.json.gz": {records: 3512, packets: 39_171, bytes: 5_030_629},
		"eve.flow-500.json":           {records: 500, packets: 12_238, bytes: 1_141_411},
	} {
		t.Run(name, func(t *testing.T) {
			out, bad, got := parseFile(t, testenv.Shared(t, "suricata/"+name))
			if got != want {
				t.Errorf("%+v, want %+v; %v", got, want, bad)
			}
			protocols := map[int64]int{}
			for i := range out.Records {
				protocols[out.Records[i].Protocol.V]++
			}
			if want.records == 3512 && (protocols[6] != 2336 || protocols[17] != 1176) {
				t.Errorf("protocols %v", protocols)
			}
		})
	}
}
