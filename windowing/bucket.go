package windowing

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Bucket is the start of the event-time bucket of length d that t lies in. Buckets are
// aligned to the Unix epoch, as Beam's fixed windows are.
func Bucket(t flow.Time, d time.Duration) flow.Time { return t.Truncate(d) }

// BucketEnd is the end, exclusive, of the bucket of length d that t lies in.
func BucketEnd(t flow.Time, d time.Duration) flow.Time { return t.Truncate(d).Add(d) }

// MaxShards is the number of shards that a key has room for.
const MaxShards = 1 << 16

// keyEncoding is base64 with its alphabet in ASCII order, so that keys sort as the bytes
// in them do.
var keyEncoding = base64.NewEncoding("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz").WithPadding(base64.NoPadding)

const keyBytes = 8 + 2

// Key encodes an event-time bucket and a shard, 0 ≤ shard < [MaxShards], as a key of 14
// letters. Keys sort by bucket, then by shard. They are ASCII because Beam's string
// coder is UTF-8: a runner in another language would mangle other bytes.
func Key(bucket flow.Time, shard int) string {
	if shard < 0 || shard >= MaxShards {
		panic(fmt.Sprintf("windowing.Key: shard %d: want 0 to %d", shard, MaxShards-1))
	}
	var raw [keyBytes]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(bucket)^1<<63) // order of signed numbers
	binary.BigEndian.PutUint16(raw[8:], uint16(shard))
	return keyEncoding.EncodeToString(raw[:])
}

// ParseKey reads what Key wrote.
func ParseKey(key string) (bucket flow.Time, shard int, err error) {
	raw, err := keyEncoding.Strict().DecodeString(key)
	if err != nil || len(raw) != keyBytes || len(key) != keyEncoding.EncodedLen(keyBytes) {
		return 0, 0, fmt.Errorf("windowing: %q is not a key of bucket and shard", key)
	}
	return flow.Time(binary.BigEndian.Uint64(raw) ^ 1<<63), int(binary.BigEndian.Uint16(raw[8:])), nil
}
