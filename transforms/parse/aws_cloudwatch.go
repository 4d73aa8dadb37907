package parse

import (
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name: "aws_cloudwatch",
			Detect: func(head []byte) int {
				if looksLikeJSON(head, "messageType", "logGroup", "logEvents") {
					return 95
				}
				return 0
			},
			Timestamp: cloudWatchTimestamp,
		},
		NewUnit: func(header string) (UnitDecoder, error) {
			layout, err := readAWSLayout(header)
			if err != nil {
				return nil, err
			}
			return &cloudWatchDecoder{line: awsDecoder{layout: layout}}, nil
		},
	})
}

// cloudWatchDecoder reads what a subscription of CloudWatch Logs sends of a flow log's log
// group, to Kinesis, Firehose or Lambda: one JSON object with many log events, unpacked. Each
// event's message is a line of the format aws_vpc, and its record has that format and the
// line's id, as if it had come by S3. A header is the declared format string. The log group,
// its owner and stream, and the event's id and timestamp (ms) are extensions. Control messages
// hold no records.
//
// Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
type cloudWatchDecoder struct {
	line   awsDecoder
	tree   jsonTree
	names  memberPaths
	ext    extension.List
	events []int // nodes
}

func (d *cloudWatchDecoder) DecodeUnit(data string, u *Unit) error {
	d.events = d.events[:0]
	s := trim(data)
	if s == "" {
		return nil
	}
	t := &d.tree
	if err := t.parse(s); err != nil {
		return err
	}
	switch kind := t.text(0, "messageType"); kind {
	case "DATA_MESSAGE":
	case "CONTROL_MESSAGE":
		return nil
	default:
		return flow.Reject(flow.ReasonField, "messageType: %s is neither DATA_MESSAGE nor CONTROL_MESSAGE", quoted(kind))
	}
	list, err := t.want(0, "logEvents", "logEvents", '[', "an array")
	if err != nil {
		return err
	}
	d.names.begin()
	for c, end := t.children(list); c < end; c = t.nodes[c].end {
		d.event(c, list, u)
	}
	return nil
}

func (d *cloudWatchDecoder) event(c, list int, u *Unit) {
	t := &d.tree
	part := func() string {
		d.events = append(d.events, c)
		return d.Part(len(d.events) - 1)
	}
	message, err := t.want(c, "message", "logEvents.message", '"', "a string")
	if err != nil {
		u.Refuse(part(), err)
		return
	}
	r := u.Next()
	r.Format = "aws_vpc"
	line := trim(t.nodes[message].text)
	outcome, err := d.line.Decode(line, r)
	switch {
	case err != nil:
		u.RefuseLast(part(), err)
		return
	case outcome == Skip: // a header: nothing is to be read, but it was an event
		u.forgetLast()
		return
	case outcome == Gap:
		d.events = append(d.events, c)
		u.forgetLast()
		u.Gap()
		return
	}
	d.events = append(d.events, c)
	if r.ID.IsZero() {
		r.ID = flow.NewIDText(r.Format, line)
	}
	for _, x := range r.Extensions {
		d.ext.Add(x)
	}
	for m, end := t.children(0); m < end; m = t.nodes[m].end {
		if m != list && t.nodes[m].name != "messageType" {
			t.leaves(m, t.nodes[m].name, &d.names, &d.ext)
		}
	}
	for m, end := t.children(c); m < end; m = t.nodes[m].end {
		if m != message {
			t.leaves(m, d.names.join("logEvents", t.nodes[m].name), &d.names, &d.ext)
		}
	}
	r.Extensions = d.ext.Take()
}

// Part is the message with one of its events.
func (d *cloudWatchDecoder) Part(i int) string { return string(d.tree.only(nil, 0, d.events[i])) }

// cloudWatchTimestamp is the earliest event time of the messages.
func cloudWatchTimestamp(header string, data []byte) (earliest flow.Time, ok bool) {
	s := view(data)
	for {
		i := strings.Index(s, `"message"`)
		if i < 0 {
			return earliest, earliest != 0
		}
		s = s[i+len(`"message"`):]
		sc := jsonScanner{s: s}
		if sc.skip() != ':' {
			continue
		}
		if sc.i++; sc.skip() != '"' {
			continue
		}
		text, ok := sc.str()
		if !ok {
			continue
		}
		if t, ok := awsTimestamp(header, []byte(text)); ok && (earliest == 0 || t < earliest) {
			earliest = t
		}
		s = s[sc.i:]
	}
}
