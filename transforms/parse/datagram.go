package parse

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
	"github.com/flowbeam/flowbeam/internal/netflow"
	"github.com/flowbeam/flowbeam/internal/sflow"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "datagram",
			Detect:    detectDatagrams,
			Header:    captureHeader,
			Split:     splitCapture,
			Learn:     func(header string) (flow.Learner, error) { return newCapture(header) },
			Follow:    func(rewind time.Duration) flow.Follower { return newFollower(rewind) },
			Timestamp: datagramTimestamp,
		},
		NewUnit: func(string) (UnitDecoder, error) { return newDatagramDecoder(), nil },
	})
}

// datagramDecoder reads datagrams of NetFlow v5 and v9, IPFIX and sFlow v5: a unit is one, bare or
// in the envelope of a collector, which says when it came and from which exporter. The format
// of its records is netflow5, netflow9, ipfix or sflow.
//
// Each datagram is read alone, so its templates have to be in it: collectors attach them, and the
// file source does so for files. A data set without its template becomes a dead letter of
// reason "template". Of a bare datagram the exporter's address is absent, and the time that
// it came is that of its message or file.
//
// How fields map is said in internal/netflow and internal/sflow. The id is made of the exporter,
// the domain, export time and sequence number of the header, the record's place and its
// bytes; templates that were attached change none.
//
// Source: RFC 3954 (NetFlow v9), RFC 7011 (IPFIX), https://sflow.org/sflow_version_5.txt
type datagramDecoder struct {
	netflow *netflow.Session
	flows   netflow.Output
	sflow   *sflow.Session
	samples sflow.Output
	data    string // of the last unit, without a selection
}

func newDatagramDecoder() *datagramDecoder {
	return &datagramDecoder{netflow: netflow.NewSession(flow.IP{}, netflow.Config{}), sflow: sflow.NewSession(flow.IP{})}
}

// A selection is a datagram of which one record alone is meant: the dead letter of a record that a
// Step refused. It is replayed with the id that it had, which follows from the whole datagram.
const (
	selection     = "\xFB\x02"
	selectionSize = len(selection) + 2
)

func (d *datagramDecoder) DecodeUnit(data string, u *Unit) error {
	if data == "" {
		return nil
	}
	only := -1
	if strings.HasPrefix(data, selection) && len(data) >= selectionSize {
		only = int(data[2])<<8 | int(data[3])
		data = data[selectionSize:]
	}
	d.data = data
	from, received, payload, ok := datagram.OpenEnvelope(unsafe.Slice(unsafe.StringData(data), len(data)))
	if !ok {
		return flow.Reject(flow.ReasonSyntax, "envelope: it is cut off, or of a version that this program does not know")
	}
	if received == 0 {
		received = u.raw.Time
	}
	var exporter flow.IP
	if a := from.Addr(); a.IsValid() {
		exporter = flow.IPOf(a)
	}
	in := datagram.Datagram{Data: payload, Received: received, Position: u.at, DataCenter: u.origin.DataCenter, Tenant: u.origin.Tenant}
	if u.raw.DataCenter != "" {
		in.DataCenter = u.raw.DataCenter
	}
	records, expired, err := d.decode(exporter, in)
	if err != nil {
		return err
	}
	if only >= len(records) {
		return flow.Reject(flow.ReasonSyntax, "selection: record %d of a datagram of %d", only, len(records))
	}
	for i := range records {
		if only >= 0 && only != i {
			continue
		}
		r := u.Next()
		at := r.Position
		*r = records[i]
		r.Position = at
	}
	if only >= 0 {
		d.data = selectionOf(only, data)
		return nil
	}
	for _, e := range expired {
		part := e.Data
		if from.IsValid() || received != u.raw.Time {
			part = datagram.AppendEnvelope(nil, from, received, e.Data)
		}
		u.Refuse(string(part), e.Err)
	}
	return nil
}

