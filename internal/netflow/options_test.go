package netflow

import (
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

func TestSamplingRatesComeByOptions(t *testing.T) {
	data := templates(V9, 256, "10:4 48:1 1:4")
	record := func(ifc uint32, selector byte) []byte { return setOf(256, u32b(ifc), u8(selector), u32b(1)) }
	bySelector := v9(head{}, optionTemplates(V9, 300, "1:4", "48:1 49:1 50:4"), setOf(300, u32b(0), u8(1, 2), u32b(100), u32b(0), u8(2, 2), u32b(200)))
	byInterface := v9(head{}, optionTemplates(V9, 301, "2:4", "34:4"), setOf(301, u32b(7), u32b(70)))
	forAll := v9(head{}, optionTemplates(V9, 302, "4:2", "34:4 35:1"), setOf(302, u16b(0), u32b(10), u8(1)))
	plain := templates(V9, 256, "10:4 1:4")
	plainRecord := setOf(256, u32b(9), u32b(1))
	for what, c := range map[string]struct {
		datagrams [][]byte
		want      flow.Int
	}{
		"of its selector":                        {[][]byte{bySelector, v9(head{}, data, record(9, 2))}, flow.N(200)},
		"of the other selector":                  {[][]byte{bySelector, v9(head{}, data, record(9, 1))}, flow.N(100)},
		"of a selector that is not known":        {[][]byte{bySelector, v9(head{}, data, record(9, 3))}, flow.Int{}},
		"of an unknown one, with a rate for all": {[][]byte{forAll, v9(head{}, data, record(9, 3))}, flow.Int{}},
		"of its interface":                       {[][]byte{byInterface, forAll, v9(head{}, plain, setOf(256, u32b(7), u32b(1)))}, flow.N(70)},
		"of another interface":                   {[][]byte{byInterface, forAll, v9(head{}, plain, plainRecord)}, flow.N(10)},
		"for all":                                {[][]byte{forAll, v9(head{}, plain, plainRecord)}, flow.N(10)},
		"of one of two selectors, unnamed":       {[][]byte{bySelector, v9(head{}, plain, plainRecord)}, flow.Int{}},
		"of the only selector, unnamed":          {[][]byte{v9(head{}, optionTemplates(V9, 300, "1:4", "48:1 50:4"), setOf(300, u32b(0), u8(1), u32b(100))), v9(head{}, plain, plainRecord)}, flow.N(100)},
		"of another domain":                      {[][]byte{v9(head{domain: 5}, forAll[20:]), v9(head{}, plain, plainRecord)}, flow.Int{}},
		"the newest":                             {[][]byte{forAll, v9(head{}, setOf(302, u16b(0), u32b(20), u8(1))), v9(head{}, plain, plainRecord)}, flow.N(20)},
		"its own":                                {[][]byte{forAll, v9(head{}, templates(V9, 256, "34:4"), setOf(256, u32b(5)))}, flow.N(5)},
	} {
		out := decodeAll(t, c.datagrams...)
		r := out.Records[len(out.Records)-1]
		source := "options"
		if what == "its own" {
			source = "record"
		}
		if !c.want.OK {
			source = ""
		}
		if r.SamplingRate != c.want || r.SamplingSource != source {
			t.Errorf("%s: %v from %q, want %v", what, r.SamplingRate, r.SamplingSource, c.want)
		}
		if r.Source.Bytes.OK && r.Source.Bytes.V != 1 {
			t.Errorf("%s: the counter is not raw: %v", what, r.Source.Bytes)
		}
	}
}

func TestRatesAreOneInHowMany(t *testing.T) {
	for _, c := range []struct {
		fields string
		values []byte
		want   int64
	}{
		{"34:4", u32b(100), 100},
		{"50:4", u32b(100), 100},
		{"305:4 306:4", cat(u32b(1), u32b(99)), 100},
		{"305:4 306:4", cat(u32b(10), u32b(990)), 100},
		{"305:4 306:4", cat(u32b(1), u32b(0)), 1},
		{"305:4", u32b(100), 100},
		{"309:4 310:4", cat(u32b(2), u32b(200)), 100},
		{"309:4 310:4", cat(u32b(200), u32b(2)), 1},
	} {
		r := one(t, IPFIX, c.fields, c.values)
		if r.SamplingRate != flow.N(c.want) {
			t.Errorf("%s: %v, want %d", c.fields, r.SamplingRate, c.want)
		}
	}
	for _, c := range []struct {
		fields string
		values []byte
	}{{"306:4", u32b(9)}, {"309:4", u32b(9)}, {"34:4", u32b(0)}, {"305:4 306:4", cat(u32b(0), u32b(9))}} {
		if r := one(t, IPFIX, c.fields, c.values); r.SamplingRate.OK {
			t.Errorf("%s: %v", c.fields, r.SamplingRate)
		}
	}
}

func TestNamesComeByOptions(t *testing.T) {
	data := v9(head{}, templates(V9, 256, "10:2 14:4 95:4"), setOf(256, u16b(3), u32b(4), u8(3, 0, 0, 80)))
	names := []([]byte){
		v9(head{}, optionTemplates(V9, 300, "2:4", "82:8"), setOf(300, u32b(3), filled("eth3", 8))),
		v9(head{}, optionTemplates(V9, 301, "1:4", "10:4 83:8"), setOf(301, u32b(0), u32b(4), filled("uplink", 8))),
		v9(head{}, optionTemplates(V9, 302, "1:4", "95:4 96:8 94:8"), setOf(302, u32b(0), u8(3, 0, 0, 80), filled("http", 8), filled("web", 8))),
	}
	r := decodeAll(t, data).Records[0]
	if r.IngressInterface != "3" || r.EgressInterface != "4" || r.Application != "" || extensions(&r) != `{"applicationId":"3:80"}` {
		t.Errorf("without names: %+v", r)
	}
	r = decodeAll(t, names[0], names[1], names[2], data).Records[0]
	if r.IngressInterface != "eth3" || r.EgressInterface != "uplink" || r.Application != "http" ||
		extensions(&r) != `{"ingressInterface":3,"egressInterface":4,"applicationId":"3:80"}` {
		t.Errorf("%+v", r)
	}
	// The name outlives the datagram that it came in.
	s := NewSession(exporterIP, Config{})
	for i := range names {
		b := append([]byte(nil), names[i]...)
		decodeBy(t, s, b)
		clear(b)
	}
	if r := decodeBy(t, s, data).Records[0]; r.IngressInterface != "eth3" || r.Application != "http" {
		t.Errorf("%+v", r)
	}
}

func TestLongOptionsRecordsAreNotKept(t *testing.T) {
	long := strings.Repeat("x", maxOptionRecord)
	out := decodeAll(t, ipfix(head{}, optionTemplates(IPFIX, 300, "10:4", "82:v"), setOf(300, u32b(3), u8(255), u16b(maxOptionRecord), []byte(long))),
		ipfix(head{}, templates(IPFIX, 256, "10:4"), setOf(256, u32b(3))))
	if out.Records[0].IngressInterface != "3" || out.Counts.OptionsDropped != 1 {
		t.Errorf("%+v", out.Counts)
	}
}

// What the rate is not made of stays: it may be another than the one that was taken.
func TestWhatTheRateIsNotMadeOfIsKept(t *testing.T) {
	for fields, want := range map[string]struct {
		rate       flow.Int
		extensions string
	}{
		"34:4 50:4":         {flow.N(2), `{"samplingInterval":1}`},
		"34:4 305:4 306:4":  {flow.N(1), `{"samplingPacketInterval":2,"samplingPacketSpace":3}`},
		"305:4 306:4":       {flow.N(3), `{}`},
		"306:4":             {flow.Int{}, `{"samplingPacketSpace":1}`},
		"309:4 310:4":       {flow.N(2), `{}`},
		"309:4":             {flow.Int{}, `{"samplingSize":1}`},
		"310:4":             {flow.Int{}, `{"samplingPopulation":1}`},
		"305:4 309:4 310:4": {flow.N(1), `{"samplingSize":2,"samplingPopulation":3}`},
	} {
		r := one(t, IPFIX, "1:4 "+fields, cat(u32b(7), u32b(1), u32b(2), u32b(3))[:4+4*len(strings.Fields(fields))])
		if r.SamplingRate != want.rate || extensions(r) != want.extensions {
			t.Errorf("%s: rate %v, %s", fields, r.SamplingRate, extensions(r))
		}
	}
}

func TestABootTimeFromWhichNothingCountsIsKept(t *testing.T) {
	boot := u64b(uint64(flowDay.Add(-time.Hour).UnixMilli()))
	for what, c := range map[string]struct {
		version uint16
		fields  string
		values  []byte
		kept    bool
	}{
		"IPFIX, no uptime": {IPFIX, "160:8 1:4", cat(boot, u32b(1)), true},
		"IPFIX, an uptime": {IPFIX, "160:8 22:4", cat(boot, u32b(1)), false},
		"v9, an uptime":    {V9, "160:8 22:4", cat(boot, u32b(1)), true}, // its header says it too
	} {
		if got := ext(one(t, c.version, c.fields, c.values), "systemInitTimeMilliseconds"); (got != "") != c.kept {
			t.Errorf("%s: %q", what, got)
		}
	}
}
