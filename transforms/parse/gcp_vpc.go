package parse

import (
	"strings"

	"golang.org/x/text/language"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "gcp_vpc",
			Detect:    detectGCP,
			Timestamp: gcpTimestamp,
		},
		New: func(string) (Decoder, error) { return &gcpDecoder{}, nil },
	})
}

// gcpDecoder reads Google Cloud VPC Flow Logs: one LogEntry as JSON each, as a logging sink
// writes them to Cloud Storage and as it sends them to Pub/Sub.
//
// A record is what one side saw of one direction: bytes_sent and packets_sent are the
// source's, there is no reverse. Bytes are payload, and only some packets were sampled: the
// record doesn't say how many. Event time is end_time. The LogEntry's timestamp is the
// observed time.
//
// reporter says which side saw it. SRC and SRC_GATEWAY saw it leave (direction egress), DEST
// and DEST_GATEWAY come in (ingress). The exporter is that side's instance or gateway, named
// as Google names resources: two instances report one flow between them twice, and
// dedupe.Observations tells these two by it. The cloud_ columns are the reporter's as well.
// The round trip is from the reporter to the other side: rtt_external_ns where the source
// reports, rtt_internal_ns where the destination does.
//
// Countries are three letters there and two in the record. Of continents, America is none of
// the record's two-letter ones, and stays an extension. Members that the record has no field
// for are extensions, named by their path below jsonPayload ("src_gke_details.pod.pod_name");
// those of the LogEntry by their path in it ("resource.labels.subnetwork_id").
//
// The id is made of logName, timestamp and insertId, which is the same in each delivery of
// one entry; the time at which Logging received it is not. Where one of them is missing it is
// the hash of the whole entry.
//
// Source: https://cloud.google.com/vpc/docs/about-flow-logs-records,
// https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
type gcpDecoder struct {
	object    jsonObject
	ext       extension.List
	reporters map[gcpReporter]string
	last      gcpReporter // of reporters
	lastName  string
}

