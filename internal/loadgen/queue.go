package loadgen

// queue is a binary heap of lines that wait for their turn, 16 bytes each, by arrival
// and then by index and copy, so that the order is total.
type queue []waiting

type waiting struct {
	arrival int64  // ns
	id      uint64 // index<<copyBits | copy
}

// copyBits bounds the copies of one record.
const copyBits = 20

func (a waiting) before(b waiting) bool {
	return a.arrival < b.arrival || a.arrival == b.arrival && a.id < b.id
}

func (q *queue) push(w waiting) {
	h := append(*q, w)
	k := len(h) - 1
	for k > 0 {
		parent := (k - 1) / 2
		if !w.before(h[parent]) {
			break
		}
		h[k], k = h[parent], parent
	}
	h[k] = w
	*q = h
}

func (q *queue) pop() waiting {
	h := *q
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	for k := 0; ; {
		child := 2*k + 1
		if child >= len(h) {
			if k < len(h) {
				h[k] = last
			}
			break
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(last) {
			h[k] = last
			break
		}
		h[k], k = h[child], child
	}
	*q = h
	return top
}
