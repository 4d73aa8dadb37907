package prefix

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
)

// Table is a prefix table: it finds the row of the most specific prefix that holds an
// address. It is never modified and safe for concurrent use.
//
// Prefixes nest or are disjoint, so that they cut the line of all addresses into intervals
// with one most specific row each; a lookup is a binary search among their first
// addresses. IPv4 comes before IPv6 on that line.
type Table struct {
	starts []netip.Addr
	rows   []*row // the row in force from starts[i] on, nil where there is none
}

// row is what one line of the table says. Strings are "" where the table has none.
type row struct {
	network, customer, site, dataCenter, tenant string
	labels                                      []flow.Label // sorted, without empty values
}

func (r *row) equal(o *row) bool {
	return r.network == o.network && r.customer == o.customer && r.site == o.site &&
		r.dataCenter == o.dataCenter && r.tenant == o.tenant && slices.Equal(r.labels, o.labels)
}

// maxProblems bounds how many problems of a table are told at once.
const maxProblems = 100

// Parse reads a CSV table with a header line. The first column is named prefix and holds
// a network (192.0.2.0/24, 2001:db8::/32) or one address. The columns network, customer,
// site, data_center and tenant go to fields of the record; any other column is a label of
// its name. Lines that begin with # are comments. The error tells every problem with its
// line: bad prefixes, one prefix twice with different values, missing columns.
func Parse(data []byte) (*Table, error) {
	var problems []error
	problem := func(line int, format string, args ...any) {
		problems = append(problems, fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...)))
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = '#', -1, true

	header, err := r.Read()
	if err == io.EOF {
		return nil, errors.New("no header line: want prefix,network and so on")
	}
	if err != nil {
		return nil, err
	}
	line, _ := r.FieldPos(0)
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		switch {
		case i == 0 && header[0] != "prefix":
			problem(line, "the first column is %q, want prefix", header[0])
		case header[i] == "":
			problem(line, "column %d has no name", i+1)
		case slices.Contains(header[:i], header[i]):
			problem(line, "column %q is there twice", header[i])
		}
	}
	if len(header) < 2 {
		problem(line, "no column beside the prefix")
	}

	found := map[netip.Prefix]seen{}
	for len(problems) < maxProblems {
		fields, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil { // it names the line, and what follows can't be told from it
			problems = append(problems, err)
			break
		}
		line, _ := r.FieldPos(0)
		if len(fields) != len(header) {
			problem(line, "%d columns, want %d", len(fields), len(header))
			continue
		}
		p, err := parsePrefix(strings.TrimSpace(fields[0]))
		if err != nil {
			problem(line, "%w", err)
			continue
		}
		row := newRow(header, fields)
		if old, ok := found[p]; !ok {
			found[p] = seen{row, line}
		} else if !old.row.equal(row) {
			problem(line, "prefix %v is on line %d too, with other values", p, old.line)
		}
	}
	if len(problems) == maxProblems {
		problems = append(problems, errors.New("more problems may follow"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return newTable(found), nil
}

// seen is a row and where it stands.
type seen struct {
	row  *row
	line int
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is neither a network nor an address", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its length: did you mean %v?", s, p.Masked())
	}
	if a := p.Addr(); a.Is4In6() { // records keep such addresses as IPv4
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q holds IPv4 and other addresses: write them apart", s)
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p, nil
}

func newRow(header, fields []string) *row {
	r := &row{}
	for i, name := range header[1:] {
		v := strings.TrimSpace(fields[i+1])
		switch name {
		case "network":
			r.network = v
		case "customer":
			r.customer = v
		case "site":
			r.site = v
		case "data_center":
			r.dataCenter = v
		case "tenant":
			r.tenant = v
		default:
			if v != "" {
				r.labels = append(r.labels, flow.Label{Name: name, Value: v})
			}
		}
	}
	flow.SortLabels(r.labels)
	return r
}

// newTable sweeps over the prefixes in the order of their first addresses, a wider one
// before those that it holds, with the open ones on a stack.
func newTable(found map[netip.Prefix]seen) *Table {
	prefixes := make([]netip.Prefix, 0, len(found))
	for p := range found {
		prefixes = append(prefixes, p)
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	t := &Table{}
	t.from(netip.IPv4Unspecified(), nil)
	var open []netip.Prefix
	closeBefore := func(a netip.Addr) { // a invalid: close all
		for len(open) > 0 {
			top := open[len(open)-1]
			if a.IsValid() && top.Contains(a) {
				return
			}
			open = open[:len(open)-1]
			next := last(top).Next()
			if !next.IsValid() { // the end of the address family
				continue
			}
			var outer *row
			if len(open) > 0 {
				outer = found[open[len(open)-1]].row
			}
			t.from(next, outer)
		}
	}
	sixes := false
	for _, p := range prefixes {
		if p.Addr().Is6() && !sixes {
			sixes = true
			closeBefore(netip.Addr{})
			t.from(netip.IPv6Unspecified(), nil)
		}
		closeBefore(p.Addr())
		t.from(p.Addr(), found[p].row)
		open = append(open, p)
	}
	closeBefore(netip.Addr{})
	if !sixes {
		t.from(netip.IPv6Unspecified(), nil)
	}
	return t
}

// from says which row is in force from a on. Of several for one address the last holds.
func (t *Table) from(a netip.Addr, r *row) {
	if n := len(t.starts); n > 0 && t.starts[n-1] == a {
		t.rows[n-1] = r
		return
	}
	t.starts, t.rows = append(t.starts, a), append(t.rows, r)
}

// last is the last address of a network.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := range b {
		switch n := bits - 8*i; {
		case n <= 0:
			b[i] = 0xff
		case n < 8:
			b[i] |= 0xff >> n
		}
	}
	if a := netip.AddrFrom16(b); p.Addr().Is6() {
		return a
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// find returns the row of the most specific prefix that holds ip, nil where there is none.
func (t *Table) find(ip flow.IP) *row {
	a := ip.Addr()
	if !a.IsValid() {
		return nil
	}
	lo, hi := 0, len(t.starts) // starts[lo] <= a < starts[hi]
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) / 2); t.starts[mid].Compare(a) <= 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return t.rows[lo]
}

