package parse

import (
	"math"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "aws_vpc",
			Detect:    detectAWS,
			Header:    awsHeaderLength,
			Open:      openAWSParquet,
			Timestamp: awsTimestamp,
		},
		New: func(header string) (Decoder, error) {
			layout, err := readAWSLayout(header)
			if err != nil {
				return nil, err
			}
			return &awsDecoder{layout: layout}, nil
		},
	})
}

// awsDecoder reads AWS VPC and Transit Gateway flow logs as text, versions 2 to 10, a line
// each: as S3 holds them, as CloudWatch Logs gives them, or in the member "message" of a JSON
// object as Firehose delivers them.
//
// Which columns there are, and in which order, is said by the header: the first line of
// an S3 file, or the flow log's format string as it was declared
// ("${srcaddr} ${dstaddr} …" or the bare names). Without one only the default format can
// be read: 14 columns that begin with version 2, or those of a transit gateway, which begin
// with version 6 and "TransitGateway". Columns are never told by their number.
//
// srcaddr and dstaddr are the endpoints: the addresses that the rest of the same VPC sees
// and that the default format has. pkt-srcaddr and pkt-dstaddr, the addresses inside the
// packet, are the NAT addresses where they differ: before a NAT gateway or a pod's, the
// address on its other side. Where a format has only these, they are the endpoints.
//
// The network interface is the exporter (exporter_name), because it is what observed the
// flow; with flow-direction it is also the ingress or egress interface. For a transit gateway
// that is the attachment; for what has neither (a regional NAT gateway, version 9), resource-id.
// encryption-status (version 10) is a number: 0 not encrypted, 1 by Nitro, 2 by the
// application's TLS, 3 by both. Ports of
// protocols that have none (AWS writes 0) are absent, or extensions where they are not 0. Event time is end. NODATA and
// SKIPDATA rows are gaps. Columns that the record has no field for are extensions, named
// with underscores. The id is the hash of the whole line: copies of one flow at several
// interfaces or NATs differ only in late columns.
//
// Source: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html,
// https://docs.aws.amazon.com/vpc/latest/tgw/tgw-flow-logs.html
type awsDecoder struct {
	layout *awsLayout
	cells  cells
	object jsonObject
	ext    extension.List
}

type awsField int8

const (
	awsOther awsField = iota
	awsVersion
	awsAccount
	awsInterface
	awsSource
	awsDestination
	awsSourcePort
	awsDestinationPort
	awsProtocol
	awsPackets
	awsBytes
	awsStart
	awsEnd
	awsAction
	awsLogStatus
	awsVPC
	awsSubnet
	awsInstance
	awsTCPFlags
	awsType
	awsPktSource
	awsPktDestination
	awsRegion
	awsZone
	awsPktSourceService
	awsPktDestinationService
	awsFlowDirection
	awsRejectReason
	awsAttachment
	awsSourceVPC
	awsDestinationVPC
	awsResource
	awsFields // how many
)

var awsNames = map[string]awsField{
	"version": awsVersion, "account_id": awsAccount, "interface_id": awsInterface, "srcaddr": awsSource, "dstaddr": awsDestination,
	"srcport": awsSourcePort, "dstport": awsDestinationPort, "protocol": awsProtocol, "packets": awsPackets,
	"bytes": awsBytes, "start": awsStart, "end": awsEnd, "action": awsAction, "log_status": awsLogStatus,
	"vpc_id": awsVPC, "subnet_id": awsSubnet, "instance_id": awsInstance, "tcp_flags": awsTCPFlags, "type": awsType,
	"pkt_srcaddr": awsPktSource, "pkt_dstaddr": awsPktDestination, "region": awsRegion, "az_id": awsZone,
	"pkt_src_aws_service": awsPktSourceService, "pkt_dst_aws_service": awsPktDestinationService,
	"flow_direction": awsFlowDirection, "reject_reason": awsRejectReason,
	"tgw_attachment_id": awsAttachment, "tgw_src_vpc_id": awsSourceVPC, "tgw_dst_vpc_id": awsDestinationVPC, "resource_id": awsResource,
}

// awsNumbers are the other documented columns that are whole numbers.
var awsNumbers = map[string]bool{
	"traffic_path": true, "packets_lost_no_route": true, "packets_lost_blackhole": true,
	"packets_lost_mtu_exceeded": true, "packets_lost_ttl_expired": true, "encryption_status": true,
}

const awsDefault = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"

