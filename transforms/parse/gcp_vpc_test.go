package parse

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// gcpLine is what the source's VM reports of a flow between two VMs.
const gcpLine = `{"insertId":"fb01","jsonPayload":{"bytes_sent":"17760","connection":{"dest_ip":"10.128.0.3","dest_port":8080,"protocol":6,"src_ip":"10.128.0.2","src_port":40000},` +
	`"dest_instance":{"project_id":"example-2","region":"us-central1","vm_name":"api-1","zone":"us-central1-b"},"dest_vpc":{"project_id":"example-2","subnetwork_name":"apis","vpc_name":"shared"},` +
	`"end_time":"2026-01-15T12:00:59.100000001Z","packets_sent":"70","reporter":"SRC","rtt_msec":"3",` +
	`"src_instance":{"project_id":"example-1","region":"us-central1","vm_name":"web-1","zone":"us-central1-a"},"src_vpc":{"project_id":"example-1","subnetwork_name":"webs","vpc_name":"default"},` +
	`"start_time":"2026-01-15T12:00:01.1Z"},"logName":"projects/example-1/logs/compute.googleapis.com%2Fvpc_flows","receiveTimestamp":"2026-01-15T12:01:06.123456789Z",` +
	`"resource":{"labels":{"location":"us-central1-a","project_id":"example-1","subnetwork_id":"1","subnetwork_name":"webs"},"type":"gce_subnetwork"},"timestamp":"2026-01-15T12:01:05.987654321Z"}`

