package collect

import "testing"

// A datagram is written when all its parts are, and dropped once where one is lost, whatever the order.
func TestADatagramIsWrittenWhenAllItsPartsAre(t *testing.T) {
	for _, c := range []struct {
		fates                []fate
		written, queue, sink int64
	}{
		{[]fate{written, written, written}, 1, 0, 0},
		{[]fate{written, lostQueue, written}, 0, 1, 0},
		{[]fate{lostSink, written, lostQueue}, 0, 0, 1},
		{[]fate{written, written, lostSink}, 0, 0, 1},
	} {
		for _, together := range []bool{false, true} {
			var totals Totals
			p := &parts{}
			p.left.Store(int32(len(c.fates)))
			for i, f := range c.fates {
				if totals.Written.Load()+totals.Dropped() != 0 {
					t.Errorf("%v: settled after %d parts", c.fates, i)
				}
				it := newItem(&totals, someone, 7, payload(i))
				it.parts = p
				if together && f != lostQueue {
					var r receipts
					r.add(it)
					r.settle(f)
				} else {
					it.settle(f, 0)
				}
			}
			if totals.Written.Load() != c.written || totals.DroppedQueue.Load() != c.queue || totals.DroppedSink.Load() != c.sink {
				t.Errorf("%v: %d written, %d and %d dropped", c.fates, totals.Written.Load(), totals.DroppedQueue.Load(), totals.DroppedSink.Load())
			}
		}
	}
}
