package netflow

import (
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// Config bounds what a Session keeps. A zero field means its default.
type Config struct {
	ParkedSets  int           // data sets that wait for their template. Default: 1,000
	ParkedBytes int           // their bytes. Default: 4 MiB
	ParkedFor   time.Duration // how long one waits, by receive times. Default: 30 minutes
	Templates   int           // of all domains; beyond it the one least recently used goes. Default: 4,096
	Options     int           // names of interfaces and applications, samplers. Default: 65,536
	// Lifetime is how long a template or an options record holds that is not sent again, by
	// receive times: what is known then is a function of the datagrams of so long before (RFC
	// 7011, section 8.4). Default: for ever.
	Lifetime time.Duration
	// Scratch is what Attach decodes into: Sessions that one goroutine uses may share it.
	// Default: one of the Session's own.
	Scratch *Output
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.ParkedSets, 1000)
	def(&c.ParkedBytes, 4<<20)
	def(&c.Templates, 4096)
	def(&c.Options, 1<<16)
	if c.ParkedFor <= 0 {
		c.ParkedFor = 30 * time.Minute
	}
	return c
}

// Datagram is one UDP payload and what its source knows of it.
type Datagram = datagram.Datagram

// Output is what a Session gives, appended to and added to: the caller empties it.
type Output struct {
	Records []flow.Record
	// Expired are data sets whose template did not come, each a dead letter.
	Expired []Expired
	Counts  Counts
}

// Expired is a data set that could not be decoded. Its datagram holds the header and that
// set alone: decoded together with the template it gives the records, and the ids, that the
// set would have given. Position.Index is the set's byte offset in the datagram it came in.
type Expired struct {
	Datagram
	Err error // of flow.Reject
}

// ReasonTemplate is the reason of a data set whose template did not come.
const ReasonTemplate flow.Reason = "template"

// Counts is what a Session counted.
type Counts struct {
	Datagrams        int64 // decoded
	Records          int64 // data records: the flow records given
	OptionRecords    int64 // records of options templates
	OptionsDropped   int64 // names and rates beyond Config.Options: not used
	Templates        int64 // read, options templates among them, also the ones sent again
	TemplatesChanged int64 // of these: with another layout than before
	Withdrawn        int64 // templates withdrawn (IPFIX)
	Parked           int64 // data sets that had to wait for their template
	Recovered        int64 // of these: read later
	Expired          int64 // of these: given up
	Gaps             int64 // places where sequence numbers are missing
	Missing          int64 // how many: records in v5 and IPFIX, datagrams in v9
	Reordered        int64 // datagrams older than the one before
	Restarts         int64 // of the exporter
	ReservedSets     int64 // sets with an id that means nothing: skipped
	TrailingBytes    int64 // behind the message that the header claims: not read
	LeftoverBytes    int64 // at the end of data sets, more than padding and less than a record
}

// Add adds other counts.
func (c *Counts) Add(o *Counts) {
	c.Datagrams += o.Datagrams
	c.Records += o.Records
	c.OptionRecords += o.OptionRecords
	c.OptionsDropped += o.OptionsDropped
	c.Templates += o.Templates
	c.TemplatesChanged += o.TemplatesChanged
	c.Withdrawn += o.Withdrawn
	c.Parked += o.Parked
	c.Recovered += o.Recovered
	c.Expired += o.Expired
	c.Gaps += o.Gaps
	c.Missing += o.Missing
	c.Reordered += o.Reordered
	c.Restarts += o.Restarts
	c.ReservedSets += o.ReservedSets
	c.TrailingBytes += o.TrailingBytes
	c.LeftoverBytes += o.LeftoverBytes
}

// Session is what one exporter (one address and transport session) has said. Its memory is
// bounded by Config. One goroutine at a time uses it.
type Session struct {
	exporter flow.IP
	config   Config
	domains  map[domainKey]*domain
	last     *domain // the one used last
	layouts  map[string]*layout
	parked   parking
	now      flow.Time // when the datagram under way was received
	tick     uint64
	kept     struct{ templates, options int } // of all domains

	x       extension.Block
	head    header
	sets    []set
	missing []int // of sets: those without template
	row     row

	// For Attach.
	attaching bool
	used      *usage // not nil: what the records need is written down
	scratch   *Output

	key   []byte // scratch
	fresh bool   // a template is new since parked sets were tried
}

