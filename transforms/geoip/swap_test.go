package geoip

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/flowbeam/flowbeam/flow"
)

// edition makes city and ASN databases whose every answer names the edition n, for all of
// IPv4: the country's city is "city n", the organisation "org n", built n days after 2026.
func edition(t *testing.T, n int) (city, asn []byte) {
	t.Helper()
	build := func(kind string, v mmdbtype.Map) []byte {
		w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, BuildEpoch: epochOf(n).Std().Unix(), RecordSize: 24, IncludeReservedNetworks: true,
			Description: map[string]string{"en": fmt.Sprint("edition ", n)}})
		if err != nil {
			t.Fatal(err)
		}
		// Editions differ in their shape too, so that an offset of one is wrong in another.
		for i := range n%7 + 1 {
			if err := w.Insert(&net.IPNet{IP: net.IPv4(10, byte(i), 0, 0), Mask: net.CIDRMask(16, 32)}, mmdbtype.Map{
				"country": mmdbtype.Map{"iso_code": mmdbtype.String("ZZ")}, "autonomous_system_number": mmdbtype.Uint32(i + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Insert(&net.IPNet{IP: net.IPv4(192, 0, 2, 0), Mask: net.CIDRMask(24, 32)}, v); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := w.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	return build("GeoIP2-City", mmdbtype.Map{"city": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(fmt.Sprint("city ", n))}}}),
		build("GeoLite2-ASN", mmdbtype.Map{"autonomous_system_organization": mmdbtype.String(fmt.Sprint("org ", n))})
}

func epochOf(n int) flow.Time {
	return flow.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n))
}

// Databases are renamed over, copied over in place, truncated and overwritten with
// rubbish, while records are enriched: nothing crashes, and each record has both answers
// of each kind from the one edition that it is stamped with.
func TestSwapUnderLoad(t *testing.T) {
	const editions = 8
	swaps := 200
	if testing.Short() {
		swaps = 40
	}
	var city, asn [editions][]byte
	for n := range editions {
		city[n], asn[n] = edition(t, n)
	}
	dir := t.TempDir()
	cityPath, asnPath := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb")
	write := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Error(err)
		}
	}
	write(cityPath, city[0])
	write(asnPath, asn[0])

	ctx := context.Background()
	done := make(chan struct{})
	var enriched atomic.Int64
	var seen [editions]atomic.Bool
	var wg sync.WaitGroup
	met := func() (n int) {
		for i := range seen {
			if seen[i].Load() {
				n++
			}
		}
		return n
	}
	for range 4 { // as many DoFn instances
		db, err := Open(cityPath, asnPath) // before the first swap: a torn file is refused at the start
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				db.Poll(ctx, 50*time.Microsecond) // as StartBundle does
				for range 100 {
					r := record("192.0.2.1", "192.0.2.77")
					db.Enrich(r)
					n := int((r.GeoEdition - epochOf(0)) / flow.Time(24*time.Hour))
					m := int((r.ASNEdition - epochOf(0)) / flow.Time(24*time.Hour))
					place, org := fmt.Sprint("city ", n), fmt.Sprint("org ", m)
					if r.Source.Geo.City != place || r.Destination.Geo.City != place || r.Source.ASOrg != org || r.Destination.ASOrg != org {
						t.Errorf("stamped with editions %d and %d: %q, %q, %q, %q", n, m, r.Source.Geo.City, r.Destination.Geo.City, r.Source.ASOrg, r.Destination.ASOrg)
						return
					}
					seen[n].Store(true)
					enriched.Add(1)
				}
			}
		})
	}
	rename := func(path string, b []byte) {
		write(path+".new", b)
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
	}
	// On a busy machine it takes more of them until enough editions were met.
	for i, deadline := 0, time.Now().Add(30*time.Second); i < swaps || met() < editions/2 && time.Now().Before(deadline); i++ {
		n := (i + i/4) % editions
		switch i % 4 {
		case 0:
			rename(cityPath, city[n])
			rename(asnPath, asn[n])
		case 1: // in place, in two halves with a pause between
			f, err := os.Create(cityPath)
			if err != nil {
				t.Fatal(err)
			}
			f.Write(city[n][:len(city[n])/2])
			time.Sleep(time.Millisecond)
			f.Write(city[n][len(city[n])/2:])
			f.Close()
			write(asnPath, asn[n])
		case 2: // truncated under the reader
			os.Truncate(cityPath, int64(len(city[n])/3))
			os.Truncate(asnPath, 0)
		case 3: // rubbish, and back to something good
			write(cityPath, bytes.Repeat([]byte{0xab}, 999))
			rename(asnPath, asn[n])
		}
		time.Sleep(2 * time.Millisecond)
	}
	rename(cityPath, city[editions-1])
	rename(asnPath, asn[editions-1])
	db, err := Open(cityPath, asnPath)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		db.Poll(ctx, 50*time.Microsecond)
		r := record("192.0.2.1", "192.0.2.77")
		if db.Enrich(r); r.GeoEdition == epochOf(editions-1) && r.ASNEdition == epochOf(editions-1) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the last edition is not in force")
		}
	}
	close(done)
	wg.Wait()
	n := met()
	if n < editions/2 {
		t.Errorf("%d editions were met, want more", n)
	}
	t.Logf("%d swaps, %d records, %d of %d editions met", swaps, enriched.Load(), n, editions)
}
