package job

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/stopping"
)

// Tables that change while a stream runs are in force for what comes after, without a pause
// and without a loss.
func TestTablesChangeUnderAStream(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short; a table is looked at each 10 seconds")
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flows"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	dir := t.TempDir()
	networks, city := filepath.Join(dir, "networks.csv"), filepath.Join(dir, "city.mmdb")
	put := func(edition string) {
		t.Helper()
		rename(t, networks, []byte("prefix,network\n0.0.0.0/0,"+edition+"\n::/0,"+edition+"\n"))
		rename(t, city, cityDatabase(t, edition))
	}
	put("first")

	o := kafkaOptions(t, c.ListenAddrs())
	o.Networks, o.GeoIPCity, o.Rollup = []string{networks}, city, []string{"off"}
	var sent int64
	seed := uint64(0)
	send := func() {
		t.Helper()
		seed++
		g := loadgen.Default()
		g.Seed, g.Records, g.Span, g.Duplicates, g.Broken, g.Users, g.Servers = seed, 200, 10*time.Minute, 0, 0, 20, 20
		g.DataCenters = []string{"fra"}
		truth, err := loadgen.WriteKafka(t.Context(), c.ListenAddrs(), "flows", g)
		if err != nil {
			t.Error(err)
		}
		sent += truth.Unique
	}
	live.written.Store(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stopping.Request()
		written := func() {
			for end := time.Now().Add(time.Minute); live.written.Load() < sent && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
		}
		send()
		written()
		reloads := func() float64 {
			m := scrape(t)
			return min(m[`flowbeam_events_total{name="reload",stage="prefix"}`], m[`flowbeam_events_total{name="reload",stage="geoip_city"}`])
		}
		before := reloads()
		put("second")
		for end := time.Now().Add(time.Minute); reloads() == before && time.Now().Before(end); {
			time.Sleep(time.Second)
			send()
			written()
		}
		send()
		written()
		time.Sleep(time.Second)
	}()
	s := run(t, flows(), o)
	<-done
	if s.Written != sent || s.Read != sent {
		t.Errorf("read %d, written %d, want %d", s.Read, s.Written, sent)
	}
	records := storedRecords(t, o)
	last := int64(0)
	for _, r := range records {
		last = max(last, r.Position.Offset.V)
	}
	seen := map[string]int{}
	for _, r := range records {
		name := r.Destination.Network
		if seen[name]++; r.Destination.Geo.City != name && r.Position.Offset.V < 200 {
			t.Fatalf("network %q, city %q", name, r.Destination.Geo.City)
		}
		if r.Position.Offset.V < 200 && name != "first" || r.Position.Offset.V > last-200 && (name != "second" || r.Destination.Geo.City != "second") {
			t.Fatalf("record %d of %d: network %q, city %q", r.Position.Offset.V, last, name, r.Destination.Geo.City)
		}
	}
	t.Logf("records by edition: %v", seen)
}

// rename puts a file in the place of another at once.
func rename(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".tmp", b, 0o644); err != nil {
		t.Error(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Error(err)
	}
}

// cityDatabase answers with one city for all of IPv4 that is public.
func cityDatabase(t *testing.T, name string) []byte {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoIP2-City", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Error(err)
		return nil
	}
	v := mmdbtype.Map{"city": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(name)}}}
	if err := w.Insert(&net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, v); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Error(err)
	}
	return b.Bytes()
}
