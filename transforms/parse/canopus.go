package parse

import (
	"unsafe"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      canopusFormat,
			Detect:    detectCanopus,
			Open:      openCanopusAvro,
			Prepare:   prepareCanopus,
			Timestamp: canopusTimestamp,
		},
		New: func(header string) (Decoder, error) { return &canopusDecoder{header: header}, nil },
	})
}

const canopusFormat = "canopus"

// canopusDecoder reads the records of a subscriber probe, one JSON object each, or in Avro (see
// [canopusAvro]). The client is the source side, so that upload_bytes are the source's and download_bytes the
// destination's; internal_rtt and internal_loss are the source's side of the probe.
//
// timestamp, client_ip and server_ip have to be there. A counter, round trip or loss that
// is missing or null is absent, not zero. Round trips are milliseconds, losses ratios from
// 0 to 1. data_center and tenant are read where a probe adds them; other members are kept
// as extensions. The id of a line is the hash of the whole line.
type canopusDecoder struct {
	header string
	object jsonObject
	ext    extension.List
	avro   *canopusAvro // made with the first record in Avro
}

func (d *canopusDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	if isAvroMessage(data) {
		if d.avro == nil {
			d.avro = &canopusAvro{schemas: avroSchemasOf(d.header)}
		}
		return Parsed, d.avro.decode(data, r)
	}
	s := trim(data)
	if s == "" {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	hasTime := false
	for i := range d.object.members {
		m := &d.object.members[i]
		var err error
		if m.kind == 'n' {
			continue // null is absent
		}
		switch m.name {
		case "timestamp":
			if err = m.wantString(); err == nil {
				hasTime = true
				r.EventTime, err = timestamp(m.name, m.text)
			}
		case "user_id":
			if err = m.wantString(); err == nil {
				r.UserID = m.text
			}
		case "client_ip":
			if err = m.wantString(); err == nil {
				r.Source.IP, err = address(m.name, m.text)
			}
		case "server_ip":
			if err = m.wantString(); err == nil {
				r.Destination.IP, err = address(m.name, m.text)
			}
		case "download_bytes":
			if err = m.wantNumber(); err == nil {
				err = setCount(&r.Destination.Bytes, m.name, m.text)
			}
		case "upload_bytes":
			if err = m.wantNumber(); err == nil {
				err = setCount(&r.Source.Bytes, m.name, m.text)
			}
		case "internal_rtt":
			r.RTTInternal, err = m.roundTrip()
		case "external_rtt":
			r.RTTExternal, err = m.roundTrip()
		case "internal_loss":
			if err = m.wantNumber(); err == nil {
				r.LossInternal, err = ratio(m.name, m.text)
			}
		case "external_loss":
			if err = m.wantNumber(); err == nil {
				r.LossExternal, err = ratio(m.name, m.text)
			}
		case "data_center":
			if err = m.wantString(); err == nil && m.text != "" {
				r.DataCenter = m.text
			}
		case "tenant":
			if err = m.wantString(); err == nil && m.text != "" {
				r.Tenant = m.text
			}
		default:
			m.keep(&d.ext)
		}
		if err != nil {
			d.ext.Drop()
			return Parsed, err
		}
	}
	r.Extensions = d.ext.Take()
	return Parsed, completeCanopus(r, hasTime)
}

// completeCanopus ends a record of either form.
func completeCanopus(r *flow.Record, hasTime bool) error {
	switch {
	case !hasTime:
		return missing("timestamp")
	case !r.Source.IP.OK():
		return missing("client_ip")
	case !r.Destination.IP.OK():
		return missing("server_ip")
	}
	r.CounterSemantics = "delta"
	return nil
}

func (m *jsonMember) roundTrip() (flow.Int, error) {
	if err := m.wantNumber(); err != nil {
		return flow.Int{}, err
	}
	ns, err := nanoseconds(m.name, m.text, milliseconds)
	if err != nil {
		return flow.Int{}, err
	}
	return flow.N(ns), nil
}

func detectCanopus(head []byte) int {
	switch {
	case looksLikeJSON(head, "client_ip", "server_ip"):
		return 90
	case looksLikeJSON(head, "timestamp", "internal_rtt"):
		return 60
	}
	return detectCanopusAvro(head)
}

func canopusTimestamp(header string, data []byte) (flow.Time, bool) {
	if isAvroMessage(view(data)) {
		return canopusAvroTimestamp(header, view(data))
	}
	m, ok := findMember(view(data), "timestamp")
	if !ok || m.kind != '"' {
		return 0, false
	}
	t, ok, inRange := rfc3339(m.text)
	return t, ok && inRange
}

// view is b as a string without a copy, for functions that keep nothing of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
