package datasetsource

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Old is what of a dataset of flow records a replacement supersedes: what [Superseded] finds.
type Old struct {
	// IDs is a PCollection<KV<string, []byte>>: a shard, as [Read] knows it, and the ids of
	// its superseded rows, 16 bytes each.
	IDs beam.PCollection
	// Buckets is a PCollection<string> of the buckets that these rows are in.
	Buckets beam.PCollection
	// Moved and Gone are PCollection<flow.Batch> of those among them whose record has another
	// event time now, and of those whose raw record gives no record any more. Of the records
	// only ID, EventTime and Revision are set.
	Moved, Gone beam.PCollection
	// Counts is a PCollection<flow.Count> of the stage replace: in_place, moved, gone.
	Counts beam.PCollection
}

// Superseded finds what of the dataset in dir, of revisions below the one given, a replacement
// supersedes: rows whose id is among records, the PCollection<flow.Batch> that it writes, and rows
// that were made of raw, the PCollection<flow.RawBatch> that it read: a raw record is known again
// by its position and time. So a row that came of another copy of a raw record is found too, and
// one whose raw record is no record any more.
//
// It reads ids, times and positions of all of the dataset, and brings them together with those
// of the replacement in 256 groups, so each group fits into the memory of a worker.
func Superseded(s beam.Scope, dir string, raw, records beam.PCollection, revision int64) Old {
	s = s.Scope("datasetsource.Superseded")
	named := beam.ParDo(s, &bucketsFn{Dir: dir}, beam.Impulse(s))
	stored := beam.ParDo(s, &olderFn{Dir: dir, Revision: revision}, shards(s, named, dir, "flows"))
	read := beam.ParDo(s, &positionsFn{}, raw)
	marked := beam.ParDo(s, &markReadFn{}, beam.CoGroupByKey(s, read, stored))
	ids := beam.ParDo(s, &idsFn{}, records)
	old, buckets, moved, gone, counts := beam.ParDo5(s, &supersededFn{}, beam.CoGroupByKey(s, ids, marked))
	return Old{old, buckets, moved, gone, counts}
}

func init() {
	beam.RegisterDoFn(&bucketsFn{})
	beam.RegisterDoFn(&olderFn{})
	beam.RegisterDoFn(&positionsFn{})
	beam.RegisterDoFn(&idsFn{})
	beam.RegisterDoFn(&markReadFn{})
	beam.RegisterDoFn(&supersededFn{})
	register.Emitter2[string, []byte]()
	register.Emitter1[string]()
	register.Emitter1[flow.Count]()
	register.Iter1[[]byte]()
}

// bucketsFn lists the buckets that the dataset has.
type bucketsFn struct{ Dir string }

func (f *bucketsFn) ProcessElement(ctx context.Context, _ []byte, emit func(string)) error {
	all, err := dataset.Buckets(ctx, f.Dir)
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	for _, b := range all {
		if b != dataset.Unknown {
			emit(b)
		}
	}
	return nil
}

// place is what is known of a stored row: 40 bytes, because there are as many as the dataset has.
type place struct {
	id       flow.ID
	position flow.ID // hash of position and time of its raw record
	event    flow.Time
}

const placeBytes = 40

