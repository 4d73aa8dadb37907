package netflow

import (
	"math/bits"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// Ids are spread evenly over all their bits: stores take some of them for their shards.
func TestIDsAreSpreadEvenly(t *testing.T) {
	const n = 1 << 14
	seen := make(map[flow.ID]bool, n)
	var ones [128]int
	id := NewSession(exporterIP, Config{}).hashed(V9, []byte("a set"))
	for i := range n {
		var got flow.ID
		id.record(&got, i)
		seen[got] = true
		for bit := range ones {
			ones[bit] += int(got[bit/8]>>(bit%8)) & 1
		}
	}
	if len(seen) != n {
		t.Errorf("%d ids of %d records", len(seen), n)
	}
	for bit, k := range ones {
		if k < n/2-n/20 || k > n/2+n/20 {
			t.Errorf("bit %d is set in %d of %d ids", bit, k, n)
		}
	}
}

// Each bit of what is hashed and of what is folded in changes about half of an id's.
func TestEachPartOfAnIDCounts(t *testing.T) {
	s := NewSession(exporterIP, Config{})
	h := header{version: V9, domain: 1, export: 1e18, seq: 7}
	body := []byte("a set of records")
	of := func(h header, after int, body []byte, index int) flow.ID {
		var id flow.ID
		s.setID(&h, after, body).record(&id, index)
		return id
	}
	base := of(h, 2, body, 3)
	differ := func(what string, id flow.ID) {
		n := 0
		for i := range id {
			n += bits.OnesCount8(id[i] ^ base[i])
		}
		if n < 30 || n > 98 {
			t.Errorf("%s changes %d bits of 128", what, n)
		}
	}
	for bit := range 32 {
		other := h
		other.domain ^= 1 << bit
		differ("the domain", of(other, 2, body, 3))
		other = h
		other.seq ^= 1 << bit
		differ("the sequence number", of(other, 2, body, 3))
		differ("the index", of(h, 2, body, 3^1<<bit))
		differ("the sets behind", of(h, 2^1<<bit, body, 3))
	}
	other := h
	other.export += 1e9
	differ("the time", of(other, 2, body, 3))
	other = h
	other.version = IPFIX
	differ("the version", of(other, 2, body, 3))
	differ("the bytes", of(h, 2, []byte("a set of recordt"), 3))
	s = NewSession(flow.MustIP("192.0.2.2"), Config{})
	differ("the exporter", of(h, 2, body, 3))
	s = NewSession(flow.MustIP("c000:201::"), Config{}) // the same bytes, of the other family
	differ("the family", of(h, 2, body, 3))
}