func (d *gcpDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	s := trim(data)
	if s == "" {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	if err := d.record(r); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

// gcpRow collects what only together makes sense.
type gcpRow struct {
	r           *flow.Record
	src, dest   gcpSide
	labels      gcpSide // of the resource
	reportsSrc  bool
	reportsDest bool
	// identity
	logName, timestamp, insertID string
}

// gcpSide is where one side stands.
type gcpSide struct {
	project, region, zone, vm string // of the instance
	network, sub              string
	gateway                   gcpReporter
}

// gcpReporter is what names an exporter.
type gcpReporter struct{ project, place, kind, name string }

func (d *gcpDecoder) record(r *flow.Record) error {
	o := &d.object
	payload, err := needed(o.members, "jsonPayload", "jsonPayload", '{', "an object")
	if err != nil {
		return err
	}
	in := o.of(payload)
	connection, err := needed(in, "connection", "connection", '{', "an object")
	if err != nil {
		return err
	}
	g := gcpRow{r: r}
	if err := g.reporter(in, &d.ext); err != nil {
		return err
	}
	for i := range o.members {
		if m := &o.members[i]; m != payload && m.kind != 'n' {
			if err := d.entry(&g, m); err != nil {
				return err
			}
		}
	}
	for i := range in {
		switch m := &in[i]; {
		case m == connection:
			err = d.connection(&g, m)
		case m.kind != 'n':
			err = d.payload(&g, m)
		}
		if err != nil {
			return err
		}
	}
	return d.finish(&g)
}

// payloadPath is left out of the names of extensions.
const payloadPath = len("jsonPayload.")

// reporter reads which side reports: the rest is read by that.
func (g *gcpRow) reporter(payload []jsonMember, ext *extension.List) error {
	m := present(payload, "reporter")
	if m == nil {
		return nil
	}
	if err := m.wantString(); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(m.text, "SRC"):
		g.reportsSrc, g.r.Direction = true, "egress"
	case strings.HasPrefix(m.text, "DEST"):
		g.reportsDest, g.r.Direction = true, "ingress"
	}
	ext.Add(flow.Ext("reporter", m.text))
	return nil
}

// entry reads a member of the LogEntry other than its payload.
func (d *gcpDecoder) entry(g *gcpRow, m *jsonMember) (err error) {
	switch m.name {
	case "logName":
		g.logName = m.text
	case "insertId":
		g.insertID = m.text
	case "timestamp":
		if err := m.wantString(); err != nil {
			return err
		}
		g.timestamp = m.text
		g.r.Observed, err = timestamp(m.name, m.text)
		return err
	case "resource":
		if labels := present(d.object.of(m), "labels"); labels != nil {
			in := d.object.of(labels)
			for i := range in {
				switch l := &in[i]; l.name {
				case "project_id":
					g.labels.project = l.text
				case "subnetwork_name":
					g.labels.sub = l.text
				case "location":
					g.labels.zone = l.text
				}
			}
		}
	}
	d.object.keep(m, 0, &d.ext)
	return nil
}

func (d *gcpDecoder) connection(g *gcpRow, connection *jsonMember) error {
	r, in := g.r, d.object.of(connection)
	for i := range in {
		m := &in[i]
		if m.kind == 'n' {
			continue
		}
		var err error
		switch m.name {
		case "src_ip":
			err = setAddress(&r.Source.IP, m.name, m.text)
		case "dest_ip":
			err = setAddress(&r.Destination.IP, m.name, m.text)
		case "src_port":
			err = setPort(&r.Source.Port, m.name, m.text)
		case "dest_port":
			err = setPort(&r.Destination.Port, m.name, m.text)
		case "protocol":
			err = setInteger(&r.Protocol, m.name, m.text, 255)
		default:
			d.object.keep(m, payloadPath, &d.ext)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *gcpDecoder) payload(g *gcpRow, m *jsonMember) (err error) {
	r := g.r
	switch m.name {
	case "reporter":
	case "bytes_sent":
		err = setCount(&r.Source.Bytes, m.name, m.text)
	case "packets_sent":
		err = setCount(&r.Source.Packets, m.name, m.text)
	case "rtt_msec":
		var ns int64
		ns, err = nanoseconds(m.name, m.text, milliseconds)
		switch {
		case g.reportsSrc:
			r.RTTExternal = flow.N(ns)
		case g.reportsDest:
			r.RTTInternal = flow.N(ns)
		default:
			d.object.keep(m, payloadPath, &d.ext)
		}
	case "start_time":
		r.Start, err = gcpTime(m)
	case "end_time":
		r.End, err = gcpTime(m)
	case "src_instance":
		d.instance(m, &g.src, &r.Source, g.reportsSrc)
	case "dest_instance":
		d.instance(m, &g.dest, &r.Destination, g.reportsDest)
	case "src_vpc":
		d.vpc(m, &g.src, &r.Source, g.reportsSrc)
	case "dest_vpc":
		d.vpc(m, &g.dest, &r.Destination, g.reportsDest)
	case "src_location":
		err = d.location(m, &r.Source)
	case "dest_location":
		err = d.location(m, &r.Destination)
	case "src_google_service":
		d.service(m, &r.Source)
	case "dest_google_service":
		d.service(m, &r.Destination)
	case "src_gateway":
		d.gateway(m, &g.src)
	case "dest_gateway":
		d.gateway(m, &g.dest)
	default:
		d.object.keep(m, payloadPath, &d.ext)
	}
	return err
}

func gcpTime(m *jsonMember) (flow.Time, error) {
	if err := m.wantString(); err != nil {
		return 0, err
	}
	return timestamp(m.name, m.text)
}

// each calls set with the members of an object that are strings or numbers, and keeps those
// that it does not take, and all that is nested.
func (d *gcpDecoder) each(object *jsonMember, set func(m *jsonMember) (taken bool)) {
	if object.kind != '{' {
		d.object.keep(object, payloadPath, &d.ext)
		return
	}
	in := d.object.of(object)
	for i := range in {
		m := &in[i]
		if (m.kind == '"' || m.kind == '0') && set(m) {
			continue
		}
		d.object.keep(m, payloadPath, &d.ext)
	}
}

// instance reads a side's VM. The reporter's place is the record's: the other's has no field.
func (d *gcpDecoder) instance(object *jsonMember, side *gcpSide, e *flow.Endpoint, reports bool) {
	d.each(object, func(m *jsonMember) bool {
		switch m.name {
		case "project_id":
			side.project = m.text
		case "region":
			side.region = m.text
		case "zone":
			side.zone = m.text
		case "vm_name":
			side.vm, e.CloudName = m.text, m.text
			return true
		default:
			return false
		}
		return reports
	})
}

func (d *gcpDecoder) vpc(object *jsonMember, side *gcpSide, e *flow.Endpoint, reports bool) {
	d.each(object, func(m *jsonMember) bool {
		switch m.name {
		case "vpc_name":
			side.network, e.CloudNetwork = m.text, m.text
			return true
		case "subnetwork_name":
			side.sub = m.text
			return reports
		}
		return false // a shared VPC is of another project than the instance
	})
}

func (d *gcpDecoder) location(object *jsonMember, e *flow.Endpoint) (err error) {
	d.each(object, func(m *jsonMember) bool {
		switch m.name {
		case "asn":
			var asn flow.Int
			if asn, err = integer("asn", m.text, 1<<32-1); err != nil {
				return false
			}
			e.ASN = asn
		case "country":
			e.Geo.Country = country(m.text)
			return e.Geo.Country != ""
		case "continent":
			e.Geo.Continent = gcpContinents[m.text]
			return e.Geo.Continent != ""
		case "region":
			e.Geo.Region = m.text
		case "city":
			e.Geo.City = m.text
		default:
			return false
		}
		return true
	})
	return err
}

// gcpContinents are those that have a two-letter code. America is two of them.
var gcpContinents = map[string]string{"Africa": "AF", "Antarctica": "AN", "Asia": "AS", "Europe": "EU", "Oceania": "OC"}

// country is the two-letter code of ISO 3166-1 for that of three letters in any case, ""
// where it is none.
func country(alpha3 string) string {
	if code, ok := countries[alpha3]; ok {
		return code
	}
	return ""
}

// countries has each three-letter code in lower and in upper case.
var countries = func() map[string]string {
	m := make(map[string]string, 600)
	for a := byte('A'); a <= 'Z'; a++ {
		for b := byte('A'); b <= 'Z'; b++ {
			region, err := language.ParseRegion(string([]byte{a, b}))
			if err != nil || !region.IsCountry() || region.Canonicalize() != region {
				continue
			}
			if code := region.ISO3(); code != "ZZZ" {
				m[code], m[strings.ToLower(code)] = region.String(), region.String()
			}
		}
	}
	return m
}()

func (d *gcpDecoder) service(object *jsonMember, e *flow.Endpoint) {
	d.each(object, func(m *jsonMember) bool {
		if m.name != "service_name" {
			return false
		}
		e.CloudService = m.text
		return true
	})
}

// gateway keeps all of it as extensions: the exporter's name is not for taking apart again.
func (d *gcpDecoder) gateway(object *jsonMember, side *gcpSide) {
	d.each(object, func(m *jsonMember) bool {
		switch m.name {
		case "project_id":
			side.gateway.project = m.text
		case "location":
			side.gateway.place = m.text
		case "type":
			side.gateway.kind = m.text
		case "name":
			side.gateway.name = m.text
		}
		return false
	})
}

func (d *gcpDecoder) finish(g *gcpRow) error {
	r := g.r
	switch {
	case !r.Source.IP.OK():
		return missing("connection.src_ip")
	case !r.Destination.IP.OK():
		return missing("connection.dest_ip")
	}
	if err := endOrStart(r, "end_time", "start_time"); err != nil {
		return err
	}
	if g.logName != "" && g.timestamp != "" && g.insertID != "" {
		r.ID = flow.NewIDText(r.Format, g.logName, g.timestamp, g.insertID)
	}
	r.Cloud.Provider, r.CounterSemantics, r.ByteLayer = "gcp", "delta", "payload"
	side := &gcpSide{}
	switch {
	case g.reportsSrc:
		side = &g.src
		r.Exporter.Name = d.exporter(side, "SRC")
	case g.reportsDest:
		side = &g.dest
		r.Exporter.Name = d.exporter(side, "DEST")
	}
	r.Cloud.Account = first(side.project, side.gateway.project, g.labels.project)
	r.Cloud.Region, r.Cloud.Instance = side.region, side.vm
	r.Cloud.Zone = first(side.zone, g.labels.zone)
	r.Cloud.Network, r.Cloud.Subnetwork = side.network, first(side.sub, g.labels.sub)
	return nil
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// exporter names the instance or gateway that reports. Where the record doesn't say it, the
// name of the side has to do: it tells the two reporters of one flow.
func (d *gcpDecoder) exporter(side *gcpSide, unnamed string) string {
	key := side.gateway
	if side.vm != "" {
		key = gcpReporter{side.project, side.zone, "", side.vm}
	}
	if key.name == "" {
		return unnamed
	}
	if key == d.last {
		return d.lastName
	}
	if name, ok := d.reporters[key]; ok {
		return name
	}
	name := "projects/" + key.project + "/locations/" + key.place + "/" + key.kind + "/" + key.name
	if key.kind == "" {
		name = "projects/" + key.project + "/zones/" + key.place + "/instances/" + key.name
	}
	if d.reporters == nil || len(d.reporters) >= maxGCPReporters {
		d.reporters = make(map[gcpReporter]string)
	}
	key = gcpReporter{strings.Clone(key.project), strings.Clone(key.place), strings.Clone(key.kind), strings.Clone(key.name)}
	d.reporters[key], d.last, d.lastName = name, key, name
	return name
}

// maxGCPReporters bounds the names that are kept: instances come and go.
const maxGCPReporters = 4096

func detectGCP(head []byte) int {
	if looksLikeJSON(head, "jsonPayload", "connection", "src_ip") || looksLikeJSON(head, "jsonPayload", "reporter", "bytes_sent") {
		return 92
	}
	return 0
}

// gcpTimestamp is end_time, or start_time where there is none.
func gcpTimestamp(_ string, data []byte) (flow.Time, bool) {
	s := view(data)
	for _, name := range [...]string{`"end_time"`, `"start_time"`} {
		i := strings.Index(s, name)
		if i < 0 {
			continue
		}
		sc := jsonScanner{s: s, i: i + len(name)}
		if sc.skip() != ':' {
			continue
		}
		if sc.i++; sc.skip() != '"' {
			continue
		}
		if text, ok := sc.str(); ok {
			t, ok, inRange := rfc3339(text)
			return t, ok && inRange
		}
	}
	return 0, false
}
