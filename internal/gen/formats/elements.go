package main

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/flowbeam/flowbeam/internal/netflow"
)

// element is one field of a data record.
type element struct {
	enterprise uint32
	number     uint16
	value      []byte
}

// message makes a datagram of NetFlow v9 or IPFIX: sets in front, then a template and one record.
func message(version int, front []byte, fields []element) list {
	var template, record []byte
	for _, f := range fields {
		template = append(template, specification(version, f)...)
		record = append(record, f.value...)
	}
	template = append(append(number(2, 256), number(2, uint64(len(fields)))...), template...)
	id := uint64(2)
	if version == netflow.V9 {
		id = 0
	}
	return headed(version, append(append(front, set(id, template)...), set(256, record)...))
}

// specification is a field in a template.
func specification(version int, f element) []byte {
	if f.enterprise == 0 {
		return append(number(2, uint64(f.number)), number(2, uint64(len(f.value)))...)
	}
	b := append(number(2, uint64(f.number)|1<<15), number(2, uint64(len(f.value)))...)
	return append(b, number(4, uint64(f.enterprise))...)
}

func set(id uint64, body []byte) []byte {
	return append(append(number(2, id), number(2, uint64(len(body)+4))...), body...)
}

func headed(version int, sets []byte) list {
	body := &chunk{value: sets}
	if version == netflow.V9 {
		return list{
			structure(2, 9), structure(2, 1), field("header: sysUptime", 4, 3_600_000), field("header: unixSeconds", 4, exportSeconds),
			field("header: sequenceNumber", 4, 7), field("header: sourceId", 4, 5), body,
		}
	}
	return list{
		structure(2, 10), structure(2, uint64(len(sets)+16)), field("header: exportTime", 4, exportSeconds),
		field("header: sequenceNumber", 4, 7), field("header: observationDomainId", 4, 5), body,
	}
}

const exportSeconds = 1_768_478_460

// reversePEN marks elements of the reverse direction, RFC 5103.
const reversePEN = 29305

// elementValues are values of elements for which the first numbers do not do, each of which counts.
var elementValues = map[uint16][][]byte{
	4: {{6}, {17}}, 60: {{4}, {6}}, 61: {{0}, {1}}, 89: {{0x40}, {0x80}}, 136: {{1}, {2}}, 233: {{1}, {3}}, 40005: {{1}, {3}},
	33002: {number(2, 1001), number(2, 1002)}, 32: {number(2, 0x0301), number(2, 0x0302), number(2, 0x0402)},
	139: {number(2, 0x0301), number(2, 0x0302), number(2, 0x0402)}, 95: {{13, 0, 0, 1}, {13, 0, 0, 2}},
	160: {number(8, (exportSeconds-3600)*1000), number(8, (exportSeconds-3700)*1000)},
	21:  {number(4, 3_595_000), number(4, 3_596_000)}, 22: {number(4, 3_590_000), number(4, 3_591_000)},
	312: {number(2, 100), number(2, 101)}, 309: {number(4, 10), number(4, 20)}, 310: {number(4, 100), number(4, 200)},
}

// companions are the other fields of records in which an element has a meaning, or another one.
var companions = map[uint16][][]uint16{
	23: {{}, {1}}, 24: {{}, {2}}, 231: {{232}, {232, 1}, {}}, 232: {{231}, {231, 1}, {}}, 298: {{299}, {299, 2}, {}}, 299: {{298}, {298, 2}, {}},
	161: {{152}, {153}, {}, {152, 153}}, 162: {{152}, {153}, {}, {152, 153}}, 306: {{305}, {}, {305, 34}}, 309: {{310}, {}, {310, 34}}, 310: {{309}, {}, {309, 34}},
	160: {{22}, {}}, 21: {{160}, {}}, 22: {{160}, {}}, 312: {{313}, {}}, 401: {{}, {231, 232, 1}},
	34: {{}, {50}}, 305: {{}, {34}},
	6: {{}, {4}}, 7: {{}, {4}}, 11: {{}, {4}}, 32: {{}, {4}}, 139: {{}, {4}},
}

