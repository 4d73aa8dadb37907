package netflow

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// exporterIP is the exporter's address in tests.
var exporterIP = flow.MustIP("192.0.2.1")

// receivedAt is a receive time in tests.
var receivedAt = flow.TimeOf(flowDay)

func table(t testing.TB, path string) []map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, l := range lines[1:] {
		row := map[string]string{}
		for i, v := range strings.Split(l, "\t") {
			row[names[i]] = v
		}
		rows = append(rows, row)
	}
	return rows
}

func whole(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func capture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(testenv.Shared(t, "netflow-datagrams/datagrams/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each session of sequences.tsv gives the records that the captures' origin asserts, and each
// file the records and templates that files.tsv has.
func TestCapturesGiveTheirKnownCounts(t *testing.T) {
	files := map[string]map[string]string{}
	for _, row := range table(t, testenv.Shared(t, "netflow-datagrams/files.tsv")) {
		files[row["file"]] = row
	}
	seen := map[string]bool{}
	var data, v5 int64
	for _, row := range table(t, testenv.Shared(t, "netflow-datagrams/sequences.tsv")) {
		s := NewSession(exporterIP, Config{})
		var sum Counts
		for _, name := range strings.Fields(row["files_in_order"]) {
			known := files[name]
			var out Output
			err := s.Decode(Datagram{Data: capture(t, name), Received: receivedAt}, &out)
			version := known["version"]
			if known["status"] == "malformed" && version == "5" {
				if err == nil || len(out.Records) != 0 {
					t.Errorf("%s: %d records, error %v", name, len(out.Records), err)
				}
				seen[name] = true
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			c := out.Counts
			templates := int64(countList(known["templates"]) + countList(known["option_templates"]))
			if known["spec_context"] != row["spec_context"] {
				// A file in another's sequence: its sum is compared below.
			} else if c.Records != whole(known["data_records"]) || int64(len(out.Records)) != c.Records || c.OptionRecords != whole(known["option_records"]) ||
				c.Templates != templates || c.Parked != int64(countList(known["sets_without_template"])) {
				t.Errorf("%s: %+v, want %s data records, %s of options, %d templates, unknown sets %q", name, c,
					known["data_records"], known["option_records"], templates, known["sets_without_template"])
			}
			if (c.TrailingBytes > 0) != (known["status"] == "trailing-bytes") {
				t.Errorf("%s: %d bytes behind, status %s", name, c.TrailingBytes, known["status"])
			}
			for i := range out.Records {
				checkRecord(t, name, &out.Records[i])
			}
			sum.Records += c.Records
			sum.OptionRecords += c.OptionRecords
			if !seen[name] && known["spec_context"] == row["spec_context"] {
				if seen[name] = true; version == "5" {
					v5 += c.Records
				} else {
					data += c.Records
				}
			}
		}
		if version := files[strings.Fields(row["files_in_order"])[0]]["version"]; version != "5" &&
			(sum.Records != whole(row["own_data_records"]) || sum.OptionRecords != whole(row["own_option_records"])) {
			t.Errorf("%s: %d records and %d of options, want %s and %s", row["spec_context"], sum.Records, sum.OptionRecords, row["own_data_records"], row["own_option_records"])
		}
		if want := row["spec_events"]; want != "" && sum.Records+sum.OptionRecords != whole(want) {
			t.Errorf("%s: %d records and %d of options, want %s events", row["spec_context"], sum.Records, sum.OptionRecords, want)
		}
	}
	for name := range files {
		if seen[name] {
			continue
		}
		// In no sequence: it decodes on its own or with the templates of its exporter.
		var out Output
		if err := NewSession(exporterIP, Config{}).Decode(Datagram{Data: capture(t, name)}, &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		data += out.Counts.Records
		t.Logf("%s is in no sequence: %d records", name, out.Counts.Records)
	}
	if data != 383 || v5 != 61 {
		t.Errorf("%d data records of v9 and IPFIX, want 383; %d of v5, want 61", data, v5)
	}
}

func countList(s string) int {
	if s == "" {
		return 0
	}
	return strings.Count(s, ",") + 1
}

// checkRecord holds what is true of every record.
func checkRecord(t testing.TB, name string, r *flow.Record) {
	t.Helper()
	if r.ID.IsZero() || r.EventTime == 0 || !r.Position.Index.OK {
		t.Errorf("%s: %+v", name, r)
	}
	names := map[string]bool{}
	for _, e := range r.Extensions {
		if names[e.Name] || e.Name == "" {
			t.Errorf("%s: the extension %q is there twice", name, e.Name)
		}
		names[e.Name] = true
	}
	line := flow.AppendRecordJSON(nil, r)
	if len(line) == 0 {
		t.Errorf("%s: no JSON", name)
	}
}

// payloads reads a file of datagrams with their lengths in front, 4 bytes each.
func payloads(t testing.TB, path string) (out [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint32(b))
		out = append(out, b[4:4+n])
		b = b[4+n:]
	}
	return out
}

// oneTraffic are the folders of one-traffic.
func oneTraffic(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(testenv.Shared(t, "one-traffic"), "*", "truth.tsv"))
	if err != nil || len(dirs) == 0 {
		t.Fatal("no folders", err)
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	return dirs
}
