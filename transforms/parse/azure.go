package parse

import (
	"bytes"
	"slices"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// What Azure's two flow logs share: an entry is a JSON object that holds the tuples of one
// network interface and minute, in groups. Blobs (PT1H.json) have an array of entries, in one
// object {"records": […]}, which the file source cuts into entries; so have messages of an
// event hub, which are a raw unit each. An entry alone, one a line, is a unit as well.
//
// Each tuple is one record. Its id is made of the interface, the resource, the entry's time,
// the group it stands in and the tuple, all as they are written: a blob grows by entries each
// minute, and when it is read again the entries that were there give the same ids.

// azureDecoder reads units of either log: layout is what differs.
type azureDecoder struct {
	layout azureLayout
	object jsonObject
	ext    extension.List
	e      azureEntry         // the one that is read
	shared []flow.Extension   // of the entry's members
	lists  [][]flow.Extension // that records of the entry have: these, and those of their tuple
	own    []flow.Extension   // a tuple's
	ids    flow.IDPrefix      // of the group that is read
	mac    string             // of the group that is read
	cells  cells              // of the tuple that is read
	parts  []azurePart        // of the last unit
	buf    []byte
}

// azureValues is how many values a tuple has; version 1 of the NSG log has the first eight.
const azureValues = 13

type azureLayout interface {
	// flows is the array of groups in an entry.
	flows(o *jsonObject, entry []jsonMember) (*jsonMember, error)
	// group is the array of objects with tuples in an element of flows, and what that says of
	// them.
	group(element []jsonMember) (*jsonMember, azureGroup, error)
	// within is g with what such an object says of its tuples.
	within(object []jsonMember, g azureGroup) azureGroup
	// tuple reads one, of at most azureValues values.
	tuple(v *cells, r *flow.Record, ext *extension.List) error
	// taken says whether a member of the entry has a place in the record.
	taken(name string) bool
	resource() string // the name of the member that has the resource
}

// azureEntry is what all tuples of an entry share.
type azureEntry struct {
	time, mac, resource string // as written
	observed            flow.Time
	macText             string
	// What is read of a resource's name, for placeOf: most entries have that of the one before.
	placeOf                  string
	account, network, subnet string
}

// azureGroup is where a tuple stands.
type azureGroup struct{ list, rule, mac string }

// azurePart is one part, of object.inner: a tuple in its entry, or an entry that can't be
// read, which is both. The entry -1 is the object itself.
type azurePart struct{ entry, tuple int32 }

func (d *azureDecoder) DecodeUnit(data string, u *Unit) error {
	d.parts = d.parts[:0]
	s := trim(data)
	if s == "" {
		return nil
	}
	o := &d.object
	if err := o.parse(s); err != nil {
		return err
	}
	records := present(o.members, "records")
	if records == nil || records.kind != '[' {
		return d.entry(-1, o.members, 0, u)
	}
	for i := records.from; i < records.to; i++ {
		m := &o.inner[i]
		err := m.want('{', "an object")
		if err == nil {
			err = d.entry(i, o.of(m), len("records."), u)
		}
		if err != nil {
			d.refuse(azurePart{i, i}, u, err)
		}
	}
	return nil
}

func (d *azureDecoder) refuse(p azurePart, u *Unit, err error) {
	d.parts = append(d.parts, p)
	u.Refuse(d.Part(len(d.parts)-1), err)
}

// Part writes the entry with one of its tuples.
func (d *azureDecoder) Part(i int) string {
	o, p := &d.object, d.parts[i]
	if p.entry < 0 {
		d.buf = o.only(d.buf[:0], int(p.tuple))
	} else {
		d.buf = o.onlyOf(d.buf[:0], &o.inner[p.entry], int(p.tuple))
	}
	return string(d.buf)
}

// entry reads the entry object.inner[at], or the object itself. The first cut bytes of its
// members' paths are those of what it is in. An error is one of the entry itself, found before
// any of its tuples.
func (d *azureDecoder) entry(at int32, entry []jsonMember, cut int, u *Unit) error {
	e := &d.e
	*e = azureEntry{placeOf: e.placeOf, account: e.account, network: e.network, subnet: e.subnet}
	d.ext.Drop()
	for i := range entry {
		m := &entry[i]
		switch {
		case m.kind == 'n':
			continue
		case m.name == "time":
			if err := m.wantString(); err != nil {
				return err
			}
			var err error
			if e.observed, err = timestamp(m.name, m.text); err != nil {
				return err
			}
			e.time = m.text
		case m.name == "macAddress":
			e.mac = m.text
		case m.name == d.layout.resource():
			e.resource = m.text
		case !d.layout.taken(m.name):
			d.object.keep(m, cut, &d.ext)
		}
	}
	d.shared, d.lists = append(d.shared[:0], d.ext.Current()...), d.lists[:0]
	d.ext.Drop()
	e.macText = azureMAC(e.mac)
	e.place()
	o := &d.object
	flows, err := d.layout.flows(o, entry)
	if err != nil {
		return err
	}
	before := len(d.parts)
	for i := flows.from; i < flows.to; i++ {
		if err := d.group(at, o.of(&o.inner[i]), u); err != nil {
			d.refuse(azurePart{at, i}, u, err)
		}
	}
	if len(d.parts) == before {
		d.parts = append(d.parts, azurePart{at, at})
		u.Gap()
	}
	return nil
}

// group reads an element of flows in the entry at. The error is found before any of its tuples
// is read.
func (d *azureDecoder) group(at int32, element []jsonMember, u *Unit) error {
	o := &d.object
	list, shared, err := d.layout.group(element)
	if err != nil {
		return err
	}
	objects := o.of(list)
	for i := range objects {
		if _, err := needed(o.of(&objects[i]), "flowTuples", "flowTuples", '[', "an array"); err != nil {
			return err
		}
	}
	for i := range objects {
		in := o.of(&objects[i])
		g := d.layout.within(in, shared)
		if d.mac = d.e.macText; g.mac != "" && g.mac != d.e.mac {
			d.mac = azureMAC(g.mac)
		}
		d.ids.Begin(u.format, d.e.mac, d.e.resource, d.e.time, g.list, g.rule, g.mac)
		tuples := present(in, "flowTuples")
		for i := tuples.from; i < tuples.to; i++ {
			d.tuple(g, azurePart{at, i}, u)
		}
	}
	return nil
}

func (d *azureDecoder) tuple(g azureGroup, p azurePart, u *Unit) {
	m := &d.object.inner[p.tuple]
	if m.kind != '"' {
		d.refuse(p, u, flow.Reject(flow.ReasonField, "flowTuples: want a string, have %s %s", kindName(m.kind), quoted(m.text)))
		return
	}
	r, e := u.Next(), &d.e
	d.cells.cut(m.text, ',', azureValues)
	if err := d.layout.tuple(&d.cells, r, &d.ext); err != nil {
		d.ext.Drop()
		d.parts = append(d.parts, p)
		u.RefuseLast(d.Part(len(d.parts)-1), err)
		return
	}
	d.parts = append(d.parts, p)
	if g.list != "" {
		d.ext.Add(flow.Ext("aclID", g.list))
	}
	if g.mac != "" && g.mac != e.mac && e.mac != "" {
		d.ext.Add(flow.Ext("macAddress", e.mac)) // the entry's, as it is written
	}
	switch r.Direction {
	case "ingress":
		r.IngressInterface = d.mac
		if len(d.mac) == macLength {
			r.Destination.MAC = d.mac
		}
	case "egress":
		r.EgressInterface = d.mac
		if len(d.mac) == macLength {
			r.Source.MAC = d.mac
		}
	}
	r.ID = d.ids.ID(m.text)
	r.Observed, r.Rule, r.Exporter.Name = e.observed, g.rule, e.resource
	c := &r.Cloud
	c.Provider, c.Account, c.Network, c.Subnetwork = "azure", e.account, e.network, e.subnet
	r.Extensions = d.extensions()
}

// extensions are the entry's and the tuple's. Tuples of an entry differ in few ways, and the records
// of those that do not share them: nobody changes those of a record in their place.
func (d *azureDecoder) extensions() []flow.Extension {
	defer d.ext.Drop()
	for _, l := range d.lists {
		if slices.Equal(d.ext.Current(), l[len(d.shared):]) {
			return l
		}
	}
	d.own = append(d.own[:0], d.ext.Current()...)
	d.ext.Drop()
	d.ext.AddAll(d.shared)
	d.ext.AddAll(d.own)
	l := d.ext.Take()
	if len(d.lists) < azureLists {
		d.lists = append(d.lists, l)
	}
	return l
}

// azureLists bounds the lists of an entry that are looked through: states, and with or without
// encryption.
const azureLists = 8

// place reads the parts of the resource's path that the record has columns for. Azure writes
// its names in any case.
func (e *azureEntry) place() {
	if e.resource == e.placeOf {
		return
	}
	e.placeOf, e.account, e.network, e.subnet = strings.Clone(e.resource), "", "", ""
	rest := e.placeOf
	name := ""
	for rest != "" {
		var segment string
		segment, rest, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		switch strings.ToLower(name) {
		case "subscriptions":
			e.account = segment
		case "virtualnetworks":
			e.network = segment
		case "subnets":
			e.subnet = segment
		default:
			name = segment
			continue
		}
		name = ""
	}
}

const macLength = len("00:00:00:00:00:00")

// azureMAC writes a MAC address of twelve digits as the record has them, and keeps what is
// none.
func azureMAC(text string) string {
	if len(text) != 12 {
		return text
	}
	b := make([]byte, 0, macLength)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return text
		}
		if i > 0 && i%2 == 0 {
			b = append(b, ':')
		}
		b = append(b, c)
	}
	return string(b)
}

