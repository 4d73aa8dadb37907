package parse

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestCellsAreStringsSplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		// Separators beside each other, and beside bytes that differ from one in one bit.
		b := make([]byte, rng.IntN(40))
		for i := range b {
			b[i] = ",,-.ab\xac\x00"[rng.IntN(8)]
		}
		text := string(b)
		want := strings.Split(text, ",")
		var c cells
		for _, most := range []int{40, len(want), 3} {
			c.cut(text, ',', most)
			kept := []string{}
			for i := range min(c.n, most) {
				kept = append(kept, c.at(i))
			}
			if c.n != len(want) || !slices.Equal(kept, want[:min(c.n, most)]) || c.ascii == strings.Contains(text, "\xac") {
				t.Fatalf("%q, %d: %d, %q, ASCII %v", text, most, c.n, kept, c.ascii)
			}
		}
	}
}
