package parse

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
	"github.com/flowbeam/flowbeam/internal/extension"
	"github.com/flowbeam/flowbeam/internal/schemaregistry"
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

// canopusField is where a value goes.
type canopusField uint8

const (
	canopusExtension canopusField = iota
	canopusTime
	canopusUser
	canopusClient
	canopusServer
	canopusDownload
	canopusUpload
	canopusInternalRTT
	canopusExternalRTT
	canopusInternalLoss
	canopusExternalLoss
	canopusDataCenter
	canopusTenant
)

var canopusFields = map[string]canopusField{
	"timestamp": canopusTime, "user_id": canopusUser, "client_ip": canopusClient, "server_ip": canopusServer,
	"download_bytes": canopusDownload, "upload_bytes": canopusUpload,
	"internal_rtt": canopusInternalRTT, "external_rtt": canopusExternalRTT,
	"internal_loss": canopusInternalLoss, "external_loss": canopusExternalLoss,
	"data_center": canopusDataCenter, "tenant": canopusTenant,
}

// canopusPlan is what is done with each field of a schema, in their order.
type canopusPlan struct {
	columns []canopusColumn
	time    int    // which of them is the timestamp
	key     string // the fingerprint as it is in single-object encoding: a part of ids
	err     error  // why no record of the schema can be read
}

type canopusColumn struct {
	name string // as the schema has it
	to   canopusField
	node *avrodata.Node
}

// newCanopusPlan compiles a schema. Where two fields have one name of ours, the one whose own
// name it is has it, and then the first.
func newCanopusPlan(s *avrodata.Schema) *canopusPlan {
	p := &canopusPlan{time: -1, key: string(binary.LittleEndian.AppendUint64(nil, s.Fingerprint))}
	refuse := func(format string, args ...any) *canopusPlan {
		name := "of a " + s.Root.String()
		if s.Root.Name != "" {
			name = s.Root.Name
		}
		p.err = flow.Reject(flow.ReasonSchema, "schema %s, fingerprint %s: "+format, append([]any{quoted(name), avrodata.FingerprintText(s.Fingerprint)}, args...)...)
		return p
	}
	if s.Root.Kind != avrodata.Record {
		return refuse("want a record")
	}
	taken := map[canopusField]bool{}
	for _, f := range s.Root.Fields {
		if to := canopusFields[f.Name]; to != canopusExtension {
			taken[to] = true
		}
	}
	for i, f := range s.Root.Fields {
		to := canopusFields[f.Name]
		for _, a := range f.Aliases {
			if alias := canopusFields[a]; to == canopusExtension && alias != canopusExtension && !taken[alias] {
				to = alias
				taken[to] = true
			}
		}
		if to == canopusTime {
			p.time = i
		}
		if !canopusReads(to, f.Node) {
			return refuse("field %s: it is %s: want %s", f.Name, f.Node, canopusWants(to))
		}
		p.columns = append(p.columns, canopusColumn{f.Name, to, f.Node})
	}
	for _, name := range [...]string{"timestamp", "client_ip", "server_ip"} {
		if !taken[canopusFields[name]] {
			return refuse("field %s: missing", name)
		}
	}
	return p
}

// canopusReads says whether a value of the type can be read as the field. Of a union one branch
// is enough: a value of another is refused when it comes.
func canopusReads(to canopusField, n *avrodata.Node) bool {
	if to == canopusExtension {
		return true
	}
	number := n.Kind >= avrodata.Int && n.Kind <= avrodata.Double && n.Logical == avrodata.None
	switch n.Kind {
	case avrodata.Null:
		return to != canopusTime && to != canopusClient && to != canopusServer
	case avrodata.Union:
		null := false
		for _, b := range n.Branches {
			if b.Kind == avrodata.Null {
				null = true
			} else if canopusReads(to, b) {
				return true
			}
		}
		return null && len(n.Branches) == 1 && canopusReads(to, n.Branches[0])
	}
	switch to {
	case canopusTime:
		switch n.Logical {
		case avrodata.Date, avrodata.TimestampMillis, avrodata.TimestampMicros, avrodata.TimestampNanos:
			return true
		}
		return number || n.Kind == avrodata.String && n.Logical == avrodata.None
	case canopusClient, canopusServer:
		return n.Logical == avrodata.None && (n.Kind == avrodata.String || n.Kind == avrodata.Bytes || n.Kind == avrodata.Fixed && (n.Size == 4 || n.Size == 16))
	case canopusUser, canopusDataCenter, canopusTenant:
		return n.Kind >= avrodata.Int && n.Kind <= avrodata.Enum
	case canopusInternalRTT, canopusExternalRTT:
		if n.Logical == avrodata.TimeMillis || n.Logical == avrodata.TimeMicros {
			return true
		}
	}
	return number || n.Logical == avrodata.Decimal || n.Kind == avrodata.String && n.Logical == avrodata.None
}

