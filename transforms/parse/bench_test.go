package parse

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/hamba/avro/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/flowbeam/flowbeam/flow"
)

// benchRecords is what one batch holds, as a source would cut it.
const benchRecords = 1000

// Each format is measured as whole batches through the transform's own function
// ("parse": decoding, record id, Community ID and the batch's memory), by its decoder
// alone ("decode"), and beside what a program would write that has only the standard
// tools: "struct by …" has every member or column; of JSON it keeps addresses and times as
// texts, of delimited text it reads them ("texts by …" does not). None makes ids.

func BenchmarkCanopus(b *testing.B) {
	type flat struct {
		Timestamp    string  `json:"timestamp"`
		UserID       string  `json:"user_id"`
		Client       string  `json:"client_ip"`
		Server       string  `json:"server_ip"`
		Download     int64   `json:"download_bytes"`
		Upload       int64   `json:"upload_bytes"`
		InternalRTT  float64 `json:"internal_rtt"`
		ExternalRTT  float64 `json:"external_rtt"`
		InternalLoss float64 `json:"internal_loss"`
		ExternalLoss float64 `json:"external_loss"`
	}
	lines := benchLines("canopus", "user12345", "user%05d")
	benchFormat(b, "canopus", lines)
	benchStruct[flat](b, lines)
	benchOther(b, "struct by encoding/json", lines, func(l []byte) error { var r flat; return json.Unmarshal(l, &r) })
}

// Messages in Confluent's wire format, beside the library's decoding of what is in them into a
// struct, which makes neither addresses nor ids.
func BenchmarkCanopusAvro(b *testing.B) {
	header := declared(b, AvroSchema{ID: 7, JSON: canopusSchema})
	lines := make([][]byte, benchRecords)
	for i := range lines {
		lines[i] = []byte(confluent(7, datumOf(b, canopusSchema, canopusRowOf(fmt.Sprintf("user%05d", i)))))
	}
	benchRecordsOf(b, "canopus", header, lines)
	schema := avro.MustParse(canopusSchema)
	benchOther(b, "struct by hamba/avro", lines, func(l []byte) error {
		var r canopusRow
		return avro.Unmarshal(schema, l[5:], &r)
	})
}

func BenchmarkZeek(b *testing.B) {
	lines := benchLines("zeek", "\tCa1\t", "\tCa%06d\t")
	benchFormat(b, "zeek", lines)
	benchCSV(b, '\t', lines)
}

func BenchmarkZeekJSON(b *testing.B) {
	type flat struct {
		TS            float64 `json:"ts"`
		UID           string  `json:"uid"`
		OrigH         string  `json:"id.orig_h"`
		OrigP         int64   `json:"id.orig_p"`
		RespH         string  `json:"id.resp_h"`
		RespP         int64   `json:"id.resp_p"`
		Proto         string  `json:"proto"`
		Service       string  `json:"service"`
		Duration      float64 `json:"duration"`
		OrigBytes     int64   `json:"orig_bytes"`
		RespBytes     int64   `json:"resp_bytes"`
		ConnState     string  `json:"conn_state"`
		LocalOrig     bool    `json:"local_orig"`
		LocalResp     bool    `json:"local_resp"`
		MissedBytes   int64   `json:"missed_bytes"`
		History       string  `json:"history"`
		OrigPkts      int64   `json:"orig_pkts"`
		OrigIPBytes   int64   `json:"orig_ip_bytes"`
		RespPkts      int64   `json:"resp_pkts"`
		RespIPBytes   int64   `json:"resp_ip_bytes"`
		TransportCode int64   `json:"ip_proto"`
	}
	lines := benchLines("zeek_json", `"Ca1"`, `"Ca%06d"`)
	benchFormat(b, "zeek_json", lines)
	benchStruct[flat](b, lines)
}

func BenchmarkAWS(b *testing.B) {
	lines := benchLines("aws_vpc", "49152", "%d")
	benchFormat(b, "aws_vpc", lines)
	benchCSV(b, ' ', lines)
}