// azureEnds reads addresses, ports and direction, which both logs have in one order from
// the second value on.
func azureEnds(r *flow.Record, v *cells, ext *extension.List, protocol func(text string) (flow.Int, error)) (err error) {
	if err = setAddress(&r.Source.IP, "source IP", v.at(1)); err != nil {
		return err
	}
	if err = setAddress(&r.Destination.IP, "destination IP", v.at(2)); err != nil {
		return err
	}
	if r.Protocol, err = protocol(v.at(5)); err != nil {
		return err
	}
	if err = setPort(&r.Source.Port, "source port", v.at(3)); err != nil {
		return err
	}
	if err = setPort(&r.Destination.Port, "destination port", v.at(4)); err != nil {
		return err
	}
	if !hasPorts(r.Protocol.V) {
		portless(ext, "source_port", &r.Source.Port)
		portless(ext, "destination_port", &r.Destination.Port)
	}
	switch direction := v.at(6); direction {
	case "I":
		r.Direction = "ingress"
	case "O":
		r.Direction = "egress"
	default:
		return flow.Reject(flow.ReasonValue, "direction: %s is neither I nor O", quoted(direction))
	}
	return nil
}

// azureState reads the state, what its time means and the four counters. state is B (begin),
// C (continuing), E (end), D (denied) or "" (version 1 has none). Only C and E count, since
// the update before: what B and D write, zeros or nothing, says nothing.
func azureState(r *flow.Record, state string, at flow.Time, v *cells) error {
	r.EventTime = at
	switch state {
	case "C", "E":
		r.End, r.TimeQuality = at, "no_start"
	case "B", "D", "":
		r.Start, r.TimeQuality = at, "no_end"
	default:
		return flow.Reject(flow.ReasonValue, "flow state: %s is none of B, C, E and D", quoted(state))
	}
	for i, to := range [...]*flow.Int{&r.Source.Packets, &r.Source.Bytes, &r.Destination.Packets, &r.Destination.Bytes} {
		if 9+i >= v.n || v.at(9+i) == "" {
			continue
		}
		if err := setCount(to, azureCounters[i], v.at(9+i)); err != nil {
			return err
		}
		if to.V == 0 && state != "C" && state != "E" {
			*to = flow.Int{}
			continue
		}
		r.CounterSemantics, r.ByteLayer = "since_last", "ip"
	}
	return nil
}

