package parse

import (
	"context"
	"fmt"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// canopusAvro reads Canopus records in Avro, by the schema that each was written with: from
// object container files, whose schema is their header, and from messages in single-object
// encoding and in Confluent's wire format, whose schemas the header declares, or which a registry
// has ([AvroHeader]).
//
// Fields are found by their names, or else by their aliases, wherever they stand; what has no
// place in the record is an extension: values inside of others as JSON, bytes in hexadecimal,
// times in RFC 3339. A null is absent. A field may have any type that tells its value:
//
//	timestamp             a string (RFC 3339); timestamp-millis, -micros or -nanos; date (its midnight, UTC);
//	                      a number since the epoch, whose unit follows from its size: of seconds,
//	                      milliseconds, microseconds and nanoseconds one alone lies in 2000 to 2099
//	client_ip, server_ip  a string; 4 or 16 bytes or fixed
//	counts                int or long; float or double without a fraction; a decimal; a string
//	round trips, losses   any number, a decimal, a string; time-micros is in its own unit
//	user_id and the like  a string, an enum, a number, bytes (in hexadecimal)
//
// The id is the hash of the fingerprint of the schema and of the datum's bytes: without the
// schema the same bytes could be another record. So it is the same in each framing. It is another
// than that of the same record as a line of JSON: a hash of what both say would be of interpreted
// values.
type canopusAvro struct {
	schemas *avroSchemas
	ext     extension.Block
	text    []byte // scratch
}

// isAvroMessage says whether data is of one of the two framings of messages. No JSON begins so.
func isAvroMessage(data string) bool {
	return avrodata.IsConfluent(data) || avrodata.IsSingleObject(data)
}

// find takes a message apart. The error is that of a message which can't be read.
func (s *avroSchemas) find(data string) (p *canopusPlan, datum string, err error) {
	if avrodata.IsSingleObject(data) {
		fingerprint, datum, err := avrodata.SingleObject(data)
		switch {
		case err != nil:
			return nil, "", err
		case s.err != nil:
			return nil, "", flow.Reject(flow.ReasonFormat, "header: %w", s.err)
		}
		if p = s.byFingerprint[fingerprint]; p == nil {
			return nil, "", flow.Reject(flow.ReasonSchema, "no schema of fingerprint %s is declared, and registries have them by their ids alone", avrodata.FingerprintText(fingerprint))
		}
		return p, datum, p.err
	}
	id, datum, err := avrodata.Confluent(data)
	switch {
	case err != nil:
		return nil, "", err
	case s.err != nil:
		return nil, "", flow.Reject(flow.ReasonFormat, "header: %w", s.err)
	}
	if p, err = s.ofID(id); err != nil {
		return nil, "", err
	}
	if p.err != nil {
		return nil, "", fmt.Errorf("schema id %d: %w", id, p.err)
	}
	return p, datum, nil
}

// ofID finds the plan of a registry's id.
func (s *avroSchemas) ofID(id int32) (*canopusPlan, error) {
	if p := s.byID[id]; p != nil {
		return p, nil
	}
	if s.registry == nil {
		return nil, flow.Reject(flow.ReasonSchema, "no schema of id %d is declared, and there is no registry", id)
	}
	known := s.registry.Known(id)
	switch {
	case known == nil:
		return nil, fmt.Errorf("schema id %d: %w", id, ErrNotPrepared)
	case known.Problem != "":
		return nil, flow.Reject(flow.ReasonSchema, "schema id %d: %s", id, known.Problem)
	}
	return known.Compiled(planOfRegistry).(*canopusPlan), nil
}

// prepareCanopus asks the header's registry for the schemas of messages that it was not asked for.
func prepareCanopus(ctx context.Context, header string, records []flow.Raw) error {
	if header == "" {
		return nil
	}
	s := avroSchemasOf(header)
	if s.registry == nil {
		return nil
	}
	last := int32(0)
	for i := range records {
		data := view(records[i].Data)
		if !avrodata.IsConfluent(data) || records[i].Oversize {
			continue
		}
		id, _, err := avrodata.Confluent(data)
		if err != nil || id == last || s.byID[id] != nil {
			continue
		}
		if _, err := s.registry.Schema(ctx, id); err != nil {
			return err
		}
		last = id
	}
	return nil
}

// decode reads a message.
func (d *canopusAvro) decode(data string, r *flow.Record) error {
	p, datum, err := d.schemas.find(data)
	if err != nil {
		return err
	}
	rd := avrodata.NewReader(datum)
	hasTime := false
	for i := range p.columns {
		c := &p.columns[i]
		n := c.node
		if n.Kind == avrodata.Union {
			if n = rd.Branch(n); n == nil {
				return d.broken(c, rd.Err())
			}
		}
		if n.Kind == avrodata.Null {
			continue
		}
		err := d.column(&rd, c, n, r)
		if e := rd.Err(); e != nil { // what was read then is nothing
			return d.broken(c, e)
		}
		if err != nil {
			d.ext.Drop()
			return err
		}
		hasTime = hasTime || c.to == canopusTime
	}
	if n := rd.Left(); n > 0 {
		d.ext.Drop()
		return flow.Reject(flow.ReasonSyntax, "%d bytes follow the record", n)
	}
	r.Extensions = d.ext.Take()
	r.ID = flow.NewIDText(canopusFormat, p.key, datum)
	return completeCanopus(r, hasTime)
}

func (d *canopusAvro) broken(c *canopusColumn, err error) error {
	d.ext.Drop()
	return flow.Reject(flow.ReasonOf(err, flow.ReasonSyntax), "%s: %w", c.name, err)
}

// column reads a value of a type that is no union and not null.
func (d *canopusAvro) column(rd *avrodata.Reader, c *canopusColumn, n *avrodata.Node, r *flow.Record) (err error) {
	if c.node.Kind == avrodata.Union && !canopusReads(c.to, n) {
		return flow.Reject(flow.ReasonField, "%s: want %s, have %s", c.name, canopusWants(c.to), n)
	}
	switch c.to {
	case canopusTime:
		r.EventTime, err = canopusAvroTime(rd, c.name, n)
	case canopusUser:
		r.UserID, err = d.string(rd, c.name, n)
	case canopusClient:
		r.Source.IP, err = d.address(rd, c.name, n)
	case canopusServer:
		r.Destination.IP, err = d.address(rd, c.name, n)
	case canopusDownload:
		r.Destination.Bytes, err = d.count(rd, c.name, n)
	case canopusUpload:
		r.Source.Bytes, err = d.count(rd, c.name, n)
	case canopusInternalRTT:
		r.RTTInternal, err = d.roundTrip(rd, c.name, n)
	case canopusExternalRTT:
		r.RTTExternal, err = d.roundTrip(rd, c.name, n)
	case canopusInternalLoss:
		r.LossInternal, err = d.ratio(rd, c.name, n)
	case canopusExternalLoss:
		r.LossExternal, err = d.ratio(rd, c.name, n)
	case canopusDataCenter:
		err = d.overrides(rd, c.name, n, &r.DataCenter)
	case canopusTenant:
		err = d.overrides(rd, c.name, n, &r.Tenant)
	default:
		err = d.extension(rd, c.name, n)
	}
	return err
}

// extension keeps a value for which the record has no field.
func (d *canopusAvro) extension(rd *avrodata.Reader, name string, n *avrodata.Node) error {
	e := flow.Extension{Name: name}
	if n.Kind == avrodata.String {
		var err error
		if e.Text, err = d.string(rd, name, n); err == nil {
			d.ext.Add(e)
		}
		return err
	}
	var kind avrodata.Text
	d.text, kind = rd.AppendText(d.text[:0], n)
	switch kind {
	case avrodata.TextNull:
		return nil
	case avrodata.TextInteger:
		e.Kind = flow.ExtInt
	case avrodata.TextNumber:
		e.Kind = flow.ExtFloat
	case avrodata.TextBoolean:
		e.Kind = flow.ExtBool
	}
	e.Text = d.ext.String(d.text)
	d.ext.Add(e)
	return nil
}

// canopusAvroTimestamp reads no more of a message than what is before its timestamp.
func canopusAvroTimestamp(header, data string) (flow.Time, bool) {
	p, datum, err := avroSchemasOf(header).find(data)
	if err != nil {
		return 0, false
	}
	rd := avrodata.NewReader(datum)
	for i := range p.time {
		rd.Skip(p.columns[i].node)
	}
	c := &p.columns[p.time]
	n := c.node
	if n.Kind == avrodata.Union {
		if n = rd.Branch(n); n == nil {
			return 0, false
		}
	}
	if !canopusReads(canopusTime, n) {
		return 0, false
	}
	t, err := canopusAvroTime(&rd, c.name, n)
	return t, err == nil && rd.Err() == nil && t != 0
}
