package rollup

import (
	"math"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

// A measure is one column of a rollup row: a part of what was gathered from one source.
type measure struct {
	name   string
	kind   flow.Kind
	part   part
	source string // key into sums, stats or sets; "" for flows
}

type part int8

const (
	partFlows part = iota
	partSum
	partMean
	partMin
	partMax
	partP50
	partP95
	partP99
	partDistinct
)

func (p part) quantile() float64 { return [...]float64{partP50: .5, partP95: .95, partP99: .99}[p] }

// sums are the counters that can be added up, by column name.
var sums = map[string]func(*flow.Record) flow.Int{
	"source_bytes":               func(r *flow.Record) flow.Int { return r.Source.Bytes },
	"source_packets":             func(r *flow.Record) flow.Int { return r.Source.Packets },
	"source_payload_bytes":       func(r *flow.Record) flow.Int { return r.Source.PayloadBytes },
	"source_bytes_scaled":        func(r *flow.Record) flow.Int { return r.Scaled(r.Source.Bytes) },
	"source_packets_scaled":      func(r *flow.Record) flow.Int { return r.Scaled(r.Source.Packets) },
	"source_retransmits":         func(r *flow.Record) flow.Int { return r.RetransmitsSource },
	"destination_bytes":          func(r *flow.Record) flow.Int { return r.Destination.Bytes },
	"destination_packets":        func(r *flow.Record) flow.Int { return r.Destination.Packets },
	"destination_payload_bytes":  func(r *flow.Record) flow.Int { return r.Destination.PayloadBytes },
	"destination_bytes_scaled":   func(r *flow.Record) flow.Int { return r.Scaled(r.Destination.Bytes) },
	"destination_packets_scaled": func(r *flow.Record) flow.Int { return r.Scaled(r.Destination.Packets) },
	"destination_retransmits":    func(r *flow.Record) flow.Int { return r.RetransmitsDest },
	"missed_bytes":               func(r *flow.Record) flow.Int { return r.MissedBytes },
}

// A stat is a quantity of which mean, least, greatest and quantiles are asked.
type stat struct {
	get   func(*flow.Record) flow.Int
	unit  string // suffix of the measure's name
	scale int64  // 1, or what a ratio was multiplied by
}

// ratioScale makes integers of ratios, so that sums do not depend on the order in which
// they were added. Nine decimals: finer than one packet lost in a thousand million.
const ratioScale = 1e9

var stats = map[string]stat{
	"rtt_internal":  {func(r *flow.Record) flow.Int { return r.RTTInternal }, "_ns", 1},
	"rtt_external":  {func(r *flow.Record) flow.Int { return r.RTTExternal }, "_ns", 1},
	"jitter":        {func(r *flow.Record) flow.Int { return r.Jitter }, "_ns", 1},
	"duration":      {func(r *flow.Record) flow.Int { return r.Duration() }, "_ns", 1},
	"loss_internal": {func(r *flow.Record) flow.Int { return fixed(r.LossInternal) }, "", ratioScale},
	"loss_external": {func(r *flow.Record) flow.Int { return fixed(r.LossExternal) }, "", ratioScale},
}

// fixed is a ratio in fixed point. NaN, infinities and what is no ratio by far are absent.
func fixed(f flow.Float) flow.Int {
	if !f.OK || !(math.Abs(f.V) <= ratioScale) {
		return flow.Int{}
	}
	return flow.N(int64(math.Round(f.V * ratioScale)))
}

// sets are the things whose distinct values are counted. They append a value's bytes, or
// nothing where it is absent.
var sets = map[string]func([]byte, *flow.Record) []byte{
	"distinct_users":   func(b []byte, r *flow.Record) []byte { return append(b, r.UserID...) },
	"distinct_clients": func(b []byte, r *flow.Record) []byte { return append(b, r.Source.IP.B[:r.Source.IP.Len]...) },
	"distinct_servers": func(b []byte, r *flow.Record) []byte {
		return append(b, r.Destination.IP.B[:r.Destination.IP.Len]...)
	},
}

// catalog has every measure by name.
var catalog = func() map[string]measure {
	c := map[string]measure{"flows": {name: "flows", kind: flow.KindInt, part: partFlows}}
	for name := range sums {
		c[name] = measure{name, flow.KindInt, partSum, name}
	}
	for base, s := range stats {
		kind := flow.KindInt
		if s.scale != 1 {
			kind = flow.KindFloat
		}
		for p, suffix := range map[part]string{partMean: "_mean", partMin: "_min", partMax: "_max", partP50: "_p50", partP95: "_p95", partP99: "_p99"} {
			name := base + suffix + s.unit
			c[name] = measure{name, kind, p, base}
		}
	}
	for name := range sets {
		c[name] = measure{name, flow.KindInt, partDistinct, name}
	}
	return c
}()

// AllMeasures returns the names of all measures, sorted.
func AllMeasures() []string {
	names := make([]string, 0, len(catalog))
	for name := range catalog {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// DefaultMeasures returns the measures where none are named: flows, bytes and packets
// each way, and mean, least and greatest of round trip and loss on both sides.
func DefaultMeasures() []string {
	return []string{
		"flows", "source_bytes", "source_packets", "destination_bytes", "destination_packets",
		"rtt_internal_mean_ns", "rtt_internal_min_ns", "rtt_internal_max_ns",
		"rtt_external_mean_ns", "rtt_external_min_ns", "rtt_external_max_ns",
		"loss_internal_mean", "loss_internal_min", "loss_internal_max",
		"loss_external_mean", "loss_external_min", "loss_external_max",
	}
}

// DefaultFields returns the fields that rows are grouped by where none are named.
func DefaultFields() []string {
	return []string{"tenant", "user_id", "source_country", "destination_country", "destination_asn", "protocol"}
}
