package rollup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/windowing"
)

// slab is what one bundle counted for one window of one level and one shard of the
// groups: the element that crosses the shuffle. Data is a version byte, the plan's hash
// and the cells.
type slab struct {
	Every  time.Duration
	Window flow.Time
	Shard  int
	Data   []byte
}

const slabVersion = 1

func init() {
	beam.RegisterType(reflect.TypeFor[slab]())
	beam.RegisterCoder(reflect.TypeFor[slab](), encodeSlab, decodeSlab)
}

func encodeSlab(s slab) []byte {
	b := make([]byte, 0, len(s.Data)+3*binary.MaxVarintLen64)
	b = binary.AppendVarint(b, int64(s.Every))
	b = binary.AppendVarint(b, int64(s.Window))
	b = binary.AppendUvarint(b, uint64(s.Shard))
	return append(b, s.Data...)
}

func decodeSlab(b []byte) (slab, error) {
	d := reader{b: b}
	s := slab{Every: time.Duration(d.varint()), Window: flow.Time(d.varint()), Shard: int(d.uvarint())}
	if d.failed {
		return slab{}, errGarbage
	}
	s.Data = append([]byte(nil), d.b...) // the bytes belong to the runner's buffer
	return s, nil
}

// key is what the slabs of one window and shard meet under. The level is not in it: each
// has a shuffle of its own.
func (s *slab) key() string { return windowing.Key(s.Window, s.Shard) }

// slabs cuts the cells into slabs of windows of length every and the given number of
// shards, in the order in which the first cell of each was made.
func (c *cells) slabs(every time.Duration, shards int, emit func(slab)) {
	l := c.level(every)
	type place struct {
		window flow.Time
		shard  int
	}
	at := map[place]int{}
	var out []slab
	for i, group := range l.groups {
		p := place{l.windows[i], 0}
		if shards > 1 {
			c.buf = append(c.buf[:0], group...)
			p.shard = int(hashBytes(c.buf) % uint64(shards))
		}
		j, ok := at[p]
		if !ok {
			j = len(out)
			at[p] = j
			head := binary.LittleEndian.AppendUint64([]byte{slabVersion}, c.hash)
			out = append(out, slab{Every: every, Window: p.window, Shard: p.shard, Data: head})
		}
		out[j].Data = l.appendCell(out[j].Data, i)
	}
	for _, s := range out {
		emit(s)
	}
}

// addSlab merges a slab of this plan into c, whose windows have its length.
func (c *cells) addSlab(s *slab, one *cells) error {
	b, err := c.checkHead(s.Data)
	for err == nil && len(b) > 0 {
		b, err = c.mergeEncoded(s.Window, b, one)
	}
	return err
}

// checkHead refuses cells of another version or plan, and returns the others.
func (c *cells) checkHead(b []byte) ([]byte, error) {
	const head = 1 + 8
	if len(b) < head {
		return nil, errGarbage
	}
	if v := b[0]; v != slabVersion {
		return nil, fmt.Errorf("rollup: partials of version %d, this build reads %d: %w", v, slabVersion, flow.ErrNewer)
	}
	if binary.LittleEndian.Uint64(b[1:]) != c.hash {
		return nil, errors.New("rollup: partials of other fields or measures: a running job can't change these")
	}
	return b[head:], nil
}
