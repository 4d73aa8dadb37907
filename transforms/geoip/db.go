package geoip

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/reload"
)

// DB enriches records from a city and an ASN database. The databases are shared by the
// process, so that a DB is cheap and Open of the same paths reads nothing again. It is safe
// for concurrent use.
type DB struct {
	city, asn []*reload.File[*database]
	view      atomic.Pointer[view]
}

// view is one edition of every file. It is never modified: a record is enriched from one
// view, and so from one edition, whatever happens to the files meanwhile.
type view struct {
	city, asn           []*database
	cityEpoch, asnEpoch flow.Time
}

// Open loads and verifies the databases. Each of city and asn is a path, "" for none, or
// several paths with commas between them, which are asked in their order (the flat schema
// has one file for IPv4 and one for IPv6). An error names each file that is absent,
// corrupt, or not about places (city) or autonomous systems (asn).
func Open(city, asn string) (*DB, error) {
	db := &DB{}
	var errs []error
	for _, path := range split(city) {
		f, err := reload.Open(kindCity, path, func(b []byte) (*database, error) {
			return parseDatabase(b, (*entry).hasPlace, "places")
		})
		db.city, errs = append(db.city, f), append(errs, err)
	}
	for _, path := range split(asn) {
		f, err := reload.Open(kindASN, path, func(b []byte) (*database, error) {
			return parseDatabase(b, (*entry).hasASN, "autonomous systems")
		})
		db.asn, errs = append(db.asn, f), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(db.city)+len(db.asn) == 0 {
		return nil, errNoDatabase
	}
	db.take()
	return db, nil
}

func split(paths string) []string {
	var out []string
	for p := range strings.SplitSeq(paths, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// Poll looks whether a file changed, at most once in every interval, and enriches from the
// new edition from then on. It costs a few atomic reads otherwise.
func (db *DB) Poll(ctx context.Context, every time.Duration) {
	for _, f := range db.city {
		f.Poll(ctx, every)
	}
	for _, f := range db.asn {
		f.Poll(ctx, every)
	}
	db.take()
}

// take makes a view of the editions now in force, unless they are those of the present one.
func (db *DB) take() {
	if v := db.view.Load(); v == nil || !same(v.city, db.city) || !same(v.asn, db.asn) {
		v = &view{}
		v.city, v.cityEpoch = editions(db.city)
		v.asn, v.asnEpoch = editions(db.asn)
		db.view.Store(v)
	}
}

func same(have []*database, files []*reload.File[*database]) bool {
	for i, f := range files {
		if have[i] != *f.Get() {
			return false
		}
	}
	return true
}

// editions returns the newest build time too: what the files of one kind are stamped as.
func editions(files []*reload.File[*database]) (out []*database, epoch flow.Time) {
	for _, f := range files {
		d := *f.Get()
		out, epoch = append(out, d), max(epoch, d.epoch)
	}
	return out, epoch
}

// Enrich fills Geo, GeoStatus, ASN and ASOrg of both endpoints and the record's GeoEdition
// and ASNEdition. What the databases don't know stays as the source had it. GeoStatus is
// the city database's word, or the ASN database's where that is the only one.
func (db *DB) Enrich(r *flow.Record) {
	v := db.view.Load()
	v.endpoint(&r.Source)
	v.endpoint(&r.Destination)
	if len(v.city) > 0 {
		r.GeoEdition = v.cityEpoch
	}
	if len(v.asn) > 0 {
		r.ASNEdition = v.asnEpoch
	}
}

func (v *view) endpoint(e *flow.Endpoint) {
	if !e.IP.OK() {
		return
	}
	found := false
	if place := find(v.city, e.IP); place != nil && place.hasPlace() {
		e.Geo, found = place.geo, true
	}
	if as := find(v.asn, e.IP); as != nil && as.hasASN() {
		e.ASN, e.ASOrg = as.asn, as.asOrg
		found = found || len(v.city) == 0
	}
	if e.GeoStatus = Found; !found {
		e.GeoStatus = classify(e.IP)
	}
}

func find(databases []*database, ip flow.IP) *entry {
	for _, d := range databases {
		if e := d.lookup(ip); e != nil {
			return e
		}
	}
	return nil
}
