package loadgen

import (
	"math/bits"
	"sort"
)

// random is SplitMix64 (Steele, Lea, Flood 2014): a counter-based generator in one word,
// of its own so that no Go release changes the bytes that a seed gives.
type random uint64

// mix is SplitMix64's finalizer, a bijection on 64 bits.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// at is the generator of record i for one purpose.
func at(seed, purpose, i uint64) random {
	return random(mix(mix(seed+purpose*0x9e3779b97f4a7c15) ^ i))
}

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

// n returns 0 to n-1.
func (r *random) n(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// between returns lo to hi-1.
func (r *random) between(lo, hi uint64) uint64 { return lo + r.n(hi-lo) }

// percent is true in p of 100 cases.
func (r *random) percent(p uint64) bool { return r.n(100) < p }

// size returns a number of lo to hi-1 bits, each length alike: many small, few large.
func (r *random) size(lo, hi uint64) uint64 {
	b := r.between(lo, hi)
	return 1<<(b-1) | r.n(1<<(b-1))
}

// permutation is a keyed bijection on [0, n): a Feistel network over the next even number
// of bits, walked until it falls into the range. It deals exactly so many of each class
// to indices at random, and any index can be asked alone.
type permutation struct {
	n, key uint64
	half   uint
}

func newPermutation(n, key uint64) permutation {
	return permutation{n: n, key: key, half: max(1, uint(bits.Len64(n-1)+1)/2)}
}

func (p permutation) at(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		l, r := i>>p.half, i&mask
		for round := range uint64(4) {
			l, r = r, l^mix(p.key+round<<56+r)&mask
		}
		if i = l<<p.half | r; i < p.n {
			return i
		}
	}
}

// zipf draws 0 to n-1, the k-th with a weight of 1/(k+1).
type zipf []uint64 // cumulative weights

func newZipf(n int) zipf {
	z := make(zipf, n)
	var sum uint64
	for k := range z {
		sum += (1 << 32) / uint64(k+1)
		z[k] = sum
	}
	return z
}

func (z zipf) draw(r *random) uint64 {
	w := r.n(z[len(z)-1])
	return uint64(sort.Search(len(z), func(k int) bool { return z[k] > w }))
}
