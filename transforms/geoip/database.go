package geoip

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/flowbeam/flowbeam/flow"
)

// database is one edition of one mmdb file: verified, in memory, shared by the process,
// with a cache of its decoded records.
type database struct {
	reader *maxminddb.Reader
	epoch  flow.Time // build time
	v4, v6 bool      // which addresses to ask it for
	cache  [cacheSlots]atomic.Pointer[cached]
}

// cacheSlots bounds the decoded records that an edition keeps: 512 KiB of slots and, when
// all are taken, some 16 MiB of records. Traffic is skewed: the few places that most of it
// comes from stay in.
const cacheSlots = 1 << 16

// cached is a decoded record with the offset that identifies it in its edition.
type cached struct {
	offset uintptr
	entry  entry
}

// The two things a database is asked for.
const (
	kindCity = "geoip_city"
	kindASN  = "geoip_asn"
)

// parseDatabase verifies an mmdb file. Opening it alone proves little: a reader accepts a
// file with flipped bytes and gives wrong answers from it.
func parseDatabase(data []byte, useful func(*entry) bool, want string) (*database, error) {
	r, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("not a usable mmdb file: %w", err)
	}
	if len(r.Metadata.Description) == 0 {
		// The flat files have none, and Verify insists on one.
		r.Metadata.Description = map[string]string{"en": r.Metadata.DatabaseType}
	}
	if err := r.Verify(); err != nil {
		return nil, fmt.Errorf("mmdb file is corrupt: %w", err)
	}
	d := &database{reader: r, epoch: flow.TimeOf(r.Metadata.BuildTime()), v4: true, v6: r.Metadata.IPVersion == 6}
	return d, d.probe(useful, want)
}

// probed bounds how many records are read to see what a database is about.
const probed = 10_000

// probe refuses a file that holds something else than what it is named for, such as an ASN
// database given as --geoip_city, which would find nothing and say nothing.
func (d *database) probe(useful func(*entry) bool, want string) error {
	n := 0
	for res := range d.reader.Networks() {
		var e entry
		if err := res.Decode(&e); err != nil {
			return fmt.Errorf("mmdb file is corrupt: %w", err)
		}
		if useful(&e) {
			return nil
		}
		if n++; n == probed {
			break
		}
	}
	return fmt.Errorf("mmdb file of type %q has no %s in MaxMind's or the flat schema", d.reader.Metadata.DatabaseType, want)
}

// lookup returns the record of an address, nil where there is none. It allocates where
// the record isn't in the cache only.
func (d *database) lookup(ip flow.IP) *entry {
	if ip.Len == 16 && !d.v6 {
		return nil
	}
	res := d.reader.Lookup(ip.Addr())
	if !res.Found() {
		return nil
	}
	offset := res.Offset()
	// Offsets are near multiples of a record's length: the product spreads them.
	slot := &d.cache[uint32(offset)*2654435761>>(32-16)]
	if c := slot.Load(); c != nil && c.offset == offset {
		return &c.entry
	}
	c := &cached{offset: offset}
	if err := res.Decode(&c.entry); err != nil {
		return nil // can't be: the file was verified
	}
	slot.Store(c)
	return &c.entry
}

var errNoDatabase = errors.New("neither a city nor an ASN database is named")
