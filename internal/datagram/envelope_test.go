package datagram

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

func TestEnvelope(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:2055":          "fb01" + "187a8d6c4d6c0001" + "0807" + "04" + "c0000201" + "000a",
		"[2001:db8::1]:4739":      "fb01" + "187a8d6c4d6c0001" + "1283" + "10" + "20010db8000000000000000000000001" + "000a",
		"[::ffff:192.0.2.1]:2055": "fb01" + "187a8d6c4d6c0001" + "0807" + "04" + "c0000201" + "000a",
	} {
		at := flow.Time(0x187a8d6c4d6c0001)
		b := AppendEnvelope(nil, netip.MustParseAddrPort(from), at, []byte{0, 10})
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
		gotFrom, received, data, ok := OpenEnvelope(b)
		if !ok || received != at || !bytes.Equal(data, []byte{0, 10}) || gotFrom.Addr() != netip.MustParseAddrPort(from).Addr().Unmap() || gotFrom.Port() == 0 {
			t.Errorf("%s: %v %v %v %v", from, gotFrom, received, data, ok)
		}
		for i := 1; i < len(b)-2; i++ {
			if _, _, _, ok := OpenEnvelope(b[:i]); ok {
				t.Errorf("%d bytes of %d are taken", i, len(b))
			}
		}
	}
	b := AppendEnvelope(nil, netip.AddrPort{}, 0, []byte{1})
	if from, _, data, ok := OpenEnvelope(b); !ok || from.Addr().IsValid() || !bytes.Equal(data, []byte{1}) {
		t.Errorf("without an address: %v %v %v", from, data, ok)
	}
	if _, _, data, ok := OpenEnvelope([]byte{0, 5}); !ok || !bytes.Equal(data, []byte{0, 5}) {
		t.Errorf("bare: %v %v", data, ok)
	}
}
