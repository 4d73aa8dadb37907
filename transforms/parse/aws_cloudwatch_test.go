package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// cloudWatchMessage is what a subscription sends of these lines.
func cloudWatchMessage(lines ...string) string {
	var events []string
	for i, l := range lines {
		events = append(events, fmt.Sprintf(`{"id":"%d","timestamp":176847840%d000,"message":"%s"}`, i, i, l))
	}
	return `{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"flows","logStream":"eni-0a1-all","subscriptionFilters":["all"],"logEvents":[` + strings.Join(events, ",") + `]}`
}

func TestCloudWatchEventsAreTheirLines(t *testing.T) {
	noData := "2 123456789012 eni-0a1 - - - - - - - 1768478400 1768478458 - NODATA"
	broken := strings.Replace(awsLine, "49152", "70000", 1)
	got, bad, n := decodeUnitOf(t, "aws_cloudwatch", cloudWatchMessage(awsLine, noData, broken, strings.Replace(awsLine, "49152", "49153", 1)))
	if len(got) != 2 || len(bad) != 1 || n != (tally{read: 4, gaps: 1, failed: 1}) {
		t.Fatalf("%d records, %+v, %+v", len(got), bad, n)
	}
	plain := rawBatch("aws_vpc", awsLine)
	want, _ := newFn(t, parseFn{}).parse(&plain)
	r := got[0]
	if r.ID != want.Records[0].ID || r.Format != "aws_vpc" || r.Source.IP != want.Records[0].Source.IP || r.EventTime != want.Records[0].EventTime {
		t.Errorf("%+v", r)
	}
	if d := cmp.Diff([]flow.Extension{
		flow.Ext("owner", "123456789012"), flow.Ext("logGroup", "flows"), flow.Ext("logStream", "eni-0a1-all"), flow.Ext("subscriptionFilters", `["all"]`),
		flow.Ext("logEvents.id", "3"), flow.ExtN("logEvents.timestamp", 1768478403000),
	}, got[1].Extensions); d != "" {
		t.Error(d)
	}
	if got[1].Position.Index != flow.N(3) || bad[0].Position.Index != flow.N(2) || strings.Count(bad[0].Data, "message\"") != 1 || !strings.Contains(bad[0].Data, broken) {
		t.Errorf("%+v", bad[0])
	}
	if _, bad, n := decodeUnitOf(t, "aws_cloudwatch", `{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","message":"CWL CONTROL MESSAGE: checking"}]}`); n != (tally{skipped: 1}) {
		t.Errorf("a control message: %+v %+v", n, bad)
	}
}

func TestTransitGatewayFlowLogs(t *testing.T) {
	line := "6 TransitGateway 123456789012 tgw-1 tgw-attach-1 111111111111 222222222222 vpc-a vpc-b subnet-a subnet-b eni-a eni-b use1-az1 use1-az2 tgw-attach-2 " +
		"10.1.0.5 10.2.0.6 49152 443 6 20 4249 1768478400 1768478458 OK IPv4 1 2 3 4 18 us-east-1 ingress - S3"
	for _, header := range []string{"", awsTransitGateway} {
		r, outcome, err := decodeOne(t, "aws_vpc", header, line)
		if err != nil || outcome != Parsed {
			t.Fatal(err)
		}
		want := flow.Record{
			Format: "aws_vpc", Start: 1768478400e9, End: 1768478458e9, EventTime: 1768478458e9, Exporter: flow.Exporter{Name: "tgw-attach-1"}, IngressInterface: "tgw-attach-1", Direction: "ingress",
			Cloud:       flow.Cloud{Provider: "aws", Account: "123456789012", Region: "us-east-1"},
			Source:      flow.Endpoint{IP: flow.MustIP("10.1.0.5"), Port: flow.N(49152), Bytes: flow.N(4249), Packets: flow.N(20), CloudNetwork: "vpc-a"},
			Destination: flow.Endpoint{IP: flow.MustIP("10.2.0.6"), Port: flow.N(443), CloudNetwork: "vpc-b", CloudService: "S3"},
			Protocol:    flow.N(6), TCPFlags: flow.N(18), CounterSemantics: "delta", ByteLayer: "ip",
			Extensions: []flow.Extension{
				flow.Ext("resource_type", "TransitGateway"), flow.Ext("tgw_id", "tgw-1"), flow.Ext("tgw_src_vpc_account_id", "111111111111"), flow.Ext("tgw_dst_vpc_account_id", "222222222222"),
				flow.Ext("tgw_src_subnet_id", "subnet-a"), flow.Ext("tgw_dst_subnet_id", "subnet-b"), flow.Ext("tgw_src_eni", "eni-a"), flow.Ext("tgw_dst_eni", "eni-b"),
				flow.Ext("tgw_src_az_id", "use1-az1"), flow.Ext("tgw_dst_az_id", "use1-az2"), flow.Ext("tgw_pair_attachment_id", "tgw-attach-2"),
				flow.ExtN("packets_lost_no_route", 1), flow.ExtN("packets_lost_blackhole", 2), flow.ExtN("packets_lost_mtu_exceeded", 3), flow.ExtN("packets_lost_ttl_expired", 4),
			},
		}
		if d := cmp.Diff(want, r); d != "" {
			t.Errorf("header %q: %s", header, d)
		}
	}
	if _, _, err := decodeOne(t, "aws_vpc", "", line+" x"); flow.ReasonOf(err, "") != flow.ReasonFormat || !strings.Contains(err.Error(), "version 6") {
		t.Error(err)
	}
	info, _ := flow.FormatNamed("aws_vpc")
	if at, ok := info.Timestamp("", []byte(line)); !ok || at != 1768478458e9 || info.Detect([]byte(line)) == 0 {
		t.Error(at, ok)
	}
}

func TestAWSVersions9And10(t *testing.T) {
	header := "version resource-id interface-id srcaddr dstaddr start end encryption-status flow-direction"
	for line, exporter := range map[string]string{
		"10 nat-1 eni-1 10.1.0.5 10.2.0.6 1768478400 1768478458 3 egress": "eni-1",
		"10 nat-1 - 10.1.0.5 10.2.0.6 1768478400 1768478458 3 egress":     "nat-1",
	} {
		r, _, err := decodeOne(t, "aws_vpc", header, line)
		if err != nil || r.Exporter.Name != exporter || r.EgressInterface != exporter {
			t.Errorf("%v %+v", err, r)
		}
		if d := cmp.Diff([]flow.Extension{flow.Ext("resource_id", "nat-1"), flow.ExtN("encryption_status", 3)}, r.Extensions); d != "" {
			t.Error(d)
		}
	}
}
