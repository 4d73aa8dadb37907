// Command mmdb makes the small GeoIP databases of testdata/geoip from made-up places on
// documentation prefixes (RFC 5737, RFC 3849). The same source gives the same bytes.
//
//	go run ./internal/gen/mmdb -out testdata/geoip
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

func main() {
	out := flag.String("out", filepath.Join("testdata", "geoip"), "directory to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "mmdb:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := build()
	if err != nil {
		return err
	}
	for name, b := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	return err
}

// epoch is the build time that every file bears.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// place is one network of the made-up world.
type place struct {
	prefix                                 string
	continent, country, region, regionName string
	city, timeZone                         string
	latitude, longitude                    float64
	asn                                    uint32
	organisation                           string
}

// places leave gaps, so that there are unknown addresses: 192.0.2.128/25, 2001:db8:f::/48.
// They are inserted in this order, a later one over an earlier one.
var places = []place{
	{"192.0.2.0/25", "EU", "DE", "BE", "Berlin", "Berlin", "Europe/Berlin", 52.52, 13.405, 64496, "Example Hosting"},
	{"198.51.100.0/24", "NA", "US", "VA", "Virginia", "Ashburn", "America/New_York", 39.0438, -77.4874, 64497, "Example Cloud"},
	{"198.51.100.192/26", "NA", "US", "OR", "Oregon", "Portland", "America/Los_Angeles", 45.5152, -122.6784, 64497, "Example Cloud"},
	{"203.0.113.0/24", "AS", "JP", "13", "Tokyo", "Tokyo", "Asia/Tokyo", 35.6895, 139.6917, 64498, "Example Telecom"},
	{"203.0.113.128/26", "AS", "IN", "MH", "Maharashtra", "Mumbai", "Asia/Kolkata", 19.076, 72.8777, 64499, "Example Broadband"},
	{"203.0.113.192/27", "AF", "ZA", "GP", "Gauteng", "Johannesburg", "Africa/Johannesburg", -26.2041, 28.0473, 64500, "Example Wireless"},
	{"203.0.113.224/27", "OC", "AU", "NSW", "New South Wales", "Sydney", "Australia/Sydney", -33.8688, 151.2093, 64501, "Example Fibre"},
	{"2001:db8:1::/48", "SA", "BR", "SP", "São Paulo", "São Paulo", "America/Sao_Paulo", -23.5505, -46.6333, 64502, "Example Rede"},
	{"2001:db8:2::/48", "EU", "FR", "IDF", "Île-de-France", "Paris", "Europe/Paris", 48.8566, 2.3522, 64503, "Example Réseau"},
	{"2001:db8:3::/48", "EU", "DE", "BE", "Berlin", "Berlin", "Europe/Berlin", 52.52, 13.405, 64496, "Example Hosting"},
}

// schema says how one file is made of the places.
type schema struct {
	file, kind string
	version    int // 4: the IPv4 places alone; 6: all of them
	only6      bool
	// description is absent in the flat files, as in the ones they are modelled on.
	description map[string]string
	record      func(place) mmdbtype.Map
}

var described = map[string]string{"en": "Made-up places on documentation prefixes"}

var schemas = []schema{
	{file: "city.mmdb", kind: "GeoIP2-City", version: 6, record: maxmindCity, description: described},
	{file: "asn.mmdb", kind: "GeoLite2-ASN", version: 6, record: asn, description: described},
	{file: "flat-city-ipv4.mmdb", kind: "city ipv4", version: 4, record: flatCity},
	{file: "flat-city-ipv6.mmdb", kind: "city ipv6", version: 6, only6: true, record: flatCity},
}

func build() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, s := range schemas {
		tree, err := mmdbwriter.New(mmdbwriter.Options{
			DatabaseType: s.kind, BuildEpoch: epoch.Unix(), IPVersion: s.version, RecordSize: 24,
			Description:             s.description,
			IncludeReservedNetworks: true, // documentation prefixes are
		})
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			is6 := strings.Contains(p.prefix, ":")
			if is6 && s.version == 4 || !is6 && s.only6 {
				continue
			}
			_, network, err := net.ParseCIDR(p.prefix)
			if err != nil {
				return nil, err
			}
			if err := tree.Insert(network, s.record(p)); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", s.file, p.prefix, err)
			}
		}
		var b bytes.Buffer
		if _, err := tree.WriteTo(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
		files[s.file] = b.Bytes()
	}
	return files, nil
}

func names(s string) mmdbtype.Map { return mmdbtype.Map{"en": mmdbtype.String(s)} }

// maxmindCity has the shape of GeoIP2-City and GeoLite2-City.
func maxmindCity(p place) mmdbtype.Map {
	return mmdbtype.Map{
		"continent":    mmdbtype.Map{"code": mmdbtype.String(p.continent)},
		"country":      mmdbtype.Map{"iso_code": mmdbtype.String(p.country)},
		"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(p.region), "names": names(p.regionName)}},
		"city":         mmdbtype.Map{"names": names(p.city)},
		"location": mmdbtype.Map{
			"latitude": mmdbtype.Float64(p.latitude), "longitude": mmdbtype.Float64(p.longitude),
			"time_zone": mmdbtype.String(p.timeZone), "accuracy_radius": mmdbtype.Uint16(20),
		},
	}
}

// asn has the shape of GeoLite2-ASN.
func asn(p place) mmdbtype.Map {
	return mmdbtype.Map{
		"autonomous_system_number":       mmdbtype.Uint32(p.asn),
		"autonomous_system_organization": mmdbtype.String(p.organisation),
	}
}

// flatCity has the shape of the ip-location-db city files.
func flatCity(p place) mmdbtype.Map {
	return mmdbtype.Map{
		"country_code": mmdbtype.String(p.country), "state1": mmdbtype.String(p.regionName), "state2": mmdbtype.String(""),
		"city": mmdbtype.String(p.city), "postcode": mmdbtype.String(""), "timezone": mmdbtype.String(p.timeZone),
		"latitude": mmdbtype.Float32(p.latitude), "longitude": mmdbtype.Float32(p.longitude),
	}
}