func BenchmarkGCP(b *testing.B) {
	type instance struct {
		Project string `json:"project_id"`
		Region  string `json:"region"`
		VM      string `json:"vm_name"`
		Zone    string `json:"zone"`
	}
	type vpc struct {
		Project    string `json:"project_id"`
		Subnetwork string `json:"subnetwork_name"`
		VPC        string `json:"vpc_name"`
	}
	type entry struct {
		InsertID string `json:"insertId"`
		LogName  string `json:"logName"`
		Time     string `json:"timestamp"`
		Received string `json:"receiveTimestamp"`
		Resource struct {
			Type   string `json:"type"`
			Labels struct {
				Location       string `json:"location"`
				Project        string `json:"project_id"`
				SubnetworkID   string `json:"subnetwork_id"`
				SubnetworkName string `json:"subnetwork_name"`
			} `json:"labels"`
		} `json:"resource"`
		Payload struct {
			Connection struct {
				Source          string `json:"src_ip"`
				Destination     string `json:"dest_ip"`
				Protocol        int    `json:"protocol"`
				SourcePort      int    `json:"src_port"`
				DestinationPort int    `json:"dest_port"`
			} `json:"connection"`
			Reporter            string   `json:"reporter"`
			Bytes               int64    `json:"bytes_sent,string"`
			Packets             int64    `json:"packets_sent,string"`
			RTT                 int64    `json:"rtt_msec,string"`
			Start               string   `json:"start_time"`
			End                 string   `json:"end_time"`
			SourceInstance      instance `json:"src_instance"`
			DestinationInstance instance `json:"dest_instance"`
			SourceVPC           vpc      `json:"src_vpc"`
			DestinationVPC      vpc      `json:"dest_vpc"`
		} `json:"jsonPayload"`
	}
	lines := benchLines("gcp_vpc", `"fb01"`, `"fb%06d"`)
	benchFormat(b, "gcp_vpc", lines)
	benchStruct[entry](b, lines)
}