// Enrich fills the fields of both endpoints from the most specific row that holds each
// address, and says how many of the two were found. That row wins whole: an empty value
// of it is not looked for in a wider prefix. An empty value leaves what was there, so that
// of several tables each may give its part. DataCenter and Tenant are filled where the
// record has none, from the source's side before the destination's.
func (t *Table) Enrich(r *flow.Record) (found int) {
	for _, e := range [...]*flow.Endpoint{&r.Source, &r.Destination} {
		row := t.find(e.IP)
		if row == nil {
			continue
		}
		found++
		set(&e.Network, row.network)
		set(&e.Customer, row.customer)
		set(&e.Site, row.site)
		e.Labels = merge(e.Labels, row.labels)
		if r.DataCenter == "" {
			r.DataCenter = row.dataCenter
		}
		if r.Tenant == "" {
			r.Tenant = row.tenant
		}
	}
	return found
}

func set(field *string, v string) {
	if v != "" {
		*field = v
	}
}

// merge never changes either list: the table's is shared by all its records, the record's
// by the batch it came in. Of two labels of one name the table's wins.
func merge(have, table []flow.Label) []flow.Label {
	if len(table) == 0 {
		return have
	}
	if len(have) == 0 {
		return table[:len(table):len(table)]
	}
	out := make([]flow.Label, 0, len(have)+len(table))
	for _, l := range have {
		if !slices.ContainsFunc(table, func(t flow.Label) bool { return t.Name == l.Name }) {
			out = append(out, l)
		}
	}
	out = append(out, table...)
	flow.SortLabels(out)
	return out
}
