package anonymize

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/bits"

	"github.com/flowbeam/flowbeam/flow"
)

// KeySize is the length of a key in bytes: 16 for AES-128 and 16 for the padding.
const KeySize = 32

// Cryptopan maps addresses to addresses, one to one, such that two which share a prefix of
// n bits are mapped to two which share a prefix of exactly n bits. IPv4 and IPv6 are mapped
// each into itself. It isn't safe for concurrent use: it has buffers and a cache.
//
// Source: Xu, Fan, Ammar, Moon, "Prefix-Preserving IP Address Anonymization", ICNP 2002.
// IPv6 is the same scheme on 128 bits.
type Cryptopan struct {
	block   cipher.Block
	pad     [16]byte
	in, out [16]byte
	cache   [cacheSlots]mapped
}

// cacheSlots is a power of two: 4,096 addresses in 132 KiB. An address of IPv4 costs 32
// AES blocks, one of IPv6 128, and traffic returns to the same addresses.
const (
	cacheBits  = 12
	cacheSlots = 1 << cacheBits
)

type mapped struct {
	from flow.IP
	to   [16]byte
}

// NewCryptopan returns the mapping of a key of [KeySize] bytes.
func NewCryptopan(key []byte) (*Cryptopan, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key has %d bytes, want %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return nil, err
	}
	c := &Cryptopan{block: block}
	block.Encrypt(c.pad[:], key[16:])
	return c, nil
}

// IP maps one address; an absent one stays absent.
func (c *Cryptopan) IP(ip flow.IP) flow.IP {
	if !ip.OK() {
		return ip
	}
	slot := &c.cache[hash(ip)]
	if slot.from != ip {
		slot.from, slot.to = ip, c.compute(ip)
	}
	return flow.IP{B: slot.to, Len: ip.Len}
}

// compute flips bit i of the address by a bit that depends on the i bits before it: the
// first bit of the block that begins with these and ends as the padding does.
func (c *Cryptopan) compute(ip flow.IP) [16]byte {
	out := ip.B
	c.in = c.pad
	for i := range 8 * int(ip.Len) {
		at, mask := i/8, byte(0x80)>>(i%8)
		c.block.Encrypt(c.out[:], c.in[:])
		if c.out[0]&0x80 != 0 {
			out[at] ^= mask
		}
		c.in[at] = c.in[at]&^mask | ip.B[at]&mask
	}
	return out
}

func hash(ip flow.IP) uint64 {
	const odd = 0x9e3779b97f4a7c15
	var a, b uint64
	for i := range 8 {
		a, b = a<<8|uint64(ip.B[i]), b<<8|uint64(ip.B[8+i])
	}
	return (a*odd ^ bits.RotateLeft64(b*odd, 32)) * odd >> (64 - cacheBits)
}