// Messages of ten events: 1000 records in a hundred messages.
func BenchmarkCloudWatch(b *testing.B) {
	type message struct {
		Type   string   `json:"messageType"`
		Owner  string   `json:"owner"`
		Group  string   `json:"logGroup"`
		Stream string   `json:"logStream"`
		Filter []string `json:"subscriptionFilters"`
		Events []struct {
			ID        string `json:"id"`
			Timestamp int64  `json:"timestamp"`
			Message   string `json:"message"`
		} `json:"logEvents"`
	}
	var units [][]byte
	for i := range benchRecords / 10 {
		var lines []string
		for j := range 10 {
			lines = append(lines, strings.Replace(awsLine, "49152", fmt.Sprint(i*10+j), 1))
		}
		units = append(units, []byte(cloudWatchMessage(lines...)))
	}
	benchFormat(b, "aws_cloudwatch", units)
	benchInside(b, ' ', []byte(awsLine), units, func(l []byte, row func([]byte) error) error {
		var m message
		if err := jsonv2.Unmarshal(l, &m); err != nil {
			return err
		}
		for i := range m.Events {
			if err := row([]byte(m.Events[i].Message)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Units of ten tuples: 1000 records in a hundred units.
func BenchmarkAzureVNet(b *testing.B) {
	type entry struct {
		Time     string `json:"time"`
		Version  int    `json:"flowLogVersion"`
		GUID     string `json:"flowLogGUID"`
		MAC      string `json:"macAddress"`
		Category string `json:"category"`
		Log      string `json:"flowLogResourceID"`
		Target   string `json:"targetResourceID"`
		Name     string `json:"operationName"`
		Records  struct {
			Flows []struct {
				ACL    string `json:"aclID"`
				Groups []struct {
					Rule   string   `json:"rule"`
					Tuples []string `json:"flowTuples"`
				} `json:"flowGroups"`
			} `json:"flows"`
		} `json:"flowRecords"`
	}
	var units [][]byte
	for i := range benchRecords / 10 {
		var tuples []string
		for j := range 10 {
			tuples = append(tuples, fmt.Sprintf("1768478459640,10.0.0.6,198.51.100.17,%d,443,6,O,C,NX,30,3705,67,44990", 1000+i*10+j))
		}
		units = append(units, []byte(vnetEntry(tuples...)))
	}
	benchFormat(b, "azure_vnet", units)
	sample := []byte("1768478459640,10.0.0.6,198.51.100.17,1000,443,6,O,C,NX,30,3705,67,44990")
	benchInside(b, ',', sample, units, func(l []byte, row func([]byte) error) error {
		var r entry
		if err := jsonv2.Unmarshal(l, &r); err != nil {
			return err
		}
		for _, t := range r.Records.Flows[0].Groups[0].Tuples {
			if err := row([]byte(t)); err != nil {
				return err
			}
		}
		return nil
	})
}

func BenchmarkAzureNSG(b *testing.B) {
	type entry struct {
		Time       string `json:"time"`
		System     string `json:"systemId"`
		MAC        string `json:"macAddress"`
		Category   string `json:"category"`
		Resource   string `json:"resourceId"`
		Name       string `json:"operationName"`
		Properties struct {
			Version int `json:"Version"`
			Flows   []struct {
				Rule  string `json:"rule"`
				Flows []struct {
					MAC    string   `json:"mac"`
					Tuples []string `json:"flowTuples"`
				} `json:"flows"`
			} `json:"flows"`
		} `json:"properties"`
	}
	const tuple = "1768478457,10.5.16.4,198.51.100.204,%d,443,T,O,A,C,1021,588096,8005,4610880"
	var units [][]byte
	for i := range benchRecords / 10 {
		var tuples []string
		for j := range 10 {
			tuples = append(tuples, fmt.Sprintf(tuple, 1000+i*10+j))
		}
		units = append(units, []byte(nsgEntry(tuples...)))
	}
	benchFormat(b, "azure_nsg", units)
	benchInside(b, ',', fmt.Appendf(nil, tuple, 1000), units, func(l []byte, row func([]byte) error) error {
		var r entry
		if err := jsonv2.Unmarshal(l, &r); err != nil {
			return err
		}
		for _, t := range r.Properties.Flows[0].Flows[0].Tuples {
			if err := row([]byte(t)); err != nil {
				return err
			}
		}
		return nil
	})
}

func BenchmarkSuricata(b *testing.B) {
	type event struct {
		Timestamp string `json:"timestamp"`
		FlowID    int64  `json:"flow_id"`
		Interface string `json:"in_iface"`
		Type      string `json:"event_type"`
		Source    string `json:"src_ip"`
		SPort     int64  `json:"src_port"`
		Dest      string `json:"dest_ip"`
		DPort     int64  `json:"dest_port"`
		Proto     string `json:"proto"`
		App       string `json:"app_proto"`
		Flow      struct {
			PacketsToServer int64  `json:"pkts_toserver"`
			PacketsToClient int64  `json:"pkts_toclient"`
			BytesToServer   int64  `json:"bytes_toserver"`
			BytesToClient   int64  `json:"bytes_toclient"`
			Start           string `json:"start"`
			End             string `json:"end"`
			Age             int64  `json:"age"`
			State           string `json:"state"`
			Reason          string `json:"reason"`
			Alerted         bool   `json:"alerted"`
		} `json:"flow"`
		CommunityID string `json:"community_id"`
		TCP         struct {
			Flags   string `json:"tcp_flags"`
			FlagsTS string `json:"tcp_flags_ts"`
			FlagsTC string `json:"tcp_flags_tc"`
			SYN     bool   `json:"syn"`
			FIN     bool   `json:"fin"`
			PSH     bool   `json:"psh"`
			ACK     bool   `json:"ack"`
			State   string `json:"state"`
		} `json:"tcp"`
		Host string `json:"host"`
	}
	lines := benchLines("suricata", "1300000000000001", "13000000000%05d")
	benchFormat(b, "suricata", lines)
	benchStruct[event](b, lines)
}

func BenchmarkArgus(b *testing.B) {
	lines := benchLines("argus", ",50000,", ",%d,")
	benchFormat(b, "argus", lines)
	benchCSV(b, ',', lines)
}

func BenchmarkNfdump(b *testing.B) {
	lines := benchLines("nfdump", ",50000,", ",%d,")
	benchFormat(b, "nfdump", lines)
	benchCSV(b, ',', lines)
}

func BenchmarkNfdumpJSON(b *testing.B) {
	type object struct {
		Type     string `json:"type"`
		Sampled  int64  `json:"sampled"`
		Exporter int64  `json:"export_sysid"`
		First    string `json:"first"`
		Last     string `json:"last"`
		Received string `json:"received"`
		Packets  int64  `json:"in_packets"`
		Bytes    int64  `json:"in_bytes"`
		Proto    int64  `json:"proto"`
		Flags    string `json:"tcp_flags"`
		SPort    int64  `json:"src_port"`
		DPort    int64  `json:"dst_port"`
		TOS      int64  `json:"src_tos"`
		Source   string `json:"src4_addr"`
		Dest     string `json:"dst4_addr"`
		Input    int64  `json:"input_snmp"`
		Output   int64  `json:"output_snmp"`
		SAS      int64  `json:"src_as"`
		DAS      int64  `json:"dst_as"`
		Label    string `json:"label"`
	}
	lines := benchLines("nfdump_json", ": 50000", ": %d")
	benchFormat(b, "nfdump_json", lines)
	benchStruct[object](b, lines)
}

func BenchmarkPmacct(b *testing.B) {
	type object struct {
		Type     string `json:"event_type"`
		Peer     string `json:"peer_ip_src"`
		Input    int64  `json:"iface_in"`
		Output   int64  `json:"iface_out"`
		SAS      int64  `json:"as_src"`
		DAS      int64  `json:"as_dst"`
		VLAN     int64  `json:"vlan"`
		Source   string `json:"ip_src"`
		Dest     string `json:"ip_dst"`
		SPort    int64  `json:"port_src"`
		DPort    int64  `json:"port_dst"`
		Flags    string `json:"tcp_flags"`
		Proto    string `json:"ip_proto"`
		TOS      int64  `json:"tos"`
		Sampling int64  `json:"sampling_rate"`
		Start    string `json:"timestamp_start"`
		End      string `json:"timestamp_end"`
		Inserted string `json:"stamp_inserted"`
		Updated  string `json:"stamp_updated"`
		Packets  int64  `json:"packets"`
		Bytes    int64  `json:"bytes"`
		Writer   string `json:"writer_id"`
	}
	lines := benchLines("pmacct", ":50000", ":%d")
	benchFormat(b, "pmacct", lines)
	benchStruct[object](b, lines)
}

func BenchmarkGoflow2(b *testing.B) {
	type object struct {
		Type     string `json:"type"`
		Received int64  `json:"time_received_ns"`
		Sequence int64  `json:"sequence_num"`
		Sampling int64  `json:"sampling_rate"`
		Sampler  string `json:"sampler_address"`
		Start    int64  `json:"time_flow_start_ns"`
		End      int64  `json:"time_flow_end_ns"`
		Bytes    int64  `json:"bytes"`
		Packets  int64  `json:"packets"`
		Source   string `json:"src_addr"`
		Dest     string `json:"dst_addr"`
		Etype    string `json:"etype"`
		Proto    string `json:"proto"`
		SPort    int64  `json:"src_port"`
		DPort    int64  `json:"dst_port"`
		Input    int64  `json:"in_if"`
		Output   int64  `json:"out_if"`
		SMAC     string `json:"src_mac"`
		DMAC     string `json:"dst_mac"`
		VLAN     int64  `json:"vlan_id"`
		TOS      int64  `json:"ip_tos"`
		TTL      int64  `json:"ip_ttl"`
		Flags    int64  `json:"tcp_flags"`
		SAS      int64  `json:"src_as"`
		DAS      int64  `json:"dst_as"`
		NextHop  string `json:"next_hop"`
		SNet     string `json:"src_net"`
		DNet     string `json:"dst_net"`
		Path     []int  `json:"as_path"`
		Domain   int64  `json:"observation_domain_id"`

		SVLAN          int64    `json:"src_vlan"`
		DVLAN          int64    `json:"dst_vlan"`
		Status         int64    `json:"forwarding_status"`
		IPFlags        int64    `json:"ip_flags"`
		ICMPType       int64    `json:"icmp_type"`
		ICMPCode       int64    `json:"icmp_code"`
		Label          int64    `json:"ipv6_flow_label"`
		Fragment       int64    `json:"fragment_id"`
		FragmentOffset int64    `json:"fragment_offset"`
		NextHopAS      int64    `json:"next_hop_as"`
		BGPNextHop     string   `json:"bgp_next_hop"`
		Communities    []int64  `json:"bgp_communities"`
		MPLSTTL        []int64  `json:"mpls_ttl"`
		MPLSLabel      []int64  `json:"mpls_label"`
		MPLSIP         []string `json:"mpls_ip"`
		Point          int64    `json:"observation_point_id"`
		Layers         []string `json:"layer_stack"`
		LayerSizes     []int64  `json:"layer_size"`
	}
	lines := benchLines("goflow2", ":50000", ":%d")
	benchFormat(b, "goflow2", lines)
	benchStruct[object](b, lines)
}

func BenchmarkGoflow2Protobuf(b *testing.B) {
	lines := make([][]byte, benchRecords)
	for i := range lines {
		lines[i] = []byte(goflow2Delimited)
	}
	benchFormat(b, "goflow2_protobuf", lines)
	benchOther(b, "fields by protowire", lines, func(l []byte) error {
		l, _ = protowire.ConsumeBytes(l)
		for len(l) > 0 {
			n, t, size := protowire.ConsumeTag(l)
			if size < 0 {
				return protowire.ParseError(size)
			}
			l = l[size:]
			if size = protowire.ConsumeFieldValue(n, t, l); size < 0 {
				return protowire.ParseError(size)
			}
			l = l[size:]
		}
		return nil
	})
}

func BenchmarkFlowbeam(b *testing.B) {
	in := sampleBatch("zeek")
	out, _ := newFn(b, parseFn{CommunityID: true}).parse(&in)
	line := flow.AppendRecordJSON(nil, &out.Records[0])
	lines := make([][]byte, benchRecords)
	for i := range lines {
		lines[i] = line
	}
	benchFormat(b, "flowbeam", lines)
	type record struct {
		ID                  string            `json:"record_id"`
		Revision            int64             `json:"revision"`
		Event               time.Time         `json:"event_time"`
		Start               time.Time         `json:"flow_start"`
		End                 time.Time         `json:"flow_end"`
		Received            time.Time         `json:"received_time"`
		Late                bool              `json:"late"`
		Duration            int64             `json:"duration_ns"`
		CommunityID         string            `json:"community_id"`
		Format              string            `json:"format"`
		Source              string            `json:"position_source"`
		Offset              int64             `json:"position_offset"`
		DataCenter          string            `json:"data_center"`
		Tenant              string            `json:"tenant"`
		Direction           string            `json:"direction"`
		Protocol            int64             `json:"protocol"`
		Version             int64             `json:"ip_version"`
		Application         string            `json:"application"`
		Semantics           string            `json:"counter_semantics"`
		Layer               string            `json:"byte_layer"`
		State               string            `json:"connection_state"`
		History             string            `json:"history"`
		Missed              int64             `json:"missed_bytes"`
		Extensions          map[string]string `json:"extensions"`
		SourceIP            netip.Addr        `json:"source_ip"`
		SourcePort          int64             `json:"source_port"`
		SourceBytes         int64             `json:"source_bytes"`
		SourcePackets       int64             `json:"source_packets"`
		SourcePayload       int64             `json:"source_payload_bytes"`
		SourceBytesScaled   int64             `json:"source_bytes_scaled"`
		SourcePacketsScaled int64             `json:"source_packets_scaled"`
		DestIP              netip.Addr        `json:"destination_ip"`
		DestPort            int64             `json:"destination_port"`
		DestBytes           int64             `json:"destination_bytes"`
		DestPackets         int64             `json:"destination_packets"`
		DestPayload         int64             `json:"destination_payload_bytes"`
		DestBytesScaled     int64             `json:"destination_bytes_scaled"`
		DestPacketsScaled   int64             `json:"destination_packets_scaled"`
	}
	benchStruct[record](b, lines)
}

func benchLines(format, old, pattern string) [][]byte {
	lines := make([][]byte, benchRecords)
	for i := range lines {
		lines[i] = []byte(strings.Replace(samples[format].line, old, fmt.Sprintf(pattern, i), 1))
	}
	return lines
}

func benchFormat(b *testing.B, format string, lines [][]byte) {
	benchRecordsOf(b, format, samples[format].header, lines)
}

// benchRecordsOf is benchFormat with another header than that of the format's sample.
func benchRecordsOf(b *testing.B, format, header string, lines [][]byte) {
	b.Run("parse", func(b *testing.B) {
		in := rawBatch(format)
		in.Origin.Header = header
		for i, l := range lines {
			in.Records = append(in.Records, flow.Raw{Data: l, Offset: flow.N(int64(i))})
		}
		f := newFn(b, parseFn{CommunityID: true})
		measure(b, func() {
			if out, bad := f.parse(&in); len(out.Records) != benchRecords {
				b.Fatal(bad[0])
			}
		})
	})
	f, _ := formatNamed(format)
	if f.NewUnit != nil {
		benchUnits(b, f, header, lines)
		return
	}
	d, err := f.New(header)
	if err != nil {
		b.Fatal(err)
	}
	r := make([]flow.Record, 1)
	benchOther(b, "decode", lines, func(l []byte) error {
		clear(r)
		_, err := d.Decode(view(l), &r[0])
		return err
	})
}

func benchUnits(b *testing.B, f Format, header string, units [][]byte) {
	d, err := f.NewUnit(header)
	if err != nil {
		b.Fatal(err)
	}
	u := Unit{origin: &flow.Origin{}, raw: &flow.Raw{}}
	benchOther(b, "decode", units, func(l []byte) error {
		u.records = u.records[:0]
		return d.DecodeUnit(view(l), &u)
	})
}

func benchOther(b *testing.B, name string, lines [][]byte, decode func([]byte) error) {
	b.Run(name, func(b *testing.B) {
		measure(b, func() {
			for _, l := range lines {
				if err := decode(l); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// measure reports per record what one batch costs.
func measure(b *testing.B, batch func()) {
	b.ReportAllocs()
	allocs := testing.AllocsPerRun(1, batch)
	b.ResetTimer()
	for range b.N {
		batch()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
	b.ReportMetric(allocs/benchRecords, "allocs/record")
}

// benchStruct measures encoding/json/v2 into a struct that has every member of the lines: as
// the decoder, it may leave nothing out.
func benchStruct[T any](b *testing.B, lines [][]byte) {
	var all T
	if err := jsonv2.Unmarshal(lines[0], &all, jsonv2.RejectUnknownMembers(true)); err != nil {
		b.Fatal(err)
	}
	benchOther(b, "struct by encoding/json/v2", lines, func(l []byte) error { var r T; return jsonv2.Unmarshal(l, &r) })
}

// benchCSV measures encoding/csv into a struct that has numbers, addresses and times, as the
// record has, and into one of numbers and texts, which leaves the rest of the work for later.
func benchCSV(b *testing.B, comma rune, lines [][]byte) {
	benchOther(b, "struct by encoding/csv", lines, structByCSV(comma, lines[0], true))
	benchOther(b, "texts by encoding/csv", lines, structByCSV(comma, lines[0], false))
}

// benchInside is benchCSV of rows inside of JSON: decode reads a unit and gives row each one.
func benchInside(b *testing.B, comma rune, sample []byte, units [][]byte, decode func(unit []byte, row func([]byte) error) error) {
	for name, typed := range map[string]bool{"struct": true, "texts": false} {
		row := structByCSV(comma, sample, typed)
		benchOther(b, name+" by encoding/json/v2 and encoding/csv", units, func(l []byte) error { return decode(l, row) })
	}
}

// structByCSV reads lines as one file by encoding/csv. Which column is what is known from a
// sample, as it is to who writes a struct. Memory is used again.
func structByCSV(comma rune, sample []byte, typed bool) func([]byte) error {
	const text, whole, float, address, at = 0, 1, 2, 3, 4
	var row struct {
		texts     [64]string
		wholes    [64]int64
		floats    [64]float64
		addresses [64]netip.Addr
		times     [64]time.Time
	}
	type column struct {
		kind   int
		layout string
	}
	var columns []column
	for _, f := range strings.Split(string(sample), string(comma)) {
		c := column{kind: text}
		if _, err := strconv.ParseFloat(strings.TrimSpace(f), 64); err == nil {
			c.kind = float
		}
		if _, err := strconv.ParseInt(f, 10, 64); err == nil {
			c.kind = whole
		}
		if typed && c.kind == text {
			if _, err := netip.ParseAddr(f); err == nil {
				c.kind = address
			}
			for _, layout := range []string{time.DateTime, "2006/01/02 15:04:05", time.RFC3339} {
				if _, err := time.Parse(layout, f); err == nil {
					c = column{at, layout}
				}
			}
		}
		columns = append(columns, c)
	}
	in := new(bytes.Buffer)
	r := csv.NewReader(in)
	r.Comma, r.ReuseRecord, r.FieldsPerRecord, r.LazyQuotes = comma, true, len(columns), true
	return func(l []byte) error {
		in.Write(l)
		in.WriteByte('\n')
		fields, err := r.Read()
		if err != nil {
			return err
		}
		for i, f := range fields {
			switch columns[i].kind {
			case text:
				row.texts[i] = f
			case whole:
				row.wholes[i], err = strconv.ParseInt(f, 10, 64)
			case float:
				row.floats[i], err = strconv.ParseFloat(strings.TrimSpace(f), 64)
			case address:
				row.addresses[i], err = netip.ParseAddr(f)
			case at:
				row.times[i], err = time.Parse(columns[i].layout, f)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}
