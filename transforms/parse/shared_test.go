package parse

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

type sums struct{ records, gaps, failed, packets, bytes int64 }

// parseFile parses a file of the shared data set with its format detected. No two of its
// records have one id.
func parseFile(t *testing.T, path string) (flow.Batch, []flow.Failure, sums) {
	t.Helper()
	return parseFileOf(t, path, 0)
}

// parseFileOf is parseFile of a file that has so many records a second time.
func parseFileOf(t *testing.T, path string, again int) (flow.Batch, []flow.Failure, sums) {
	t.Helper()
	in := readAsSource(t, "", "", readFile(t, path))
	f := newFn(t, parseFn{CommunityID: true})
	out, bad := f.parse(&in)
	s := sums{records: int64(len(out.Records)), gaps: f.n.gaps, failed: f.n.failed}
	ids := map[flow.ID]bool{}
	for i := range out.Records {
		r := &out.Records[i]
		s.packets += r.Source.Packets.V + r.Destination.Packets.V
		s.bytes += r.Source.Bytes.V + r.Destination.Bytes.V
		ids[r.ID] = true
	}
	if n := len(out.Records) - len(ids); n != again {
		t.Errorf("%d records have the id of another, want %d", n, again)
	}
	if f.n.read != s.records+s.gaps+s.failed {
		t.Errorf("read %d is not records %d + gaps %d + failed %d", f.n.read, s.records, s.gaps, s.failed)
	}
	return out, bad, s
}

// readFile reads a file, decompressed where its name says that it is compressed.
func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		zr, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(zr); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func TestZeekConnLogs(t *testing.T) {
	dir := testenv.Shared(t, "zeek")
	table, err := os.ReadFile(filepath.Join(dir, "files.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		c := strings.Split(line, "\t")
		number := func(i int) int64 {
			n, err := strconv.ParseInt(c[i], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		t.Run(c[0], func(t *testing.T) {
			out, bad, got := parseFile(t, filepath.Join(dir, "conn", c[0]))
			if want := (sums{records: number(1), packets: number(4), bytes: number(5)}); got != want {
				t.Errorf("%+v, want %+v; %v", got, want, bad)
			}
			noEnd := int64(0)
			protocols := map[string]int{}
			for i := range out.Records {
				r := &out.Records[i]
				if r.TimeQuality == "no_end" {
					noEnd++
				}
				if !r.Protocol.OK || !r.Source.IP.OK() || r.Format != "zeek" {
					t.Fatalf("record %d: %+v", i, r)
				}
				switch r.Protocol.V {
				case 1, 58:
					protocols["icmp"]++
				case 6:
					protocols["tcp"]++
				case 17:
					protocols["udp"]++
				default:
					protocols["unknown_transport"]++
				}
			}
			if noEnd != number(7) {
				t.Errorf("%d without end, want %d", noEnd, number(7))
			}
			for _, p := range strings.Fields(c[6]) {
				name, n, _ := strings.Cut(p, "=")
				if strconv.Itoa(protocols[name]) != n && !strings.Contains(c[6], "unknown_transport") {
					t.Errorf("%d %s, want %s", protocols[name], name, n)
				}
			}
		})
	}
}

func TestZeekLogsOfOneTrafficAgree(t *testing.T) {
	dir := testenv.Shared(t, "zeek/conn")
	var want []string
	for _, name := range []string{
		"opt.basic__conn.log", "scripts.base.frameworks.logging.field-name-map__conn.log",
		"scripts.base.frameworks.logging.scope_sep__conn.log", "scripts.base.frameworks.logging.field-extension-complex__conn.log",
		"scripts.policy.protocols.conn.mac-logging__conn1.log",
	} {
		out, _, _ := parseFile(t, filepath.Join(dir, name))
		var got []string
		for i := range out.Records {
			r := &out.Records[i]
			got = append(got, fmt.Sprint(r.CommunityID, r.Protocol.V, r.Source.Packets.V+r.Destination.Packets.V, r.Duration().V))
		}
		slices.Sort(got) // the logs differ in their order, and one turned a flow round
		if want == nil {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s differs from the first: %s", name, d)
		}
	}
}

func TestLargeZeekLogs(t *testing.T) {
	for name, want := range map[string]sums{
		"zeek/large/rita-proxy_rolling-conn.15_00_00-16_00_00.log.gz": {records: 290, packets: 27_422, bytes: 12_877_449},
		"zeek/large/rita-proxy_rolling-conn.16_00_00-17_00_00.log.gz": {records: 7260, packets: 1_022_793, bytes: 960_739_904},
		"suricata/zeek-labeled/conn.log.labeled":                      {records: 766, packets: 4680, bytes: 492_993},
		"suricata/zeek-labeled/json-576-conn.log":                     {records: 576, packets: 63_460, bytes: 63_646_068},
		// Its README counts the #close line as a row.
		"suricata/zeek-labeled/tsv-142-conn.log": {records: 141, packets: 2070, bytes: 1_213_329},
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if _, bad, got := parseFile(t, testenv.Shared(t, name)); got != want {
				t.Errorf("%+v, want %+v; %v", got, want, bad)
			}
		})
	}
}

func TestAWSLogs(t *testing.T) {
	for name, want := range map[string]sums{
		"vpcflow-v2-default-header.log":      {16, 2, 0, 4_294_967_501, 6_442_451_045_516},
		"vpcflow-v2-cloudwatch-noheader.log": {16, 2, 0, 4_294_967_501, 6_442_451_045_516},
		"123456789012_vpcflowlogs_us-east-1_fl-0123456789abcdef0_20260115T1205Z_0a1b2c3d.log.gz": {16, 2, 0, 4_294_967_501, 6_442_451_045_516},
		"vpcflow-v2-firehose.jsonl":    {6, 0, 0, 104, 85_000},
		"vpcflow-v5-custom-order.log":  {12, 2, 0, 267, 256_312},
		"vpcflow-custom-14-fields.log": {5, 0, 0, 111, 113_510},
		"vpcflow-v2-bad-lines.log":     {1, 0, 6, 20, 4249},
	} {
		t.Run(name, func(t *testing.T) {
			out, bad, got := parseFile(t, testenv.Shared(t, "cloud/aws/"+name))
			if got != want {
				t.Errorf("%+v, want %+v; %v", got, want, bad)
			}
			if strings.Contains(name, "v5") {
				nat := 0
				for i := range out.Records {
					if out.Records[i].Source.NATIP.OK() || out.Records[i].Destination.NATIP.OK() {
						nat++
					}
				}
				if nat != 3 {
					t.Errorf("%d records with another address in the packet, want 3", nat)
				}
			}
		})
	}
}
