package flow

// Batch is many parsed records: the element of a PCollection<flow.Batch>.
type Batch struct {
	Records []Record
	// Watermark is the event-time watermark that the source had reached when it read the
	// batch: what arrives with an event time before it is late. Zero in bounded reads,
	// where nothing is late.
	Watermark Time
}

// Bounds returns the earliest and the latest event time, zero for an empty batch.
func (b *Batch) Bounds() (earliest, latest Time) {
	for i := range b.Records {
		t := b.Records[i].EventTime
		if i == 0 || t < earliest {
			earliest = t
		}
		if i == 0 || t > latest {
			latest = t
		}
	}
	return earliest, latest
}

// RawBatch is many undecoded records of one origin, with what a parser needs to know of
// it: the element of a PCollection<flow.RawBatch>.
type RawBatch struct {
	Origin    Origin
	Records   []Raw
	Watermark Time // see Batch.Watermark
}

// Origin is what all records of a RawBatch share.
type Origin struct {
	Source     string // file path or URL, topic or subscription
	Partition  Int
	Format     string // declared format, "" = to be detected
	Header     string // the lines at the file's start that say how to read the rest
	DataCenter string
	Tenant     string
}

// Raw is one undecoded record: a line, a message, a datagram.
type Raw struct {
	Data   []byte
	Offset Int    // byte offset in the decompressed file, or offset in the partition
	Key    string // message id where there is no offset
	Index  Int    // of a part that was cut from a unit of several records: its place there
	Time   Time   // append, publish, receive or file time
	// DataCenter overrides the origin's, where a message's header or attribute has it.
	DataCenter string
	// Oversize says that Data is only the first bytes of a record longer than the cap;
	// Size is its whole length and SHA256 its hash. It becomes a dead letter.
	Oversize bool
	Size     int64
	SHA256   string
}

// Position of the raw record.
func (b *RawBatch) Position(i int) Position {
	return Position{Source: b.Origin.Source, Partition: b.Origin.Partition, Offset: b.Records[i].Offset, Index: b.Records[i].Index, Key: b.Records[i].Key}
}

// Count is a number that some records were counted to: the element of a
// PCollection<flow.Count>. Counts travel as data, one small element per bundle and
// stage, because Beam's counters count attempts: a retried bundle counts twice there.
type Count struct {
	Stage string // the transform: parse, dedupe, files
	Name  string // what was counted: read, gaps, duplicates
	N     int64
}
