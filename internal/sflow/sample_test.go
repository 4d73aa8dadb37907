package sflow

import (
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// Of records that say the same of one packet in several ways nothing is lost where they differ.
func TestRecordsThatDifferAreBothKept(t *testing.T) {
	frame := func(vlan uint16) []byte {
		return header(1, 64, ethernet(0x8100, cat([]byte{0, byte(vlan), 8, 0}, udp4())))
	}
	mac := func(last byte) []byte { return []byte{2, 0, 0, 0, 0, last, 0, 0} }
	frameSeen := item(2, u32(60), mac(1), mac(2), u32(0x0800))
	packet := item(3, u32(46, 17), []byte{198, 51, 100, 1, 203, 0, 113, 1}, u32(1000, 53, 0, 0))
	lanes := func(vlan uint32) []byte { return item(1001, u32(vlan, unknown, unknown, unknown)) }
	const samplePool = `{"samplePool":5000,"drops":2`
	for what, c := range map[string]struct {
		records    [][]byte
		extensions string
		bytes      int64
	}{
		"the same VLAN":                 {[][]byte{frame(10), lanes(10)}, `,"stripped":4,"ipTTL":63}`, 64},
		"another VLAN":                  {[][]byte{frame(10), lanes(11)}, `,"stripped":4,"ipTTL":63,"vlanId":11}`, 64},
		"no VLAN id":                    {[][]byte{lanes(5000)}, `,"vlanId":5000}`, 0},
		"the frame as well":             {[][]byte{frame(10), frameSeen}, `,"stripped":4,"ipTTL":63,"sflow_0_2":"0000003c02000000000100000200000000020000` + `00000800"}`, 64},
		"the packet's length":           {[][]byte{frameSeen, packet}, `,"ethernetType":2048,"ipTotalLength":46}`, 60},
		"the frame's length":            {[][]byte{packet, frameSeen}, `,"dataLinkFrameSize":60}`, 46},
		"a frame that is of other type": {[][]byte{packet, item(2, u32(60), mac(1), mac(2), u32(0x0806))}, `,"dataLinkFrameSize":60,"ethernetType":2054}`, 46},
	} {
		r := decode(t, message(1, 1000, sample(c.records...))).Records[0]
		if got := string(flow.AppendExtensions(nil, r.Extensions)); got != samplePool+c.extensions || r.Source.Bytes.V != c.bytes {
			t.Errorf("%s: %d bytes, %s", what, r.Source.Bytes.V, got)
		}
	}
}
