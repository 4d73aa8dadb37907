package geoip

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flowbeam/flowbeam/flow"
)

func sample(name string) string { return filepath.Join("..", "..", "testdata", "geoip", name) }

var builtAt = flow.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

func record(source, destination string) *flow.Record {
	r := &flow.Record{}
	if source != "" {
		r.Source.IP = flow.MustIP(source)
	}
	if destination != "" {
		r.Destination.IP = flow.MustIP(destination)
	}
	return r
}

func TestEnrich(t *testing.T) {
	city, asn := sample("city.mmdb"), sample("asn.mmdb")
	flat := sample("flat-city-ipv4.mmdb") + " , " + sample("flat-city-ipv6.mmdb")
	berlin := flow.Geo{Continent: "EU", Country: "DE", Region: "BE", City: "Berlin", TimeZone: "Europe/Berlin", Latitude: flow.F(52.52), Longitude: flow.F(13.405)}
	paulo := flow.Geo{Continent: "SA", Country: "BR", Region: "SP", City: "São Paulo", TimeZone: "America/Sao_Paulo", Latitude: flow.F(-23.5505), Longitude: flow.F(-46.6333)}
	flatOf := func(g flow.Geo, region string) flow.Geo { g.Continent, g.Region = "", region; return g }
	for name, c := range map[string]struct {
		city, asn, address string
		want               flow.Endpoint
	}{
		"MaxMind schema, IPv4":              {city, asn, "192.0.2.1", flow.Endpoint{GeoStatus: Found, Geo: berlin, ASN: flow.N(64496), ASOrg: "Example Hosting"}},
		"MaxMind schema, IPv6":              {city, asn, "2001:db8:1::5", flow.Endpoint{GeoStatus: Found, Geo: paulo, ASN: flow.N(64502), ASOrg: "Example Rede"}},
		"flat schema, IPv4 file":            {flat, "", "192.0.2.1", flow.Endpoint{GeoStatus: Found, Geo: flatOf(berlin, "Berlin")}},
		"flat schema, IPv6 file":            {flat, "", "2001:db8:1::5", flow.Endpoint{GeoStatus: Found, Geo: flatOf(paulo, "São Paulo")}},
		"no IPv6 file":                      {sample("flat-city-ipv4.mmdb"), "", "2600::1", flow.Endpoint{GeoStatus: Unknown}},
		"city alone":                        {city, "", "192.0.2.1", flow.Endpoint{GeoStatus: Found, Geo: berlin}},
		"ASN alone":                         {"", asn, "192.0.2.1", flow.Endpoint{GeoStatus: Found, ASN: flow.N(64496), ASOrg: "Example Hosting"}},
		"ASN alone, unknown":                {"", asn, "1.1.1.1", flow.Endpoint{GeoStatus: Unknown}},
		"private":                           {city, asn, "10.1.2.3", flow.Endpoint{GeoStatus: Private}},
		"reserved, not in the database":     {city, asn, "192.0.2.200", flow.Endpoint{GeoStatus: Reserved}},
		"unknown":                           {city, asn, "8.8.8.8", flow.Endpoint{GeoStatus: Unknown}},
		"no address is not looked up":       {city, asn, "", flow.Endpoint{}},
		"IPv4 mapped into IPv6 is the IPv4": {city, asn, "::ffff:192.0.2.1", flow.Endpoint{GeoStatus: Found, Geo: berlin, ASN: flow.N(64496), ASOrg: "Example Hosting"}},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(c.city, c.asn)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // once decoded, once from the cache
				r := record(c.address, c.address)
				c.want.IP = r.Source.IP
				db.Enrich(r)
				near := cmpopts.EquateApprox(0, 1e-4) // the flat schema has 32-bit coordinates
				if d := cmp.Diff([2]flow.Endpoint{c.want, c.want}, [2]flow.Endpoint{r.Source, r.Destination}, near); d != "" {
					t.Error(d)
				}
				if want := (c.city != ""); (r.GeoEdition == builtAt) != want {
					t.Errorf("GeoEdition %v", r.GeoEdition)
				}
				if want := (c.asn != ""); (r.ASNEdition == builtAt) != want {
					t.Errorf("ASNEdition %v", r.ASNEdition)
				}
			}
		})
	}
}

