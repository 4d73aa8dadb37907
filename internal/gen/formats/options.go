package main

import (
	"fmt"

	"github.com/flowbeam/flowbeam/internal/netflow"
)

// optionsSection says what options records, which are no flow records, add to those that come after
// them.
func optionsSection() *section {
	s := &section{
		title: "Options of NetFlow v9 and IPFIX", parse: "datagram", quiet: true,
		about: "Options records are no flow records. What they say goes into the flow records of their exporter and observation domain: after the colon is what the options record is of, and what in the flow record refers to it.",
		reasons: map[string]string{
			"any other element": "of the exporter and not of a flow: options records are counted and not kept",
		},
	}
	for _, version := range []int{netflow.V9, netflow.IPFIX} {
		for _, o := range []struct {
			element uint16
			of      string
			scope   element   // of the options record
			with    []element // in it
			record  []element // in the flow record
			values  [][]byte
		}{
			{82, "of an interface, ingressInterface", element{0, 10, number(4, 2)}, nil, []element{{0, 10, number(4, 2)}}, texts()},
			{82, "of an interface, egressInterface", element{0, 10, number(4, 2)}, nil, []element{{0, 14, number(4, 2)}}, texts()},
			{83, "of an interface without 82, ingressInterface", element{0, 10, number(4, 2)}, nil, []element{{0, 10, number(4, 2)}}, texts()},
			{96, "of an application, applicationId", element{0, 95, number(4, 13<<24|1)}, nil, []element{{0, 95, number(4, 13<<24|1)}}, texts()},
			{34, "of the exporter", exporter(version), nil, nil, numbers()},
			{34, "of an interface, ingressInterface", element{0, 10, number(4, 2)}, nil, []element{{0, 10, number(4, 2)}}, numbers()},
			{50, "of a sampler, samplerId", exporter(version), []element{{0, 48, number(4, 3)}}, []element{{0, 48, number(4, 3)}}, numbers()},
			{305, "of a selector, selectorId", exporter(version), []element{{0, 302, number(4, 3)}}, []element{{0, 302, number(4, 3)}}, numbers()},
			{306, "beside 305", exporter(version), []element{{0, 305, number(4, 1)}}, nil, numbers()},
			{309, "beside 310", exporter(version), []element{{0, 310, number(4, 1000)}}, nil, numbers()},
			{310, "beside 309", exporter(version), []element{{0, 309, number(4, 1)}}, nil, numbers()},
			{160, "of the exporter, flowStartSysUpTime in IPFIX", exporter(version), nil, []element{{0, 22, number(4, 3_590_000)}}, elementValues[160]},
		} {
			if version == netflow.V9 && o.element == 160 {
				continue
			}
			t := optionTrial(version, fmt.Sprintf("%s: %s", elementName(o.element), o.of), o.scope, o.with, o.record, o.element, o.values)
			s.trials = append(s.trials, t)
		}
		other := trial{field: "any other element"}
		for _, e := range netflow.Elements() {
			if e.Enterprise != 0 || e.V9 || isOption(e.Number) {
				continue
			}
			values := valuesOf(e)
			t := optionTrial(version, "", exporter(version), nil, []element{{0, 10, number(4, 2)}, {0, 48, number(4, 3)}}, e.Number, values[:1])
			other.base = optionTrial(version, "", exporter(version), nil, []element{{0, 10, number(4, 2)}, {0, 48, number(4, 3)}}, 143, numbers()).base
			other.changed = append(other.changed, t.base)
		}
		s.trials = append(s.trials, other)
	}
	return s
}

func texts() [][]byte   { return [][]byte{[]byte("eth1"), []byte("eth2")} }
func numbers() [][]byte { return [][]byte{number(4, 100), number(4, 200)} }

// exporter is the scope of what is of the whole exporter.
func exporter(version int) element {
	if version == netflow.V9 {
		return element{0, 1, number(4, 0)} // of its own numbers: the system
	}
	return element{0, 149, number(4, 5)}
}

func isOption(n uint16) bool {
	for _, o := range netflow.OptionElements() {
		if n == o {
			return true
		}
	}
	return n == 83
}

func elementName(n uint16) string {
	for _, e := range netflow.Elements() {
		if e.Enterprise == 0 && e.Number == n {
			return label(e)
		}
	}
	panic(fmt.Sprint("no element has the number ", n))
}

// optionTrial has an options template, a record of it and a flow record in one datagram.
func optionTrial(version int, name string, scope element, with, record []element, of uint16, values [][]byte) trial {
	make := func(v []byte) input {
		fields := append(append([]element{scope}, with...), element{0, of, v})
		id := scope.number
		if version == netflow.V9 && id == 10 {
			fields[0].number = 2 // of its own numbers: an interface
		}
		if version == netflow.V9 && id == 95 {
			fields[0], fields = element{0, 1, number(4, 0)}, append(fields, scope)
		}
		var template, values []byte
		for _, f := range fields {
			template = append(template, specification(version, f)...)
			values = append(values, f.value...)
		}
		var front []byte
		if version == netflow.V9 {
			head := append(append(number(2, 257), number(2, 4)...), number(2, uint64(4*(len(fields)-1)))...)
			front = append(set(1, append(head, template...)), set(257, values)...)
		} else {
			head := append(append(number(2, 257), number(2, uint64(len(fields)))...), number(2, 1)...)
			front = append(set(3, append(head, template...)), set(257, values)...)
		}
		flow := append([]element{{0, 8, []byte{192, 0, 2, 8}}}, record...)
		return input{data: message(version, front, flow).append(nil, nil, nil)}
	}
	t := trial{field: name, base: make(values[0])}
	for _, v := range values[1:] {
		t.changed = append(t.changed, make(v))
	}
	return t
}