// awsTransitGateway is the default format of Transit Gateway flow logs.
const awsTransitGateway = "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id " +
	"tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol " +
	"packets bytes start end log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region " +
	"flow-direction pkt-src-aws-service pkt-dst-aws-service"

// awsGateway begins a line of that format.
const awsGateway = "6 TransitGateway "

var awsGatewayLayout = func() *awsLayout {
	l, err := readAWSLayout(awsTransitGateway)
	if err != nil {
		panic(err)
	}
	l.assumed = true
	return l
}()

// of is the layout of one line: without a header the line says which of the two formats it
// is of.
func (l *awsLayout) of(line string) *awsLayout {
	if l.assumed && strings.HasPrefix(line, awsGateway) {
		return awsGatewayLayout
	}
	return l
}

// awsLayout is what a header says.
type awsLayout struct {
	columns []awsColumn
	have    [awsFields]bool
	assumed bool // there was no header
}

type awsColumn struct {
	name   string // with underscores
	field  awsField
	number bool
}

func (d *awsDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	line := trim(data)
	if line == "" {
		return Skip, nil
	}
	if line[0] == '{' {
		var err error
		if line, err = d.message(line); err != nil {
			return Parsed, err
		}
		// The same line as S3 has it: one id, by whichever way it came.
		r.ID = flow.NewIDText(r.Format, line)
	}
	if isAWSHeader(line) {
		if l, err := readAWSLayout(line); err != nil || !d.layout.same(l) {
			return Skip, flow.Reject(flow.ReasonFormat, "a header with other columns: what follows can't be read by the first one")
		}
		return Skip, nil
	}
	a := awsRow{r: r}
	if err := d.columns(line, &a); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if a.gap() {
		d.ext.Drop()
		return Gap, nil
	}
	if err := a.finish(&d.ext); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

func (d *awsDecoder) message(line string) (string, error) {
	if err := d.object.parse(line); err != nil {
		return "", err
	}
	if m := memberNamed(d.object.members, "message"); m != nil {
		return trim(m.text), m.wantString()
	}
	return "", missing("message")
}

func (d *awsDecoder) columns(line string, a *awsRow) error {
	l := d.layout.of(line)
	d.cells.cut(line, ' ', len(l.columns))
	n := d.cells.n
	if !d.cells.ascii && !utf8.ValidString(line) {
		return flow.Reject(flow.ReasonEncoding, "not UTF-8")
	}
	for i := range l.columns {
		if n != len(l.columns) && i == min(n, len(l.columns))-1 {
			return l.wrongCount(line) // if what is there is right
		}
		c, text := &l.columns[i], d.cells.at(i)
		if i == 0 && l.assumed && text != "2" && l != awsGatewayLayout {
			return l.wrongCount(line)
		}
		switch {
		case text == "":
			return flow.Reject(flow.ReasonSyntax, "%s: two spaces in a row", c.name)
		case text == "-":
			continue
		case c.field != awsOther:
			if err := a.set(c.field, c.name, text); err != nil {
				return err
			}
			if c.field == awsResource || c.field == awsType && text == "EFA" || c.field == awsLogStatus && text != "OK" {
				d.ext.Add(flow.Ext(c.name, text))
			}
		default:
			e := flow.Ext(c.name, text)
			if c.number {
				if _, err := count(c.name, text); err != nil {
					return err
				}
				if isJSONNumber(text) {
					e.Kind = flow.ExtInt
				}
			}
			d.ext.Add(e)
		}
	}
	return nil
}

func (l *awsLayout) wrongCount(line string) error {
	have := strings.Count(line, " ") + 1
	if l.assumed {
		version := 2
		if l == awsGatewayLayout {
			version = 6
		}
		return flow.Reject(flow.ReasonFormat, "no header, and not the default format of %d columns and version %d: %d columns; declare the flow log's format", len(l.columns), version, have)
	}
	return flow.Reject(flow.ReasonSyntax, "%d columns, the header has %d", have, len(l.columns))
}

func (l *awsLayout) same(other *awsLayout) bool {
	if len(l.columns) != len(other.columns) {
		return false
	}
	for i := range l.columns {
		if l.columns[i] != other.columns[i] {
			return false
		}
	}
	return true
}

// awsRow collects what only together makes sense.
type awsRow struct {
	r          *flow.Record
	pktSource  flow.IP
	pktDest    flow.IP
	status     string
	networkIfc string
	attachment string // of a transit gateway
	resource   string
}

func (a *awsRow) set(f awsField, name, text string) (err error) {
	r := a.r
	switch f {
	case awsVersion:
		_, err = count(name, text) // it says which columns there may be, and nothing of the flow
	case awsAccount:
		r.Cloud.Account = text
	case awsInterface:
		a.networkIfc = text
	case awsSource:
		err = setAddress(&r.Source.IP, name, text)
	case awsDestination:
		err = setAddress(&r.Destination.IP, name, text)
	case awsSourcePort:
		err = setPort(&r.Source.Port, name, text)
	case awsDestinationPort:
		err = setPort(&r.Destination.Port, name, text)
	case awsProtocol:
		err = setInteger(&r.Protocol, name, text, 255)
	case awsPackets:
		err = setCount(&r.Source.Packets, name, text)
	case awsBytes:
		err = setCount(&r.Source.Bytes, name, text)
	case awsStart:
		r.Start, err = epochSeconds(name, text)
	case awsEnd:
		r.End, err = epochSeconds(name, text)
	case awsAction:
		switch text {
		case "ACCEPT":
			r.Action = "accept"
		case "REJECT":
			r.Action = "reject"
		default:
			err = flow.Reject(flow.ReasonValue, "%s: %s is neither ACCEPT nor REJECT", name, quoted(text))
		}
	case awsLogStatus:
		a.status = text
	case awsVPC:
		r.Cloud.Network = text
	case awsSubnet:
		r.Cloud.Subnetwork = text
	case awsInstance:
		r.Cloud.Instance = text
	case awsTCPFlags:
		err = setInteger(&r.TCPFlags, name, text, 65535)
	case awsPktSource:
		err = setAddress(&a.pktSource, name, text)
	case awsPktDestination:
		err = setAddress(&a.pktDest, name, text)
	case awsRegion:
		r.Cloud.Region = text
	case awsZone:
		r.Cloud.Zone = text
	case awsPktSourceService:
		r.Source.CloudService = text
	case awsPktDestinationService:
		r.Destination.CloudService = text
	case awsFlowDirection:
		if text != "ingress" && text != "egress" {
			return flow.Reject(flow.ReasonValue, "%s: %s is neither ingress nor egress", name, quoted(text))
		}
		r.Direction = text
	case awsRejectReason:
		r.ActionReason = text
	case awsAttachment:
		a.attachment = text
	case awsSourceVPC:
		r.Source.CloudNetwork = text
	case awsDestinationVPC:
		r.Destination.CloudNetwork = text
	case awsResource:
		a.resource = text
	}
	return err
}

// gap says whether the row is one without data: by its status, or, in a format that
// leaves the status out, because everything of a flow is absent.
func (a *awsRow) gap() bool {
	switch a.status {
	case "NODATA", "SKIPDATA":
		return true
	case "":
		r := a.r
		return !r.Source.IP.OK() && !r.Destination.IP.OK() && !a.pktSource.OK() && !a.pktDest.OK() &&
			!r.Source.Bytes.OK && !r.Source.Packets.OK && !r.Protocol.OK
	}
	return false
}

func (a *awsRow) finish(ext *extension.List) error {
	r := a.r
	endpoint(&r.Source, a.pktSource)
	endpoint(&r.Destination, a.pktDest)
	switch {
	case !r.Source.IP.OK():
		return missing("srcaddr")
	case !r.Destination.IP.OK():
		return missing("dstaddr")
	}
	if err := endOrStart(r, "end", "start"); err != nil {
		return err
	}
	if r.Protocol.OK && !hasPorts(r.Protocol.V) {
		portless(ext, "srcport", &r.Source.Port)
		portless(ext, "dstport", &r.Destination.Port)
	}
	at := first(a.networkIfc, a.attachment, a.resource)
	r.Exporter.Name = at
	switch r.Direction {
	case "ingress":
		r.IngressInterface = at
	case "egress":
		r.EgressInterface = at
	}
	r.Cloud.Provider, r.CounterSemantics, r.ByteLayer = "aws", "delta", "ip"
	return nil
}

func endpoint(e *flow.Endpoint, packet flow.IP) {
	switch {
	case !e.IP.OK():
		e.IP = packet
	case packet.OK() && packet != e.IP:
		e.NATIP = packet
	}
}

// hasPorts says whether an IP protocol has ports: TCP, UDP, DCCP, SCTP and UDP-Lite.
func hasPorts(protocol int64) bool {
	switch protocol {
	case 6, 17, 33, 132, 136:
		return true
	}
	return false
}

func epochSeconds(name, text string) (flow.Time, error) {
	n, err := integer(name, text, math.MaxInt64/1_000_000_000)
	return flow.Time(n.V * 1e9), err
}

// awsTokens splits a header: names between white space or commas, bare or as ${name}.
func awsTokens(header string) []string {
	tokens := strings.FieldsFunc(header, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' || c == '\r' || c == '\n' })
	for i, t := range tokens {
		if strings.HasPrefix(t, "${") && strings.HasSuffix(t, "}") {
			t = t[2 : len(t)-1]
		}
		tokens[i] = strings.ReplaceAll(strings.ToLower(t), "-", "_")
	}
	return tokens
}

// isAWSHeader knows a header by the names in it: no value of a record reads like these.
func isAWSHeader(line string) bool {
	if line == "" || line[0]-'0' <= 9 { // a record, mostly: no column's name begins with a digit
		return false
	}
	if !strings.Contains(line, "srcaddr") && !strings.Contains(line, "SRCADDR") {
		return false
	}
	known := 0
	for _, t := range awsTokens(line) {
		if awsNames[t] != awsOther || awsNumbers[t] {
			known++
		}
	}
	return known >= 3
}

func readAWSLayout(header string) (*awsLayout, error) {
	l := &awsLayout{}
	if trim(header) == "" {
		header, l.assumed = awsDefault, true
	}
	seen := map[string]bool{}
	for _, name := range awsTokens(header) {
		if seen[name] || !utf8.ValidString(name) {
			return nil, flow.Reject(flow.ReasonFormat, "aws_vpc: the column %s is there twice or is not UTF-8", quoted(name))
		}
		seen[name] = true
		c := awsColumn{name: name, field: awsNames[name], number: awsNumbers[name]}
		l.have[c.field] = true
		l.columns = append(l.columns, c)
	}
	switch {
	case !l.have[awsSource] && !l.have[awsPktSource], !l.have[awsDestination] && !l.have[awsPktDestination]:
		return nil, flow.Reject(flow.ReasonFormat, "aws_vpc: the header has no srcaddr or no dstaddr: %s", quoted(trim(header)))
	case !l.have[awsStart] && !l.have[awsEnd]:
		return nil, flow.Reject(flow.ReasonFormat, "aws_vpc: the header has neither start nor end: %s", quoted(trim(header)))
	}
	return l, nil
}

func awsHeaderLength(head []byte) int {
	line := firstLine(view(head))
	if !isAWSHeader(trim(line)) {
		return 0
	}
	return min(len(line)+1, len(head))
}

func detectAWS(head []byte) int {
	if strings.HasPrefix(view(head), parquetMagic) {
		return 50 // no other format comes in Parquet
	}
	line := trim(firstLine(trim(view(head))))
	if looksLikeJSON(head, "message") {
		m, ok := findMember(line, "message")
		if !ok {
			return 0
		}
		line = m.text
	}
	if isAWSHeader(line) && readableAWS(line) {
		return 90
	}
	if f := strings.Fields(line); len(f) == 14 && f[0] == "2" {
		switch f[13] {
		case "OK", "NODATA", "SKIPDATA":
			return 80
		}
	}
	if strings.HasPrefix(line, awsGateway) && strings.Count(line, " ")+1 == len(awsGatewayLayout.columns) {
		return 80
	}
	return 0
}

func readableAWS(header string) bool {
	_, err := readAWSLayout(header)
	return err == nil
}

// lastAWSLayout spares awsTimestamp reading the header for each record of one file.
var lastAWSLayout atomic.Pointer[struct {
	header string
	layout *awsLayout
}]

// awsTimestamp is end, or start where a format has no end.
func awsTimestamp(header string, data []byte) (flow.Time, bool) {
	last := lastAWSLayout.Load()
	if last == nil || last.header != header {
		l, err := readAWSLayout(header)
		if err != nil {
			return 0, false
		}
		last = &struct {
			header string
			layout *awsLayout
		}{header, l}
		lastAWSLayout.Store(last)
	}
	rest := trim(view(data))
	if rest != "" && rest[0] == '{' {
		m, ok := findMember(rest, "message")
		if !ok {
			return 0, false
		}
		rest = trim(m.text)
	}
	var t flow.Time
	layout := last.layout.of(rest)
	for i := range layout.columns {
		text := rest
		n := strings.IndexByte(rest, ' ')
		if n >= 0 {
			text, rest = rest[:n], rest[n+1:]
		}
		switch layout.columns[i].field {
		case awsStart, awsEnd:
			v, err := epochSeconds("", text)
			if err != nil {
				return 0, false
			}
			t = max(t, v)
		}
		if (n < 0) != (i == len(layout.columns)-1) {
			return 0, false // another number of columns
		}
	}
	return t, t != 0
}
