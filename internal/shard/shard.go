// Package shard spreads record ids over shards.
package shard

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/flowbeam/flowbeam/flow"
)

// Max is the most shards there can be.
const Max = 1 << 16

// Of is the shard of a record id among n, a power of two: the id's leading bits, so
// that the shards of different counts nest.
func Of(id flow.ID, n int) int {
	if n <= 1 {
		return 0
	}
	return int(binary.BigEndian.Uint32(id[:4]) >> (32 - bits.Len32(uint32(n-1))))
}

// Check says whether n can be a number of shards: a power of two up to [Max].
func Check(n int) error {
	if n < 1 || n > Max || n&(n-1) != 0 {
		return fmt.Errorf("shards: %d is not a power of two between 1 and %d", n, Max)
	}
	return nil
}
