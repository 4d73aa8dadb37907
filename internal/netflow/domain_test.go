package netflow

import (
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

func TestTemplatesAreOfOneDomain(t *testing.T) {
	s := NewSession(exporterIP, Config{})
	out := decodeBy(t, s, v9(head{domain: 1}, templates(V9, 256, "1:4")), v9(head{domain: 2}, templates(V9, 256, "2:4")), ipfix(head{domain: 1}, templates(IPFIX, 256, "85:4")),
		v9(head{domain: 1, seq: 1}, setOf(256, u32b(7))), v9(head{domain: 2, seq: 1}, setOf(256, u32b(7))), ipfix(head{domain: 1}, setOf(256, u32b(7))), v9(head{domain: 3}, setOf(256, u32b(7))))
	if len(out.Records) != 3 || out.Counts.Parked != 1 || out.Counts.TemplatesChanged != 0 {
		t.Fatalf("%d records, %+v", len(out.Records), out.Counts)
	}
	if r := out.Records; r[0].Source.Bytes.V != 7 || r[1].Source.Packets.V != 7 || r[2].CounterSemantics != "total" || r[1].Exporter.ObservationDomain != flow.N(2) {
		t.Errorf("%+v", r)
	}
}

func TestAChangedTemplateIsTheNewOne(t *testing.T) {
	for _, version := range []uint16{V9, IPFIX} {
		out := decodeAll(t, message(version, head{}, templates(version, 256, "1:4"), setOf(256, u32b(1)), templates(version, 256, "1:4"), templates(version, 256, "2:4"), setOf(256, u32b(2))),
			message(version, head{seq: 1}, setOf(256, u32b(3))))
		if len(out.Records) != 3 || out.Records[0].Source.Bytes.V != 1 || out.Records[1].Source.Packets.V != 2 || out.Records[2].Source.Packets.V != 3 {
			t.Errorf("version %d: %+v", version, out.Records)
		}
		if out.Counts.Templates != 3 || out.Counts.TemplatesChanged != 1 {
			t.Errorf("version %d: %+v", version, out.Counts)
		}
	}
	// A template and an options template share their ids.
	out := decodeAll(t, v9(head{}, templates(V9, 256, "1:4"), optionTemplates(V9, 256, "1:4", "34:4"), setOf(256, u64b(1))))
	if out.Counts.TemplatesChanged != 1 || out.Counts.OptionRecords != 1 || len(out.Records) != 0 {
		t.Errorf("%+v", out.Counts)
	}
}

func TestWithdrawnTemplatesAreForgotten(t *testing.T) {
	all := []byte{}
	for _, id := range []uint16{256, 257, 258} {
		all = append(all, templates(IPFIX, id, "1:4")...)
	}
	all = append(all, optionTemplates(IPFIX, 259, "144:4", "34:4")...)
	withdraw := func(set, id uint16) []byte { return ipfix(head{seq: 0}, setOf(set, u16b(id), u16b(0))) }
	for what, c := range map[string]struct {
		withdrawal      []byte
		withdrawn, left int64
	}{
		"one":              {withdraw(2, 257), 1, 2},
		"all of data":      {withdraw(2, 2), 3, 0},
		"all of options":   {withdraw(3, 3), 1, 3},
		"one that is none": {withdraw(2, 300), 0, 3},
	} {
		out := decodeAll(t, ipfix(head{}, all), c.withdrawal, ipfix(head{}, setOf(256, u32b(1)), setOf(257, u32b(1)), setOf(258, u32b(1))))
		if out.Counts.Withdrawn != c.withdrawn || out.Counts.Records != c.left || out.Counts.Parked != 3-c.left {
			t.Errorf("%s: %+v", what, out.Counts)
		}
	}
}

func TestSequenceNumbers(t *testing.T) {
	tpl, r := templates(V9, 256, "1:4"), setOf(256, u32b(1), u32b(2))
	for what, c := range map[string]struct {
		datagrams []([]byte)
		want      Counts
	}{
		"v9 counts datagrams":        {[][]byte{v9(head{seq: 5}, tpl), v9(head{seq: 6}, r), v9(head{seq: 10}, r), v9(head{seq: 11}, r)}, Counts{Gaps: 1, Missing: 3}},
		"v9 wraps":                   {[][]byte{v9(head{seq: 1<<32 - 1}, tpl), v9(head{seq: 0}, r)}, Counts{}},
		"v9 out of order":            {[][]byte{v9(head{seq: 5}, tpl), v9(head{seq: 7}, r), v9(head{seq: 6}, r), v9(head{seq: 8}, r)}, Counts{Gaps: 1, Missing: 1, Reordered: 1}},
		"domains count apart":        {[][]byte{v9(head{seq: 5}), v9(head{seq: 900, domain: 1}), v9(head{seq: 6}), v9(head{seq: 901, domain: 1})}, Counts{}},
		"v5 counts records":          {[][]byte{v5(head{seq: 5}, 2, 0, v5Record(1, 2, 6, 1, 2), v5Record(1, 2, 6, 1, 2)), v5(head{seq: 7}, 0, 0), v5(head{seq: 9}, 0, 0)}, Counts{Gaps: 1, Missing: 2}},
		"IPFIX counts records":       {[][]byte{ipfix(head{seq: 5}, templates(IPFIX, 256, "1:4"), r), ipfix(head{seq: 7}, r), ipfix(head{seq: 10}, r)}, Counts{Gaps: 1, Missing: 1}},
		"records of options too":     {[][]byte{ipfix(head{seq: 5}, optionTemplates(IPFIX, 256, "144:4", "34:4"), setOf(256, u64b(1))), ipfix(head{seq: 6})}, Counts{}},
		"unknown sets hide how many": {[][]byte{ipfix(head{seq: 5}, r), ipfix(head{seq: 99})}, Counts{}},
		"IPFIX begins anew":          {[][]byte{ipfix(head{seq: 500}), ipfix(head{seq: 0, at: time.Second}), ipfix(head{seq: 0, at: time.Second})}, Counts{Restarts: 1}},
		"IPFIX out of order":         {[][]byte{ipfix(head{seq: 500}), ipfix(head{seq: 499}), ipfix(head{seq: 500})}, Counts{Reordered: 1}},
	} {
		c.want.Datagrams = int64(len(c.datagrams))
		got := decodeAll(t, c.datagrams...).Counts
		got.Records, got.OptionRecords, got.Templates, got.Parked = 0, 0, 0, 0
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
	// After a malformed datagram nothing is known to be missing.
	s := NewSession(exporterIP, Config{})
	out := decodeBy(t, s, v9(head{seq: 5}, tpl))
	if s.Decode(Datagram{Data: append(v9(head{seq: 6}), 1)}, out) == nil {
		t.Fatal("no error")
	}
	if err := s.Decode(Datagram{Data: v9(head{seq: 7}, r)}, out); err != nil || out.Counts.Gaps != 0 {
		t.Errorf("%+v, %v", out.Counts, err)
	}
}

// After a restart template ids may mean something else: data sets wait rather than be read
// by old templates.
func TestARestartForgetsTemplates(t *testing.T) {
	tpl, r := templates(V9, 256, "1:4"), setOf(256, u32b(1))
	const day = 24 * time.Hour
	for what, c := range map[string]struct {
		first, second head
		restart       bool
	}{
		"booted anew":               {head{seq: 9}, head{uptime: 1000, at: time.Minute}, true},
		"booted anew after 40 days": {head{seq: 9, uptime: 40 * 86_400_000}, head{uptime: 60_000, at: 2 * time.Minute}, true},
		"out of order":              {head{seq: 9, at: time.Minute}, head{seq: 8}, false},
		"the uptime wraps":          {head{seq: 9, uptime: 1<<32 - 1000}, head{seq: 10, uptime: 1000, at: 2 * time.Second}, false},
		"whole seconds":             {head{seq: 9, uptime: 5000}, head{seq: 10, uptime: 4900, at: time.Second}, false},
		"a day later":               {head{seq: 9}, head{seq: 10, at: day}, false},
	} {
		out := decodeAll(t, v9(c.first, tpl, r), v9(c.second, r))
		want := Counts{Datagrams: 2, Records: 2, Templates: 1}
		if c.restart {
			want.Records, want.Parked, want.Restarts = 1, 1, 1
		}
		got := out.Counts
		got.Reordered, got.Gaps, got.Missing = 0, 0, 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		if c.restart && out.Counts.Gaps != 0 {
			t.Errorf("%s: a gap is counted", what)
		}
	}
	out := decodeAll(t, v5(head{}, 0, 0), v5(head{uptime: 1000, at: time.Minute}, 0, 0))
	if out.Counts.Restarts != 1 {
		t.Errorf("v5: %+v", out.Counts)
	}
}

// Whoever sends can't make a Session keep more than its bounds.
func TestWhatIsKeptIsBounded(t *testing.T) {
	s := NewSession(exporterIP, Config{Templates: 10, Options: 5})
	out := new(Output)
	for i := range uint32(5000) {
		id := uint16(256 + i%1000)
		_ = s.Decode(Datagram{Data: ipfix(head{domain: i / 2}, templates(IPFIX, id, "1:"+string(rune('1'+i%8))), optionTemplates(IPFIX, 2000, "10:4", "82:4 34:4"), setOf(2000, u32b(i), []byte("eth0"), u32b(i)))}, out)
	}
	kept, options := 0, 0
	for _, d := range s.domains {
		kept += len(d.templates)
		options += len(d.options.interfaces) + len(d.options.interfaceRates)
		if len(d.options.interfaces)+len(d.options.interfaceRates) != d.options.n {
			t.Fatalf("%+v", d.options)
		}
	}
	if kept > 10 || kept != s.kept.templates || options > 5 || options != s.kept.options || len(s.domains) > maxDomains || len(s.layouts) > 21 {
		t.Errorf("%d templates (%d), %d options (%d), %d domains, %d layouts", kept, s.kept.templates, options, s.kept.options, len(s.domains), len(s.layouts))
	}
	if out.Counts.OptionsDropped == 0 {
		t.Error("what was dropped is not counted")
	}
	// The one used last is there.
	if d := s.domains[domainKey{IPFIX, 2499}]; d == nil || d.templates[256+999] == nil {
		t.Error("the newest template is gone")
	}
}

func TestSessionsSurviveTheirDomainsBound(t *testing.T) {
	s, out := NewSession(exporterIP, Config{}), new(Output)
	for i := range uint32(3 * maxDomains) {
		if err := s.Decode(Datagram{Data: v9(head{domain: i}, templates(V9, 256, "1:4"), setOf(256, u32b(i)))}, out); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.Records) != 3*maxDomains || len(s.domains) != maxDomains || s.kept.templates != maxDomains {
		t.Errorf("%d records, %d domains, %d templates", len(out.Records), len(s.domains), s.kept.templates)
	}
}