var azureCounters = [...]string{"packets sent", "bytes sent", "packets received", "bytes received"}

// azureTimestamp is the earliest time of a tuple: scale is that of the times.
func azureTimestamp(data []byte, scale int) (earliest flow.Time, ok bool) {
	s := view(data)
	for {
		i := strings.Index(s, `"flowTuples"`)
		if i < 0 {
			return earliest, earliest != 0
		}
		s = s[i+len(`"flowTuples"`):]
		sc := jsonScanner{s: s}
		if sc.skip() != ':' {
			continue
		}
		if sc.i++; sc.skip() != '[' {
			continue
		}
		for sc.i++; sc.skip() == '"'; {
			text, ok := sc.str()
			if !ok {
				break
			}
			first, _, _ := strings.Cut(text, ",")
			if t, err := nanoseconds("", first, scale); err == nil && (earliest == 0 || flow.Time(t) < earliest) {
				earliest = flow.Time(t)
			}
			if sc.skip() == ',' {
				sc.i++
			}
		}
		s = s[sc.i:]
	}
}

// looksLikeAzure says whether head begins as a JSON object and has all the texts in its
// first entry, in however many lines.
func looksLikeAzure(head []byte, texts ...string) bool {
	head = bytes.TrimLeft(head[:min(len(head), 16<<10)], " \t\r\n")
	if !bytes.HasPrefix(head, []byte("{")) {
		return false
	}
	for _, t := range texts {
		if !bytes.Contains(head, []byte(t)) {
			return false
		}
	}
	return true
}