func (p *place) append(b []byte) []byte {
	b = append(append(b, p.id[:]...), p.position[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(p.event))
}

func placeOf(b []byte) (p place) {
	copy(p.id[:], b)
	copy(p.position[:], b[16:])
	p.event = flow.Time(binary.BigEndian.Uint64(b[32:]))
	return p
}

// positionHash is of where and when a raw record was read, to the microsecond that files keep.
func positionHash(p flow.Position, received flow.Time) flow.ID {
	var n [24]byte
	binary.BigEndian.PutUint64(n[0:], uint64(p.Partition.Or(-1)))
	binary.BigEndian.PutUint64(n[8:], uint64(p.Offset.Or(-1)))
	binary.BigEndian.PutUint64(n[16:], uint64(received.Truncate(time.Microsecond)))
	return flow.NewIDText("position", p.Source, p.Key, string(n[:]))
}

// groups collects entries by the first byte of a hash, and emits them in pieces.
type groups struct {
	head string // before each piece
	by   [256][]byte
}

const pieceBytes = 256 << 10

func (g *groups) add(h flow.ID, entry func([]byte) []byte, emit func(string, []byte)) {
	b := g.by[h[0]]
	if b == nil {
		b = append(binary.AppendUvarint(nil, uint64(len(g.head))), g.head...)
	}
	if b = entry(b); len(b) >= pieceBytes {
		emit(groupKey(h[0]), b)
		b = nil
	}
	g.by[h[0]] = b
}

func (g *groups) flush(emit func(string, []byte)) {
	for i, b := range g.by {
		if b != nil {
			emit(groupKey(byte(i)), b)
			g.by[i] = nil
		}
	}
}

func groupKey(b byte) string {
	return string([]byte{"0123456789abcdef"[b>>4], "0123456789abcdef"[b&15]})
}

// piece takes the head of a piece off.
func piece(b []byte) (head string, entries []byte) {
	n, k := binary.Uvarint(b)
	return string(b[k : k+int(n)]), b[k+int(n):]
}

// olderFn gives the rows of a shard that are of a lower revision, by their position.
type olderFn struct {
	Dir      string
	Revision int64
}

var olderColumns = []string{"record_id", "revision", "event_time", "received_time",
	"position_source", "position_partition", "position_offset", "position_key"}

func (f *olderFn) ProcessElement(ctx context.Context, key string, _ func(*int64) bool, emit func(string, []byte)) error {
	bucket, shard, err := dataset.ParseShardKey(key)
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	r, err := dataset.OpenReader(ctx, dataset.Records(), f.Dir)
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	g := groups{head: key}
	err = r.Columns(ctx, bucket, shard, olderColumns, func(v []flow.Value) error {
		if v[1].Int >= f.Revision {
			return nil
		}
		id, err := flow.ParseID(v[0].Str)
		if err != nil {
			return err
		}
		event, err := dataset.TimeOf(v[2])
		if err != nil {
			return err
		}
		received, err := dataset.TimeOf(v[3])
		if err != nil {
			return err
		}
		p := place{id: id, event: event, position: positionHash(flow.Position{
			Source: v[4].Str, Partition: intOf(v[5]), Offset: intOf(v[6]), Key: v[7].Str}, received)}
		g.add(p.position, p.append, emit)
		return nil
	})
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	g.flush(emit)
	return nil
}

func intOf(v flow.Value) flow.Int {
	if v.Kind == 0 {
		return flow.Int{}
	}
	return flow.N(v.Int)
}

// positionsFn gives the positions of raw records.
type positionsFn struct{ g *groups }

func (f *positionsFn) StartBundle(func(string, []byte)) { f.g = new(groups) }

func (f *positionsFn) ProcessElement(b flow.RawBatch, emit func(string, []byte)) {
	for i := range b.Records {
		h := positionHash(b.Position(i), b.Records[i].Time)
		f.g.add(h, func(to []byte) []byte { return append(to, h[:]...) }, emit)
	}
}

func (f *positionsFn) FinishBundle(emit func(string, []byte)) { f.g.flush(emit) }

// idsFn gives the ids of records and their event times.
type idsFn struct{ g *groups }

func (f *idsFn) StartBundle(func(string, []byte)) { f.g = new(groups) }

func (f *idsFn) ProcessElement(b flow.Batch, emit func(string, []byte)) {
	for i := range b.Records {
		p := place{id: b.Records[i].ID, event: b.Records[i].EventTime}
		f.g.add(p.id, p.append, emit)
	}
}

func (f *idsFn) FinishBundle(emit func(string, []byte)) { f.g.flush(emit) }

// markReadFn marks the stored rows whose raw record was read, and groups them by id.
type markReadFn struct{}

const (
	markRead   = "r "
	markUnread = "- "
)

func (*markReadFn) ProcessElement(_ string, read, stored func(*[]byte) bool, emit func(string, []byte)) {
	positions := map[flow.ID]struct{}{}
	var b []byte
	for read(&b) {
		for _, e := piece(b); len(e) > 0; e = e[16:] {
			positions[flow.ID(e[:16])] = struct{}{}
		}
	}
	for stored(&b) {
		key, e := piece(b)
		yes, no := groups{head: markRead + key}, groups{head: markUnread + key}
		for ; len(e) > 0; e = e[placeBytes:] {
			p, g := placeOf(e), &no
			if _, ok := positions[p.position]; ok {
				g = &yes
			}
			g.add(p.id, p.append, emit)
		}
		yes.flush(emit)
		no.flush(emit)
	}
}

// supersededFn decides about the stored rows of a group of ids.
type supersededFn struct {
	inPlace, moved, gone int64
}

func (f *supersededFn) StartBundle(func(string, []byte), func(string), func(flow.Batch), func(flow.Batch), func(flow.Count)) {
	f.inPlace, f.moved, f.gone = 0, 0, 0
}

func (f *supersededFn) ProcessElement(_ string, ids, stored func(*[]byte) bool, old func(string, []byte), bucket func(string), moved, gone func(flow.Batch), _ func(flow.Count)) {
	now := map[flow.ID]flow.Time{}
	var b []byte
	for ids(&b) {
		for _, e := piece(b); len(e) > 0; e = e[placeBytes:] {
			p := placeOf(e)
			now[p.id] = p.event.Truncate(time.Microsecond)
		}
	}
	var movedOnes, goneOnes []flow.Record
	send := func(to *[]flow.Record, emit func(flow.Batch), atLeast int) {
		if len(*to) >= max(atLeast, 1) {
			emit(flow.Batch{Records: *to})
			*to = nil
		}
	}
	for stored(&b) {
		head, e := piece(b)
		key := head[len(markRead):]
		var list []byte
		for ; len(e) > 0; e = e[placeBytes:] {
			p := placeOf(e)
			event, again := now[p.id]
			r := flow.Record{ID: p.id, EventTime: p.event}
			switch {
			case again && event == p.event.Truncate(time.Microsecond):
				f.inPlace++
			case again:
				f.moved++
				movedOnes = append(movedOnes, r)
				send(&movedOnes, moved, batchMax)
			case head[:len(markRead)] == markRead:
				f.gone++
				goneOnes = append(goneOnes, r)
				send(&goneOnes, gone, batchMax)
			default:
				continue
			}
			list = append(list, p.id[:]...)
		}
		if list != nil {
			old(key, list)
			name, _, _ := dataset.ParseShardKey(key)
			bucket(name)
		}
	}
	send(&movedOnes, moved, 0)
	send(&goneOnes, gone, 0)
}

func (f *supersededFn) FinishBundle(_ func(string, []byte), _ func(string), _, _ func(flow.Batch), count func(flow.Count)) {
	flow.EmitCount(count, "replace", "in_place", f.inPlace)
	flow.EmitCount(count, "replace", "moved", f.moved)
	flow.EmitCount(count, "replace", "gone", f.gone)
}
