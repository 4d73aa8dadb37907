package job

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A capture whose data come before their template: nothing is lost, and the run says what waited.
func TestDatagramsWaitForTheirTemplate(t *testing.T) {
	header := func(sequence uint32) []byte {
		be := binary.BigEndian
		b := be.AppendUint32(nil, 9<<16|1)
		b = be.AppendUint32(b, 100_000)
		b = be.AppendUint32(b, 1_768_478_400)
		b = be.AppendUint32(b, sequence)
		return be.AppendUint32(b, 1)
	}
	// Template 300: addresses, bytes, protocol, end by the exporter's uptime.
	template := append(header(2), 0, 0, 0, 28, 1, 44, 0, 5, 0, 8, 0, 4, 0, 12, 0, 4, 0, 1, 0, 4, 0, 4, 0, 1, 0, 21, 0, 4)
	data := append(header(1), 1, 44, 0, 21, 10, 0, 0, 1, 192, 0, 2, 1, 0, 0, 1, 0, 17, 0, 0, 0x20, 0)
	missing := append(header(3), 1, 45, 0, 8, 1, 2, 3, 4)
	var file []byte
	for _, d := range [][]byte{data, template, missing} {
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(d))), d...)
	}
	o := sampleOptions(t)
	input := filepath.Join(t.TempDir(), "export.lp")
	if err := os.WriteFile(input, file, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Input = []string{input}
	s := run(t, flows(), o)
	if s.Read != 2 || s.Written != 1 || s.DeadLetters.ByReason["template"] != 1 {
		t.Errorf("read %d, written %d, dead letters %v", s.Read, s.Written, s.DeadLetters)
	}
	for name, want := range map[string]int64{"templates": 1, "parked": 2, "recovered": 1, "expired": 1} {
		if s.Exporters[name] != want {
			t.Errorf("%s: %d, want %d", name, s.Exporters[name], want)
		}
	}
	var printed strings.Builder
	s.Print(&printed, "out")
	if !strings.Contains(printed.String(), "recovered") {
		t.Errorf("no word of what was recovered: %s", printed.String())
	}
}