func canopusWants(to canopusField) string {
	switch to {
	case canopusTime:
		return "a string, a timestamp, a date or a number"
	case canopusClient, canopusServer:
		return "a string, bytes or a fixed of 4 or 16 bytes"
	case canopusUser, canopusDataCenter, canopusTenant:
		return "a string, an enum, a number or bytes"
	}
	return "a number or a string"
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
			return nil, "", flow.Reject(flow.ReasonSchema, "no schema of fingerprint %s is declared", avrodata.FingerprintText(fingerprint))
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

func planOfRegistry(s *schemaregistry.Schema) any {
	schema, err := avrodata.Parse(s.Text, s.References...)
	if err != nil {
		return &canopusPlan{err: flow.Reject(flow.ReasonSchema, "%w", err)}
	}
	return newCanopusPlan(schema)
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

// string reads text: a string is a part of the message.
func (d *canopusAvro) string(rd *avrodata.Reader, name string, n *avrodata.Node) (string, error) {
	if n.Kind != avrodata.String {
		d.text, _ = rd.AppendText(d.text[:0], n)
		return d.ext.String(d.text), nil
	}
	s := rd.Bytes()
	if !utf8.ValidString(s) {
		return "", flow.Reject(flow.ReasonEncoding, "%s: not UTF-8", name)
	}
	return s, nil
}

// overrides reads what the source says too, where the record says it.
func (d *canopusAvro) overrides(rd *avrodata.Reader, name string, n *avrodata.Node, to *string) error {
	s, err := d.string(rd, name, n)
	if s != "" {
		*to = s
	}
	return err
}

func (d *canopusAvro) address(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.IP, error) {
	switch n.Kind {
	case avrodata.String:
		return address(name, rd.Bytes())
	case avrodata.Fixed:
		return rawAddress(name, rd.Take(n.Size))
	}
	return rawAddress(name, rd.Bytes())
}

// number reads a value as the text that JSON has of it, valid until the next call.
func (d *canopusAvro) number(rd *avrodata.Reader, n *avrodata.Node) string {
	switch n.Kind {
	case avrodata.Int, avrodata.Long:
		d.text = strconv.AppendInt(d.text[:0], rd.Integer(n), 10)
	case avrodata.Float:
		d.text = strconv.AppendFloat(d.text[:0], float64(rd.Float()), 'f', -1, 32)
	case avrodata.Double:
		d.text = strconv.AppendFloat(d.text[:0], rd.Double(), 'f', -1, 64)
	case avrodata.String:
		return rd.Bytes()
	default: // a decimal
		d.text, _ = rd.AppendText(d.text[:0], n)
	}
	return view(d.text)
}

func (d *canopusAvro) count(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Int, error) {
	if n.Kind == avrodata.Long || n.Kind == avrodata.Int {
		v := rd.Integer(n)
		if v >= 0 {
			return flow.N(v), nil
		}
		return count(name, strconv.FormatInt(v, 10))
	}
	text := d.number(rd, n)
	if n.Logical == avrodata.Decimal { // 3.00 is an integer
		if whole, fraction, ok := strings.Cut(text, "."); ok && strings.Trim(fraction, "0") == "" {
			text = whole
		}
	}
	return count(name, text)
}

// maxExact bounds the numbers for which a double's product with a million is nearer to the
// decimal's than a hundredth.
const maxExact = 1 << 43

func (d *canopusAvro) roundTrip(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Int, error) {
	scale := milliseconds
	switch {
	case n.Logical == avrodata.TimeMicros:
		scale = microseconds
	case n.Kind == avrodata.Double:
		v := rd.Double()
		// What a double says is the shortest decimal that reads as it. Its product with a million is so
		// near to the double's that both have the same nearest integer, but near to a half.
		ns := v * 1e6
		if whole := math.Floor(ns + 0.5); v >= 0 && ns < maxExact && math.Abs(ns-whole) < 0.49 {
			return flow.N(int64(whole)), nil
		}
		return roundTrip(name, strconv.FormatFloat(v, 'f', -1, 64), scale)
	}
	return roundTrip(name, d.number(rd, n), scale)
}

func roundTrip(name, text string, scale int) (flow.Int, error) {
	ns, err := nanoseconds(name, text, scale)
	if err != nil {
		return flow.Int{}, err
	}
	return flow.N(ns), nil
}

func (d *canopusAvro) ratio(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Float, error) {
	if n.Kind == avrodata.Double {
		v := rd.Double()
		if f, ok := ratioOf(v); ok {
			return f, nil
		}
		return ratio(name, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return ratio(name, d.number(rd, n))
}

// canopusAvroTime reads the event time.
func canopusAvroTime(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Time, error) {
	if n.Kind == avrodata.String {
		return timestamp(name, rd.Bytes())
	}
	if n.Kind == avrodata.Float || n.Kind == avrodata.Double {
		var v float64
		bits := 64
		if n.Kind == avrodata.Float {
			v, bits = float64(rd.Float()), 32
		} else {
			v = rd.Double()
		}
		text := strconv.FormatFloat(v, 'f', -1, bits)
		scale, ok := epochScale(v)
		if !ok {
			return 0, noEpoch(name, text)
		}
		ns, err := nanoseconds(name, text, scale)
		return flow.Time(ns), err
	}
	v := rd.Integer(n)
	unit := int64(1)
	switch n.Logical {
	case avrodata.Date:
		unit = 86400 * 1e9
	case avrodata.TimestampMillis:
		unit = 1e6
	case avrodata.TimestampMicros:
		unit = 1e3
	case avrodata.TimestampNanos:
	default:
		scale, ok := epochScale(float64(v))
		if !ok {
			return 0, noEpoch(name, strconv.FormatInt(v, 10))
		}
		unit = int64(pow10[scale])
	}
	if v > math.MaxInt64/unit || v < math.MinInt64/unit {
		return 0, beyondYears(name, strconv.FormatInt(v, 10))
	}
	return flow.Time(v * unit), nil
}

// epochScale tells the unit of a number since the epoch, as the scale of [nanoseconds], where it is a time
// of the years 2000 to 2099 in one: in no other is it one as well.
func epochScale(v float64) (scale int, ok bool) {
	const from, to = 946_684_800, 4_102_444_800 // seconds
	unit := 1.0
	for scale = seconds; scale >= 0; scale -= 3 {
		if v >= from*unit && v < to*unit {
			return scale, true
		}
		unit *= 1000
	}
	return 0, false
}

func noEpoch(name, text string) error {
	return flow.Reject(flow.ReasonValue, "%s: %s is no time of the years 2000 to 2099, in seconds, milliseconds, microseconds or nanoseconds", name, quoted(text))
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

// detectCanopusAvro knows object container files by the names in their schema, which may be
// another's, and messages in single-object encoding, which can be of no other format. One in
// Confluent's wire format begins like many a datagram: its format has to be declared.
func detectCanopusAvro(head []byte) int {
	has := func(name string) bool { return strings.Contains(view(head), strconv.Quote(name)) }
	switch {
	case avrodata.IsContainer(head) && has("client_ip") && has("server_ip"):
		return 90
	case avrodata.IsContainer(head) && has("timestamp") && has("internal_rtt"):
		return 60
	case avrodata.IsSingleObject(view(head)) && len(head) > 10:
		return 30
	}
	return 0
}

// canopusContainer gives the records of an object container file as messages in single-object
// encoding. Its header is the file's schema, so that each is read by it alone.
type canopusContainer struct {
	*avrodata.Container
	message []byte
}

func openCanopusAvro(head []byte, r io.ReaderAt, size int64) (flow.Container, error) {
	if !avrodata.IsContainer(head) {
		return nil, nil
	}
	c, err := avrodata.OpenContainer(r, size)
	if err != nil {
		return nil, err
	}
	return &canopusContainer{Container: c}, nil
}

func (c *canopusContainer) Header() string { return c.SchemaText() }

func (c *canopusContainer) Next() ([]byte, error) {
	datum, err := c.Container.Next()
	if err != nil {
		return nil, err
	}
	c.message = avrodata.AppendSingleObject(c.message[:0], c.Schema().Fingerprint, view(datum))
	return c.message, nil
}
