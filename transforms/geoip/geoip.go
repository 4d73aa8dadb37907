// Package geoip says where addresses are and which autonomous system announces them, from
// mmdb databases.
//
// A database is verified when it is loaded, held in memory once in a process, and loaded
// again when its file changes; the old edition stays in force until the new one has been
// verified. Each record is enriched from one edition and bears its build time.
package geoip

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/reload"
)

// Option changes a Step.
type Option func(*step) error

// Every sets how often the files are looked at for a change. It is done at the start of a
// bundle. Defaults to 10 seconds.
func Every(d time.Duration) Option {
	return func(s *step) error {
		if d <= 0 {
			return fmt.Errorf("Every: %v is not a positive interval", d)
		}
		s.Every = d
		return nil
	}
}

// Step returns a Step that fills Geo, GeoStatus, ASN and ASOrg of both endpoints, and the
// record's GeoEdition and ASNEdition: see [DB.Enrich]. city and asn are paths on the
// workers as [Open] takes them; either may be "".
//
// A file that is absent or corrupt when a worker starts fails the bundle with its path and
// cause, and the runner tries again. One that turns bad later leaves the edition in force,
// is logged once and counted. Counters, of endpoints: geoip/found, geoip/private,
// geoip/reserved, geoip/unknown; of files: reload and reload_failed in geoip_city and
// geoip_asn. A retried bundle may meet a newer edition: the edition on the record tells
// the two apart.
func Step(city, asn string, opts ...Option) flow.Step {
	s := &step{City: city, ASN: asn, Every: reload.DefaultEvery}
	if len(split(city))+len(split(asn)) == 0 {
		panic("geoip.Step: " + errNoDatabase.Error())
	}
	for _, opt := range opts {
		if err := opt(s); err != nil {
			panic(fmt.Sprintf("geoip.Step: invalid option: %v", err))
		}
	}
	return s
}

func init() { flow.RegisterStep("geoip", new(step)) }

type step struct {
	City, ASN string
	Every     time.Duration

	db     *DB
	counts [4]int64 // as statuses has them; flushed at the bundle's end, because a counter costs more than a lookup
}

var statuses = [...]string{Found, Private, Reserved, Unknown}

func (s *step) Setup(context.Context) (err error) {
	s.db, err = Open(s.City, s.ASN)
	return err
}

func (s *step) StartBundle(ctx context.Context) error {
	s.counts = [4]int64{}
	s.db.Poll(ctx, s.Every)
	return nil
}

func (s *step) Process(r *flow.Record) (bool, error) {
	s.db.Enrich(r)
	s.count(&r.Source)
	s.count(&r.Destination)
	return true, nil
}

func (s *step) count(e *flow.Endpoint) {
	if !e.IP.OK() {
		return
	}
	for i, status := range statuses {
		if e.GeoStatus == status {
			s.counts[i]++
			return
		}
	}
}

func (s *step) FinishBundle(ctx context.Context) error {
	for i, n := range s.counts {
		if n > 0 {
			beam.NewCounter("geoip", statuses[i]).Inc(ctx, n)
		}
	}
	return nil
}