func TestWhatTheDatabaseDoesNotKnowStaysAsTheSourceHadIt(t *testing.T) {
	db, err := Open(sample("city.mmdb"), sample("asn.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	r := record("8.8.8.8", "192.0.2.1")
	r.Source.Geo.Country, r.Source.ASN = "XX", flow.N(7)
	r.Destination.Geo = flow.Geo{Country: "XX", City: "Nowhere"}
	db.Enrich(r)
	if r.Source.Geo.Country != "XX" || r.Source.ASN != flow.N(7) || r.Source.GeoStatus != Unknown {
		t.Errorf("source %+v", r.Source)
	}
	if r.Destination.Geo.Country != "DE" || r.Destination.Geo.City != "Berlin" {
		t.Errorf("destination %+v", r.Destination)
	}
}

func TestOpenRefuses(t *testing.T) {
	good, err := os.ReadFile(sample("city.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct{ city, asn, cause string }{
		"no database":                  {"", " , ", "neither"},
		"an absent file":               {filepath.Join(dir, "absent.mmdb"), "", "no such file"},
		"an empty file":                {put("empty.mmdb", nil), "", "not a usable mmdb file"},
		"text":                         {put("text.mmdb", []byte("hello\n")), "", "not a usable mmdb file"},
		"a truncated file":             {put("cut.mmdb", good[:len(good)/2]), "", "not a usable mmdb file"},
		"a file without its beginning": {put("tail.mmdb", good[len(good)/2:]), "", "not a usable mmdb file"},
		"an ASN database for the city": {sample("asn.mmdb"), "", "no places"},
		"a city database for the ASN":  {"", sample("city.mmdb"), "no autonomous systems"},
		"the second of two is no mmdb": {sample("city.mmdb") + "," + put("text2.mmdb", []byte("x")), "", "text2.mmdb"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(c.city, c.asn)
			if err == nil || !strings.Contains(err.Error(), c.cause) {
				t.Fatalf("error %v, want one that says %q", err, c.cause)
			}
			if path := c.city + c.asn; len(path) > 3 && !strings.Contains(path, ",") && !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name %s", err, path)
			}
		})
	}
}

// A file with flipped bytes is refused unless the damage is one that no reader can see: a
// letter in a name. Then its answers differ in that alone, and no lookup fails.
func TestFlippedBytesInStructureAreRefused(t *testing.T) {
	good, err := os.ReadFile(sample("city.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	const tries = 200
	for range tries {
		bad := bytes.Clone(good)
		for range 64 {
			bad[rnd.IntN(len(bad))] ^= byte(1 + rnd.IntN(255))
		}
		if _, err := parseDatabase(bad, (*entry).hasPlace, "places"); err != nil {
			refused++
		}
	}
	if refused != tries {
		t.Errorf("%d of %d damaged files were refused", refused, tries)
	}
}

func TestOneDatabaseInAProcess(t *testing.T) {
	a, err := Open(sample("city.mmdb"), sample("asn.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(sample("city.mmdb"), "")
	if err != nil {
		t.Fatal(err)
	}
	if a.view.Load().city[0] != b.view.Load().city[0] {
		t.Error("two copies of one file in memory")
	}
}

// Two records may fall into one slot of the cache.
func TestTheCacheNeverAnswersForAnotherRecord(t *testing.T) {
	data, err := os.ReadFile(sample("city.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDatabase(data, (*entry).hasPlace, "places")
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.cache {
		d.cache[i].Store(&cached{offset: 1 << 30, entry: entry{geo: flow.Geo{City: "Elsewhere"}}})
	}
	if e := d.lookup(flow.MustIP("192.0.2.1")); e == nil || e.geo.City != "Berlin" {
		t.Errorf("%+v, want Berlin", e)
	}
}

func TestNoAllocationOnceTheRecordIsCached(t *testing.T) {
	db, err := Open(sample("city.mmdb"), sample("asn.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	r := record("10.1.2.3", "192.0.2.1")
	r6 := record("2001:db8:1::1", "2600::1")
	if n := testing.AllocsPerRun(100, func() { db.Enrich(r); db.Enrich(r6) }); n != 0 {
		t.Errorf("%v allocations a record, want 0", n)
	}
}