func gcpTimeOf(t testing.TB, text string) flow.Time {
	t.Helper()
	at, err := timestamp("", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestGCPMapsEveryField(t *testing.T) {
	got, _, err := decodeOne(t, "gcp_vpc", "", gcpLine)
	if err != nil {
		t.Fatal(err)
	}
	want := flow.Record{
		ID:     flow.NewID("gcp_vpc", []byte("projects/example-1/logs/compute.googleapis.com%2Fvpc_flows"), []byte("2026-01-15T12:01:05.987654321Z"), []byte("fb01")),
		Format: "gcp_vpc", Start: gcpTimeOf(t, "2026-01-15T12:00:01.1Z"), End: gcpTimeOf(t, "2026-01-15T12:00:59.100000001Z"),
		EventTime: gcpTimeOf(t, "2026-01-15T12:00:59.100000001Z"), Observed: gcpTimeOf(t, "2026-01-15T12:01:05.987654321Z"),
		Exporter: flow.Exporter{Name: "projects/example-1/zones/us-central1-a/instances/web-1"}, Direction: "egress",
		Cloud:       flow.Cloud{Provider: "gcp", Account: "example-1", Region: "us-central1", Zone: "us-central1-a", Instance: "web-1", Network: "default", Subnetwork: "webs"},
		Source:      flow.Endpoint{IP: flow.MustIP("10.128.0.2"), Port: flow.N(40000), Bytes: flow.N(17760), Packets: flow.N(70), CloudName: "web-1", CloudNetwork: "default"},
		Destination: flow.Endpoint{IP: flow.MustIP("10.128.0.3"), Port: flow.N(8080), CloudName: "api-1", CloudNetwork: "shared"},
		Protocol:    flow.N(6), RTTExternal: flow.N(3_000_000), CounterSemantics: "delta", ByteLayer: "payload",
		Extensions: []flow.Extension{
			flow.Ext("reporter", "SRC"), flow.Ext("insertId", "fb01"),
			flow.Ext("logName", "projects/example-1/logs/compute.googleapis.com%2Fvpc_flows"), flow.Ext("receiveTimestamp", "2026-01-15T12:01:06.123456789Z"),
			flow.Ext("resource.labels.location", "us-central1-a"), flow.Ext("resource.labels.project_id", "example-1"),
			flow.Ext("resource.labels.subnetwork_id", "1"), flow.Ext("resource.labels.subnetwork_name", "webs"), flow.Ext("resource.type", "gce_subnetwork"),
			flow.Ext("dest_instance.project_id", "example-2"), flow.Ext("dest_instance.region", "us-central1"), flow.Ext("dest_instance.zone", "us-central1-b"),
			flow.Ext("dest_vpc.project_id", "example-2"), flow.Ext("dest_vpc.subnetwork_name", "apis"), flow.Ext("src_vpc.project_id", "example-1"),
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The two reporters of one flow have another id and another exporter, and the same
// conversation: dedupe.Observations leaves one.
func TestGCPReportersAreObservers(t *testing.T) {
	dest := strings.NewReplacer(`"reporter":"SRC"`, `"reporter":"DEST"`, `"insertId":"fb01"`, `"insertId":"fb02"`).Replace(gcpLine)
	in := rawBatch("gcp_vpc", gcpLine, dest)
	out, bad := newFn(t, parseFn{CommunityID: true}).parse(&in)
	if len(out.Records) != 2 {
		t.Fatal(bad)
	}
	a, b := out.Records[0], out.Records[1]
	if a.ID == b.ID || a.CommunityID == "" || a.CommunityID != b.CommunityID || a.Source.IP != b.Source.IP {
		t.Errorf("%v %v, %q %q", a.ID, b.ID, a.CommunityID, b.CommunityID)
	}
	if b.Exporter.Name != "projects/example-2/zones/us-central1-b/instances/api-1" || b.Direction != "ingress" || b.RTTExternal.OK || b.RTTInternal != flow.N(3_000_000) ||
		b.Cloud.Instance != "api-1" || b.Cloud.Network != "shared" || b.Cloud.Account != "example-2" {
		t.Errorf("%+v", b)
	}
	for _, side := range []string{"SRC", "DEST"} {
		bare := `{"jsonPayload":{"reporter":"` + side + `","connection":{"src_ip":"192.0.2.1","dest_ip":"192.0.2.2"},"end_time":"2026-01-15T12:00:00Z"}}`
		if r, _, err := decodeOne(t, "gcp_vpc", "", bare); err != nil || r.Exporter.Name != side || !r.ID.IsZero() {
			t.Errorf("%v %+v", err, r)
		}
	}
}

func TestGCPIDIsThatOfTheEntry(t *testing.T) {
	id := func(old, new string) flow.ID {
		r, _, err := decodeOne(t, "gcp_vpc", "", strings.Replace(gcpLine, old, new, 1))
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	same := id("", "")
	if id("12:01:06.1234", "12:01:07.1234") != same || id(`"packets_sent":"70"`, `"packets_sent":"71"`) != same {
		t.Error("the id follows from something else")
	}
	if id("fb01", "fb02") == same || id("12:01:05.987", "12:01:05.986") == same || id("projects/example-1/logs", "projects/example-2/logs") == same {
		t.Error("two entries have one id")
	}
}

func TestGCPKeepsWhereTheOtherSideIs(t *testing.T) {
	line := `{"jsonPayload":{"connection":{"src_ip":"192.0.2.1","dest_ip":"10.128.0.2","protocol":1},"reporter":"DEST_GATEWAY","end_time":"2026-01-15T12:00:00Z","bytes_sent":0,` +
		`"src_location":{"asn":64503,"continent":"America","country":"can","region":"Quebec","city":"Montreal"},"dest_location":{"continent":"Europe","country":"xyz"},` +
		`"dest_gateway":{"project_id":"p","location":"us-central1","type":"VPN_TUNNEL","name":"t1"},"src_google_service":{"type":"GOOGLE_API","service_name":"storage.googleapis.com"},` +
		`"src_gke_details":{"pod":{"pod_name":"a"},"service":[{"service_name":"s"}]},"internet_routing_details":{"egress_as_path":[{"as_details":[{"asn":64500}]}]}}}`
	r, _, err := decodeOne(t, "gcp_vpc", "", line)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Source; e.ASN != flow.N(64503) || e.Geo != (flow.Geo{Country: "CA", Region: "Quebec", City: "Montreal"}) || e.CloudService != "storage.googleapis.com" || e.Bytes != flow.N(0) || e.Packets.OK {
		t.Errorf("%+v", e)
	}
	if r.Destination.Geo != (flow.Geo{Continent: "EU"}) || r.Exporter.Name != "projects/p/locations/us-central1/VPN_TUNNEL/t1" || r.Direction != "ingress" {
		t.Errorf("%+v", r)
	}
	want := []flow.Extension{
		flow.Ext("reporter", "DEST_GATEWAY"), flow.Ext("src_location.continent", "America"), flow.Ext("dest_location.country", "xyz"),
		flow.Ext("dest_gateway.project_id", "p"), flow.Ext("dest_gateway.location", "us-central1"), flow.Ext("dest_gateway.type", "VPN_TUNNEL"), flow.Ext("dest_gateway.name", "t1"),
		flow.Ext("src_google_service.type", "GOOGLE_API"), flow.Ext("src_gke_details.pod.pod_name", "a"), flow.Ext("src_gke_details.service", `[{"service_name":"s"}]`),
		flow.Ext("internet_routing_details.egress_as_path", `[{"as_details":[{"asn":64500}]}]`),
	}
	if d := cmp.Diff(want, r.Extensions); d != "" {
		t.Error(d)
	}
}

func TestCountriesOfThreeLetters(t *testing.T) {
	for three, two := range map[string]string{"usa": "US", "deu": "DE", "JPN": "JP", "gbr": "GB", "can": "CA", "rus": "RU", "zzz": "", "us": "", "": "", "eur": ""} {
		if got := country(three); got != two {
			t.Errorf("%q is %q, want %q", three, got, two)
		}
	}
	if n := len(countries); n < 2*249 || n > 2*265 {
		t.Errorf("%d codes", n)
	}
}

func TestGCPLogs(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "cloud/gcp/vpc_flows.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	in := readAsSource(t, "", "", data)
	out, bad := newFn(t, parseFn{CommunityID: true}).parse(&in)
	ids, seen := map[flow.ID]bool{}, map[string]int{}
	var packets, bytes int64
	conversations := map[string]map[string]bool{}
	for i := range out.Records {
		r := &out.Records[i]
		seen[r.Direction]++
		ids[r.ID] = true
		packets += r.Source.Packets.V
		bytes += r.Source.Bytes.V
		key := r.CommunityID + r.Source.IP.String() + r.End.Truncate(60e9).String()
		if conversations[key] == nil {
			conversations[key] = map[string]bool{}
		}
		conversations[key][r.Exporter.Name] = true
		if r.ByteLayer != "payload" || r.Destination.Bytes.OK || r.SamplingRate.OK {
			t.Errorf("%+v", r)
		}
	}
	if len(out.Records) != 15 || len(bad) != 0 || len(ids) != 14 || packets != 1666 || bytes != 1874676 || seen["egress"] != 11 || seen["ingress"] != 4 {
		t.Errorf("%d records, %d ids, %d packets, %d bytes, %v, %v", len(out.Records), len(ids), packets, bytes, seen, bad)
	}
	both := 0
	for _, observers := range conversations {
		if len(observers) > 1 {
			both++
		}
	}
	if both != 2 {
		t.Errorf("%d conversations of two observers, want 2", both)
	}
}
