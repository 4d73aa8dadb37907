package flow

import (
	"strings"
	"testing"
)

func TestIDPrefixGivesTheSameIDs(t *testing.T) {
	var p IDPrefix
	for _, size := range []int{0, 1, 30, 31, 32, 62, 63, 64, 65, 127, 128, 129, 300} {
		shared := strings.Repeat("x", size)
		p.Begin("azure_vnet", shared, "", "b")
		for _, last := range []string{"", "a", strings.Repeat("y", 200), "a"} {
			if got, want := p.ID(last), NewIDText("azure_vnet", shared, "", "b", last); got != want {
				t.Errorf("%d, %q: %v, want %v", size, last, got, want)
			}
		}
	}
}

// A batch of ten records of which the interface, resource and rule are the same.
func BenchmarkIDPrefix(b *testing.B) {
	shared := []string{strings.Repeat("m", 12), strings.Repeat("r", 180), strings.Repeat("t", 30), "g", "rule"}
	last := strings.Repeat("1", 70)
	b.ReportAllocs()
	b.Run("prefix", func(b *testing.B) {
		var p IDPrefix
		for b.Loop() {
			p.Begin("azure_vnet", shared...)
			for range 10 {
				p.ID(last)
			}
		}
	})
	b.Run("whole", func(b *testing.B) {
		all := append(shared, last)
		for b.Loop() {
			for range 10 {
				NewIDText("azure_vnet", all...)
			}
		}
	})
}