func (d *datagramDecoder) decode(exporter flow.IP, in datagram.Datagram) ([]flow.Record, []netflow.Expired, error) {
	if sflow.IsDatagram(in.Data) {
		d.samples.Records = d.samples.Records[:0]
		d.sflow.Reset(exporter)
		err := d.sflow.Decode(in, &d.samples)
		return d.samples.Records, nil, err
	}
	d.flows.Records, d.flows.Expired = d.flows.Records[:0], d.flows.Expired[:0]
	d.netflow.Reset(exporter)
	if err := d.netflow.Decode(in, &d.flows); err != nil {
		return nil, nil, err
	}
	d.netflow.Close(&d.flows)
	return d.flows.Records, d.flows.Expired, nil
}

// Part is the datagram, with which of its records is meant.
func (d *datagramDecoder) Part(i int) string {
	if strings.HasPrefix(d.data, selection) {
		return d.data
	}
	return selectionOf(i, d.data)
}

func selectionOf(i int, data string) string {
	return selection + string([]byte{byte(i >> 8), byte(i)}) + data
}

// isDatagram says whether b begins as one of the formats, or as an envelope of one.
func isDatagram(b []byte) bool {
	_, _, b, ok := datagram.OpenEnvelope(b)
	if !ok {
		return false
	}
	if sflow.IsDatagram(b) {
		return true
	}
	switch netflow.Version(b) {
	case netflow.V5:
		return len(b) >= 24 && len(b) >= 24+48*min(1, int(binary.BigEndian.Uint16(b[2:])))
	case netflow.V9:
		return len(b) >= 24
	case netflow.IPFIX:
		return len(b) >= 16 && int(binary.BigEndian.Uint16(b[2:])) >= 16
	}
	return false
}

// detectDatagrams knows a datagram, and a file of datagrams by its first one.
func detectDatagrams(head []byte) int {
	switch {
	case strings.HasPrefix(view(head), selection) && len(head) > selectionSize && isDatagram(head[selectionSize:]):
		return 90
	case isDatagram(head):
		return 80
	}
	c, err := newCapture(string(head[:captureHeader(head)]))
	if err != nil {
		return 0
	}
	// The first datagrams of a file: one that is of no known format may be among them.
	score := 0
	s := splitCapture(head[len(c.header):])
	if s == nil {
		return 0
	}
	in := flow.RawBatch{}
	units(s, head[len(c.header):], func(unit []byte) bool {
		in.Records = append(in.Records, flow.Raw{Data: unit})
		return len(in.Records) < 64
	})
	for _, r := range in.Records {
		c.Next(r, func(out flow.Raw) {
			if isDatagram(out.Data) {
				score = 85
			}
		})
	}
	c.End(func(out flow.Raw) {
		if isDatagram(out.Data) {
			score = 85
		}
	})
	return score
}

// units cuts b by a splitter, until each says that it has seen enough.
func units(s flow.Splitter, b []byte, each func(unit []byte) (more bool)) {
	start, begin := 0, -1
	for start < len(b) {
		n, at := s.Scan(b[start:])
		start += n
		switch at {
		case flow.SplitBegin:
			begin = start
		case flow.SplitEnd:
			if !each(b[begin:start]) {
				return
			}
			begin = -1
		case flow.SplitMore:
			if n == 0 {
				return
			}
		}
	}
}

var timestampDecoders = sync.Pool{New: func() any { return newDatagramDecoder() }}

// datagramTimestamp is the earliest event time of a datagram's records. It decodes them: where a
// flow ended is said by its template.
func datagramTimestamp(_ string, data []byte) (flow.Time, bool) {
	if strings.HasPrefix(view(data), selection) && len(data) >= selectionSize {
		data = data[selectionSize:]
	}
	from, received, payload, ok := datagram.OpenEnvelope(data)
	if !ok || len(payload) == 0 {
		return 0, false
	}
	var exporter flow.IP
	if a := from.Addr(); a.IsValid() {
		exporter = flow.IPOf(a)
	}
	d := timestampDecoders.Get().(*datagramDecoder)
	defer timestampDecoders.Put(d)
	records, _, err := d.decode(exporter, datagram.Datagram{Data: slices.Clone(payload), Received: received})
	if err != nil {
		return 0, false
	}
	var earliest flow.Time
	for i := range records {
		if t := records[i].EventTime; t != 0 && (earliest == 0 || t < earliest) {
			earliest = t
		}
	}
	return earliest, earliest != 0
}