type domainKey struct {
	version uint16
	id      uint32
}

// maxDomains bounds the domains of a Session.
const maxDomains = 1024

// NewSession makes a Session for the exporter with the address, which is part of the
// records' ids and may be absent.
func NewSession(exporter flow.IP, c Config) *Session {
	return &Session{
		exporter: exporter, config: c.withDefaults(), scratch: c.Scratch,
		domains: map[domainKey]*domain{}, layouts: map[string]*layout{},
	}
}

// Decode reads a datagram and appends its records, with Position.Index as the record's byte
// offset in it. What else there is: records of earlier data sets whose template has now
// come, and data sets that waited too long, by d.Received, which should not go back.
//
// An error is that of the whole datagram, by flow.Reject: it gave no records and is a dead
// letter.
func (s *Session) Decode(d Datagram, out *Output) error {
	s.expire(d.Received, out)
	s.now = d.Received
	h := &s.head
	var err error
	if *h, err = readHeader(d.Data); err != nil {
		return err
	}
	before := len(out.Records)
	counts := out.Counts
	if h.version == V5 {
		err = s.decodeV5(&d, h, out)
	} else {
		err = s.decodeSets(&d, h, out)
	}
	if err != nil {
		clear(out.Records[before:])
		out.Records, out.Counts = out.Records[:before], counts
		s.x.Drop()
		if dom := s.domains[domainKey{h.version, h.domain}]; dom != nil {
			dom.sequence.known = false
		}
		return err
	}
	out.Counts.Datagrams++
	out.Counts.TrailingBytes += int64(len(d.Data) - h.end)
	if !s.attaching {
		s.recover(out)
	}
	return nil
}

// decodeSets reads a v9 or IPFIX datagram.
func (s *Session) decodeSets(d *Datagram, h *header, out *Output) error {
	sets, err := splitSets(d.Data, h, s.sets[:0])
	if err != nil {
		return err
	}
	s.sets, s.missing = sets, s.missing[:0]
	dom := s.domain(h)
	s.restart(dom, h, out)
	records := 0
	for i := range sets {
		set := &sets[i]
		if yes, options := set.isTemplates(h.version); yes {
			if err := s.learn(dom, h, set, options, out); err != nil {
				return err
			}
			continue
		}
		if !set.isData() {
			out.Counts.ReservedSets++
			continue
		}
		if len(set.body()) == 0 {
			continue
		}
		l := s.layout(dom, set.id)
		if l == nil {
			s.missing = append(s.missing, i)
			continue
		}
		n, err := s.decodeSet(d, h, dom, l, set, len(sets)-1-i, out)
		if err != nil {
			return err
		}
		if records += n; records > maxRecords {
			return tooMany(set)
		}
	}
	for _, i := range s.missing {
		s.park(d, h, &sets[i], len(sets)-1-i, out)
	}
	dom.sequence.count(h, records, len(s.missing) == 0, &out.Counts)
	return nil
}

func tooMany(set *set) error {
	return flow.Reject(flow.ReasonBomb, "set %d: more than %d records in one datagram", set.id, maxRecords)
}

// domain finds the observation domain of a datagram, or begins it.
func (s *Session) domain(h *header) *domain {
	key := domainKey{h.version, h.domain}
	if s.last != nil && s.last.key == key {
		return s.last
	}
	dom := s.domains[key]
	s.tick++
	if dom == nil {
		if len(s.domains) >= maxDomains {
			s.dropOldestDomain()
		}
		dom = newDomain(key)
		s.domains[key] = dom
	}
	dom.used, s.last = s.tick, dom
	return dom
}

func (s *Session) dropOldestDomain() {
	var oldest *domain
	for _, d := range s.domains {
		if oldest == nil || d.used < oldest.used {
			oldest = d
		}
	}
	s.forget(oldest)
	delete(s.domains, oldest.key)
}

// Reset forgets all that was said, but for the compiled layouts of templates, and takes another
// exporter: for datagrams that are self-contained.
func (s *Session) Reset(exporter flow.IP) {
	s.exporter, s.last, s.parked = exporter, nil, parking{}
	clear(s.domains)
	s.kept.templates, s.kept.options, s.fresh = 0, 0, false
	if len(s.layouts) > maxDomains {
		clear(s.layouts)
	}
}
