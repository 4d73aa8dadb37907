package flow

// Record is one flow record: what one exporter said of one conversation, in one
// direction or both. IPFIX names give each field its meaning (the field table [Records]
// names them). Every field is exported and plain, so that coders see all of it; its zero
// value means absent.
//
// Source is the side that sent first (Zeek's originator, Canopus's client, IPFIX source)
// and the Source counters are what it sent; the Destination counters are the reverse
// direction of a bidirectional record (RFC 5103).
type Record struct {
	// Identity.
	ID          ID       // delivery identity: a hash of the raw bytes that identify the record, see NewID
	Revision    int64    // of parser and enrichment: the higher one wins in replace mode
	CommunityID string   // Community ID v1: stitches observations of one conversation, never a dedupe id
	Format      string   // the source format's name
	Position    Position // where the record was read

	// Time, UTC.
	EventTime   Time // the end of the flow, or what the format has that is nearest
	Start, End  Time
	Observed    Time   // by the exporter, where that differs from End
	Received    Time   // by the source: append, publish or receive time
	TimeQuality string // what is doubtful of the times: "" (nothing), "no_end", "no_start", "uptime_wrap"
	Late        bool   // beyond allowed lateness when read: stored, but not in the streaming rollups

	// Who saw it.
	Exporter                           Exporter
	DataCenter, Tenant                 string
	IngressInterface, EgressInterface  string
	Direction                          string // ingress, egress, internal, external or "" (unknown)
	Observation                        string // set by dedupe.Observations: winner, duplicate or "" (not compared)
	Cloud                              Cloud
	Source, Destination                Endpoint
	Protocol, ICMPType, ICMPCode       Int // IANA numbers
	TCPFlags, TypeOfService, VLAN      Int
	Application                        string // as the sensor found it: http, dns, tls
	CounterSemantics, ByteLayer        string // delta, total or since_last; l2, ip or payload
	SamplingRate                       Int    // one packet in SamplingRate was seen
	SamplingSource                     string // record, options, header or config
	Action, ActionReason, Rule         string // accept, reject or drop
	EndReason                          string // IPFIX flowEndReason by name
	ConnectionState, History           string // Zeek
	UserID                             string // the subscriber on the source side
	RTTInternal, RTTExternal, Jitter   Int    // ns; internal is the source's side of the probe
	LossInternal, LossExternal         Float  // ratio 0..1
	RetransmitsSource, RetransmitsDest Int    // packets
	MissedBytes                        Int    // gaps in the sensor's capture
	GeoEdition, ASNEdition             Time   // build epoch of the databases that enriched the record
	Extensions                         []Extension
	Original                           string // the raw record, where keeping it was asked for
}

// Position says where a record was read. It keys dead letters and raw backup, so that a
// replay doubles none of them.
type Position struct {
	Source    string // file path or URL, or topic or subscription
	Partition Int    // Kafka partition
	Offset    Int    // byte offset in the (decompressed) file, or Kafka offset
	Index     Int    // of the record inside one raw unit that holds several
	Key       string // message id where there is no offset
}

// Exporter is the device that made the record.
type Exporter struct {
	IP                IP
	Name              string
	ObservationDomain Int
	ObservationPoint  Int
}

// Cloud is where the observing interface stands.
type Cloud struct {
	Provider, Account, Region, Zone, Instance, Network, Subnetwork string
}

// Endpoint is one side of the conversation, with what it sent and what enrichment found.
type Endpoint struct {
	IP           IP
	Port         Int
	MAC          string // aa:bb:cc:dd:ee:ff
	NATIP        IP
	NATPort      Int
	PrefixLength Int
	Bytes        Int // in the record's ByteLayer
	Packets      Int
	PayloadBytes Int // layer 4 payload, where the source has it beside Bytes
	Domain       string
	CloudService string // AWS or Google service behind the address
	CloudName    string // instance or VM name
	CloudNetwork string

	// Enrichment.
	ASN       Int
	ASOrg     string
	Geo       Geo
	GeoStatus string // found, private, reserved, unknown or "" (not looked up)
	Network   string // from the prefix tables
	Customer  string
	Site      string
	Labels    []Label
}

// Geo is a place from a GeoIP database.
type Geo struct {
	Continent string // two letters
	Country   string // ISO 3166-1 alpha-2
	Region    string // ISO 3166-2 subdivision or its name
	City      string
	TimeZone  string
	Latitude  Float
	Longitude Float
}

// Clone returns a copy that shares no memory which a Step might change: slices are
// copied, strings are immutable anyway.
func (r *Record) Clone() Record {
	c := *r
	c.ownLists()
	return c
}

// ownLists gives a record that was copied lists of its own.
func (r *Record) ownLists() {
	r.Source.Labels = append([]Label(nil), r.Source.Labels...)
	r.Destination.Labels = append([]Label(nil), r.Destination.Labels...)
	r.Extensions = append([]Extension(nil), r.Extensions...)
}

// Duration is End - Start in nanoseconds, absent where either is.
func (r *Record) Duration() Int {
	if r.Start == 0 || r.End == 0 {
		return Int{}
	}
	return N(int64(r.End - r.Start))
}

// Scaled is a counter multiplied by the sampling rate: an estimate. Without a rate the
// counter is returned as it is; a product beyond 63 bits is absent.
func (r *Record) Scaled(counter Int) Int {
	if !counter.OK || !r.SamplingRate.OK || r.SamplingRate.V <= 1 {
		return counter
	}
	p := counter.V * r.SamplingRate.V
	if counter.V != 0 && p/counter.V != r.SamplingRate.V {
		return Int{}
	}
	return N(p)
}
