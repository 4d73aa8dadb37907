// Package bucket encodes the key that keyed transforms and sinks share: an event-time
// bucket and a shard of it. Records travel in the global window, because keyed state in
// fixed windows is gone when the watermark passes the window's end; so the bucket is part
// of the key.
package bucket

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Key is the key of (bucket start, shard): 12 bytes that sort by time, then shard.
func Key(start flow.Time, shard uint32) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], uint64(start)^1<<63)
	binary.BigEndian.PutUint32(b[8:], shard)
	return string(b[:])
}

// Parse reads what Key wrote.
func Parse(key string) (start flow.Time, shard uint32, err error) {
	if len(key) != 12 {
		return 0, 0, fmt.Errorf("bucket key of %d bytes, want 12", len(key))
	}
	b := []byte(key)
	return flow.Time(binary.BigEndian.Uint64(b[:8]) ^ 1<<63), binary.BigEndian.Uint32(b[8:]), nil
}

// Of is the bucket that t falls into.
func Of(t flow.Time, length time.Duration) flow.Time { return t.Truncate(length) }

// Shard is the shard of a record id among n, a power of two: the id's leading bits, so
// that shards of different counts nest.
func Shard(id flow.ID, n int) uint32 {
	if n <= 1 {
		return 0
	}
	return binary.BigEndian.Uint32(id[:4]) >> (32 - bits.Len32(uint32(n-1)))
}

// CheckShards says whether n can be a number of shards.
func CheckShards(n int) error {
	if n < 1 || n > 1<<16 || n&(n-1) != 0 {
		return fmt.Errorf("shards: %d is not a power of two between 1 and 65536", n)
	}
	return nil
}
