package parse

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestSplitTextIsStringsSplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		// Separators beside each other, and beside bytes that differ from one in one bit.
		b := make([]byte, rng.IntN(40))
		for i := range b {
			b[i] = ",,-.ab\xac\x00"[rng.IntN(8)]
		}
		text := string(b)
		want := strings.Split(text, ",")
		var to [40]string
		n := splitText(text, ',', to[:])
		if n != len(want) || !slices.Equal(to[:n], want) {
			t.Fatalf("%q: %q, want %q", text, to[:n], want)
		}
		var few [3]string
		if n := splitText(text, ',', few[:]); n != len(want) || !slices.Equal(few[:min(n, 3)], want[:min(n, 3)]) {
			t.Fatalf("%q: %d, %q", text, n, few)
		}
	}
}
