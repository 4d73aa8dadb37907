package job

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
)

// datagram9 is a datagram of NetFlow v9, exported at that time.
func datagram9(sequence uint32, at time.Time, sets ...byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 9<<16|1)
	b = be.AppendUint32(b, 100_000)
	b = be.AppendUint32(b, uint32(at.Unix()))
	b = be.AppendUint32(b, sequence)
	return append(be.AppendUint32(b, 1), sets...)
}

// Template 300: addresses, bytes, protocol, end by the exporter's uptime; and data of it.
var (
	template300 = []byte{0, 0, 0, 28, 1, 44, 0, 5, 0, 8, 0, 4, 0, 12, 0, 4, 0, 1, 0, 4, 0, 4, 0, 1, 0, 21, 0, 4}
	data300     = []byte{1, 44, 0, 21, 10, 0, 0, 1, 192, 0, 2, 1, 0, 0, 1, 0, 17, 0, 0, 0x20, 0}
)

// flowsTopic is a Kafka in this process whose one topic has the messages.
func flowsTopic(t *testing.T, messages ...*kgo.Record) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flows"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("flows"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), messages...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return c
}

// Messages of a topic are datagrams in the envelope of a collector, or bare.
func TestDatagramsOfATopic(t *testing.T) {
	now := time.Now()
	whole := slices.Concat(template300, data300)
	enveloped := datagram.AppendEnvelope(nil, netip.MustParseAddrPort("192.0.2.250:2055"), flow.TimeOf(now), datagram9(1, now, whole...))
	bare := func(sequence uint32, sets ...byte) *kgo.Record {
		return &kgo.Record{Key: []byte("192.0.2.251"), Value: datagram9(sequence, now, sets...)}
	}
	other := bare(9, data300...)
	other.Key = []byte("192.0.2.252") // of whom no template is known
	messages := []*kgo.Record{
		{Value: enveloped}, {Value: enveloped}, // delivered again
		bare(2, data300...), bare(3, whole...), // the template is behind its data
		bare(4, data300...), other,
	}
	for i, m := range messages { // a second apart until now
		m.Timestamp = now.Add(time.Duration(i-len(messages)) * time.Second)
	}
	c := flowsTopic(t, messages...)
	o := kafkaOptions(t, c.ListenAddrs())
	o.Format, o.DataCenter, o.Stop = "datagram", "fra", "latest"
	s := run(t, flows(), o)
	if s.Read != 6 || s.Written != 4 || s.Duplicates != 1 || s.DeadLetters.ByReason["template"] != 1 {
		t.Errorf("read %d, written %d, duplicates %d, dead letters %v", s.Read, s.Written, s.Duplicates, s.DeadLetters)
	}
	for name, want := range map[string]int64{"templates": 1, "parked": 2, "recovered": 1, "expired": 1} {
		if s.Exporters[name] != want {
			t.Errorf("%s: %d, want %d", name, s.Exporters[name], want)
		}
	}
	exporters, ids := map[string]int{}, map[flow.ID]bool{}
	for _, r := range storedRecords(t, o) {
		exporters[r.Exporter.IP.String()]++
		ids[r.ID] = true
		if r.Format != "netflow9" || r.Source.Bytes != flow.N(256) || r.DataCenter != "fra" {
			t.Errorf("%+v", r)
		}
	}
	if exporters["192.0.2.250"] != 1 || exporters["192.0.2.251"] != 3 || len(exporters) != 2 {
		t.Errorf("exporters %v", exporters)
	}

	// A run that begins behind the template knows it.
	later := kafkaOptions(t, c.ListenAddrs())
	later.Format, later.Stop, later.Start = "datagram", "latest", now.Add(-2500*time.Millisecond).Format(time.RFC3339Nano)
	s = run(t, flows(), later)
	if s.Read != 2 || s.Written != 1 || s.DeadLetters.ByReason["template"] != 1 || s.Exporters["templates"] != 0 {
		t.Errorf("read %d, written %d, dead letters %v, %v", s.Read, s.Written, s.DeadLetters, s.Exporters)
	}
	for _, r := range storedRecords(t, later) {
		if !ids[r.ID] {
			t.Errorf("%v has another id", r.ID)
		}
	}
}

// A capture whose data come before their template: nothing is lost, and the run says what waited.
func TestDatagramsWaitForTheirTemplate(t *testing.T) {
	at := time.Unix(1_768_478_400, 0)
	data, template := datagram9(1, at, data300...), datagram9(2, at, template300...)
	missing := datagram9(3, at, 1, 45, 0, 8, 1, 2, 3, 4)
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