// valuesOf gives two values or more of an element.
func valuesOf(e netflow.Element) [][]byte {
	if v := elementValues[e.Number]; v != nil && (e.Enterprise == 0 || e.Enterprise == reversePEN) {
		return v
	}
	switch e.Kind {
	case 'f':
		return [][]byte{number(4, uint64(math.Float32bits(1))), number(4, uint64(math.Float32bits(2)))}
	case 'b':
		return [][]byte{{1}, {2}}
	case 'm':
		return [][]byte{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
	case '4':
		return [][]byte{{203, 0, 113, 1}, {203, 0, 113, 2}}
	case '6':
		return [][]byte{{0x20, 1, 0xd, 0xb8, 15: 1}, {0x20, 1, 0xd, 0xb8, 15: 2}}
	case 's':
		return [][]byte{[]byte("a1"), []byte("a2")}
	case 'S':
		return [][]byte{number(4, exportSeconds-20), number(4, exportSeconds-10)}
	case 'M':
		return [][]byte{number(8, (exportSeconds-20)*1000), number(8, (exportSeconds-10)*1000)}
	case 'U', 'N':
		return [][]byte{number(8, (exportSeconds-20+2208988800)<<32), number(8, (exportSeconds-10+2208988800)<<32)}
	}
	return [][]byte{number(4, 1), number(4, 2)}
}

// sampledPacket are the elements that hold the first bytes of a packet, which has no addresses beside
// it then.
func sampledPacket(id uint16) bool { return id == 312 || id == 313 || id == 315 }

// elementTrials tries each element in each of the records in which it has a meaning.
func elementTrials(version int) (out []trial) {
	known := map[uint16]netflow.Element{}
	for _, e := range netflow.Elements() {
		if e.Enterprise == 0 {
			known[e.Number] = e
		}
	}
	for _, e := range netflow.Elements() {
		if version == netflow.V9 && e.Enterprise != 0 || version != netflow.V9 && e.V9 {
			continue
		}
		with := [][]uint16{{}}
		if e.Enterprise == 0 || e.Enterprise == reversePEN {
			if c := companions[e.Number]; c != nil && e.Enterprise == 0 {
				with = c
			}
			if len(e.Unless) > 0 && !sampledPacket(e.Number) {
				with = append(with[:len(with):len(with)], []uint16{e.Unless[0]})
			}
		}
		values := valuesOf(e)
		if sampledPacket(e.Number) && e.Number != 312 && e.Enterprise == 0 {
			values = packets(e.Number == 313)
		}
		for _, others := range with {
			record := func(v []byte) []byte {
				var fields []element
				if !sampledPacket(e.Number) {
					for _, id := range []uint16{8, 12} {
						if e.Enterprise != 0 || id != e.Number && !(id == 8 && e.Number == 27) && !(id == 12 && e.Number == 28) {
							fields = append(fields, element{0, id, []byte{192, 0, 2, byte(id)}})
						}
					}
				}
				for _, id := range others {
					pen := uint32(0)
					if e.Enterprise == reversePEN {
						pen = reversePEN
					}
					o := valuesOf(known[id])[0]
					if id == 313 {
						o = packets(true)[0]
					}
					fields = append(fields, element{pen, id, o})
				}
				if v != nil {
					fields = append(fields, element{e.Enterprise, e.Number, v})
				}
				if len(fields) == 0 {
					return nil
				}
				return message(version, nil, fields).append(nil, nil, nil)
			}
			t := trial{field: label(e), base: input{data: record(values[0])}, all: true}
			for _, v := range values[1:] {
				t.changed = append(t.changed, input{data: record(v)})
			}
			if without := record(nil); without != nil {
				t.without = &input{data: without}
			}
			out = append(out, t)
		}
	}
	return out
}

// label is how the page names an element.
func label(e netflow.Element) string {
	switch {
	case e.Enterprise == reversePEN:
		return fmt.Sprintf("%s (29305/%d)", e.Name, e.Number)
	case e.Enterprise != 0:
		return fmt.Sprintf("%s (%d/%d)", e.Name, e.Enterprise, e.Number)
	}
	if e.V9 {
		return e.Name
	}
	return fmt.Sprintf("%s (%d)", e.Name, e.Number)
}

// elements is the section of NetFlow v9 and IPFIX, which name their fields by one registry.
func elementSections() (*section, error) {
	s := &section{
		title: "NetFlow v9 and IPFIX", parse: "datagram", bothVersions: true,
		about: "Records of the formats `netflow9` and `ipfix`, of datagrams ([datagram](#datagram)). In brackets is the element's number, after that of its " +
			"enterprise: 29305 is the reverse direction (RFC 5103), 6871 CERT's YAF. What only one of the two has is marked. " +
			"Of two elements that say the same the better one is taken, and the other is an extension then. The packets of 313 and 315 are read as [sFlow](#sflow-v5)'s are. Versions, counts and lengths, which say how to read the rest, are not in the table.",
		keptText:  "The other %d elements of IANA's registry and of vendors are extensions of their names: each was tried.",
		otherText: "An element that nobody knows is the extension `ie_`, its enterprise and its number, in hexadecimal.",
		fields:    nil, effects: map[string]*effect{}, reasons: map[string]string{}, partly: map[string]string{},
	}
	var versions [2]*section
	for i, version := range []int{netflow.V9, netflow.IPFIX} {
		v := &section{title: s.title + [...]string{" (v9)", " (IPFIX)"}[i], parse: "datagram", trials: elementTrials(version)}
		v.reasons, v.partly = elementReasons(version)
		v.trials = append(v.trials, wireTrials(message(version, nil, []element{{0, 8, []byte{192, 0, 2, 8}}, {0, 22, number(4, 3_590_000)}, {0, 21, number(4, 3_595_000)}}))...)
		v.trials = append(v.trials, wireTrials(message(version, nil, []element{{0, 8, []byte{192, 0, 2, 8}}}))...)
		with := func(v byte) input {
			return input{data: message(version, nil, []element{{0, 8, []byte{192, 0, 2, 8}}, {4242 * uint32(i), 30000, []byte{v}}}).append(nil, nil, nil)}
		}
		v.other = &trial{field: [...]string{"ie_30000", "ie_4242_30000"}[i], base: with(1), changed: []input{with(2)}}
		versions[i] = v
	}
	if err := errors.Join(versions[0].try(), versions[1].try()); err != nil {
		return nil, err
	}
	s.merge(versions)
	return s, nil
}

// merge puts what was seen of both versions together.
func (s *section) merge(versions [2]*section) {
	take := func(f, as string, v *section) {
		s.fields = append(s.fields, as)
		s.effects[as] = v.effects[f]
		for _, m := range []struct{ from, to map[string]string }{{v.reasons, s.reasons}, {v.partly, s.partly}} {
			if m.from[f] != "" {
				m.to[as] = m.from[f]
			}
		}
	}
	names := slices.Clone(versions[0].fields)
	for _, f := range versions[1].fields {
		if !slices.Contains(names, f) {
			names = append(names, f)
		}
	}
	for _, f := range names {
		a, b := versions[0].effects[f], versions[1].effects[f]
		switch {
		case a == nil:
			take(f, f+" in IPFIX", versions[1])
		case b == nil:
			take(f, f+" in v9", versions[0])
		case a.same(b) && versions[0].reasons[f] == versions[1].reasons[f] && versions[0].partly[f] == versions[1].partly[f]:
			take(f, f, versions[0])
		default:
			take(f, f+" in v9", versions[0])
			take(f, f+" in IPFIX", versions[1])
		}
	}
}

// elementReasons say why elements are dropped.
func elementReasons(version int) (reasons, partly map[string]string) {
	reasons, partly = map[string]string{"header: sequenceNumber": "the collector counts lost records by it"}, map[string]string{}
	if version == netflow.V9 {
		partly["header: sysUptime"] = "for times that are uptimes"
	}
	return reasons, partly
}
