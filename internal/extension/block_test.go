package extension

import (
	"encoding/hex"
	"math"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

func TestRecordsDoNotShareWhatTheyMayChange(t *testing.T) {
	var b Block
	b.AddNumber("a", 1)
	first := b.Take()
	b.AddNumber("b", 2)
	second := b.Take()
	_ = append(first, flow.Ext("x", "x"))
	if len(second) != 1 || second[0] != flow.ExtN("b", 2) {
		t.Errorf("%v", second)
	}
	b.AddNumber("c", 3)
	b.Drop()
	if got := b.Take(); got != nil {
		t.Errorf("dropped, and there: %v", got)
	}
}

func TestTextStaysAsItWasGiven(t *testing.T) {
	var b Block
	var all []string
	for i := range 5000 {
		all = append(all, b.Number(uint64(1000+i)), b.MAC([]byte{0, 1, 2, 3, 4, byte(i)}))
	}
	long := strings.Repeat("x", textBlock+1)
	if b.String([]byte(long)) != long {
		t.Error("a text longer than a block")
	}
	if all[0] != "1000" || all[1] != "00:01:02:03:04:00" || all[9998] != "5999" || all[9999] != "00:01:02:03:04:87" {
		t.Errorf("%q %q %q %q", all[0], all[1], all[9998], all[9999])
	}
}

func TestManyExtensionsOfOneRecord(t *testing.T) {
	var b Block
	b.AddNumber("before", 1)
	b.Take()
	for i := range 3 * listBlock {
		b.AddNumber("n", uint64(i))
	}
	got := b.Take()
	if len(got) != 3*listBlock || got[listBlock].Text != "256" {
		t.Errorf("%d, %v", len(got), got[listBlock])
	}
	b.AddNumber("first", 1)
	b.AddAll(got)
	b.AddAll(nil)
	b.AddAll(got[:1])
	if all := b.Take(); len(all) != 3*listBlock+2 || all[0].Name != "first" || all[1] != got[0] || all[3*listBlock+1] != got[0] {
		t.Errorf("%d", len(all))
	}
}

func TestValuesThatHaveNoPlainForm(t *testing.T) {
	var b Block
	b.AddNumber("large", math.MaxUint64)
	b.AddText("padded", []byte("ab\x00\x00"))
	b.AddText("binary", []byte{0xff, 'a', 0})
	b.AddText("nul", []byte("a\x00b"))
	want := []flow.Extension{
		flow.Ext("large", "18446744073709551615"), flow.Ext("padded", "ab"), flow.Ext("binary", "ff61"), flow.Ext("nul", "610062"),
	}
	for i, e := range b.Take() {
		if e != want[i] {
			t.Errorf("%v, want %v", e, want[i])
		}
	}
}

// What is remembered is the text of its own value, also where two have one place.
func TestTextsThatComeAgain(t *testing.T) {
	var b Block
	for range 3 {
		for i := range uint64(3000) {
			if got, want := b.Number(i*i), strconv.FormatUint(i*i, 10); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			mac := []byte{byte(i >> 8), 0, 0, byte(i >> 8), 0, byte(i)}
			if got, want := b.MAC(mac), net.HardwareAddr(mac).String(); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			v4 := flow.IP{B: [16]byte{byte(i >> 8), byte(i)}, Len: 4}
			v6 := flow.IP{B: v4.B, Len: 16}
			if got, want := b.IP(v4), v4.String(); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			if got, want := b.IP(v6), v6.String(); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	}
}

func TestAddingAllocatesByTheBlock(t *testing.T) {
	var b Block
	p := []byte{1, 2, 3, 4, 5, 6}
	if n := testing.AllocsPerRun(1000, func() {
		b.AddNumber("n", 123456)
		b.Add(flow.Ext("m", b.MAC(p)))
		b.Take()
	}); n > 0.5 {
		t.Errorf("%v allocations", n)
	}
}

func TestHexThatComesAgain(t *testing.T) {
	var b Block
	for range 2 {
		for n := range 20 {
			for i := range 600 {
				p := make([]byte, n)
				for j := range p {
					p[j] = byte(i >> (j % 3))
				}
				if got, want := b.Hex(p), hex.EncodeToString(p); got != want {
					t.Fatalf("%s, want %s", got, want)
				}
			}
		}
	}
}
