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
	object jsonObject
	ext    extension.List
	events []int            // of object.inner
	shared []flow.Extension // of the message's members
}

func (d *cloudWatchDecoder) DecodeUnit(data string, u *Unit) error {
	d.events = d.events[:0]
	s := trim(data)
	if s == "" {
		return nil
	}
	o := &d.object
	if err := o.parse(s); err != nil {
		return err
	}
	switch kind := textOf(o.members, "messageType"); kind {
	case "DATA_MESSAGE":
	case "CONTROL_MESSAGE":
		return nil
	default:
		return flow.Reject(flow.ReasonField, "messageType: %s is neither DATA_MESSAGE nor CONTROL_MESSAGE", quoted(kind))
	}
	list, err := needed(o.members, "logEvents", "logEvents", '[', "an array")
	if err != nil {
		return err
	}
	d.ext.Drop()
	for i := range o.members {
		if m := &o.members[i]; m != list && m.name != "messageType" {
			o.keep(m, 0, &d.ext)
		}
	}
	d.shared = append(d.shared[:0], d.ext.Current()...)
	d.ext.Drop()
	for i := list.from; i < list.to; i++ {
		d.event(int(i), u)
	}
	return nil
}

func (d *cloudWatchDecoder) event(i int, u *Unit) {
	o := &d.object
	part := func() string {
		d.events = append(d.events, i)
		return d.Part(len(d.events) - 1)
	}
	in := o.of(&o.inner[i])
	message, err := needed(in, "message", "logEvents.message", '"', "a string")
	if err != nil {
		u.Refuse(part(), err)
		return
	}
	r := u.Next()
	r.Format = "aws_vpc"
	line := trim(message.text)
	outcome, err := d.line.Decode(line, r)
	switch {
	case err != nil:
		u.RefuseLast(part(), err)
		return
	case outcome == Skip: // a header: nothing is to be read, but it was an event
		u.forgetLast()
		return
	case outcome == Gap:
		d.events = append(d.events, i)
		u.forgetLast()
		u.Gap()
		return
	}
	d.events = append(d.events, i)
	if r.ID.IsZero() {
		r.ID = flow.NewIDText(r.Format, line)
	}
	d.ext.AddAll(r.Extensions)
	d.ext.AddAll(d.shared)
	for i := range in {
		if m := &in[i]; m != message {
			o.keep(m, 0, &d.ext)
		}
	}
	r.Extensions = d.ext.Take()
}

// Part is the message with one of its events.
func (d *cloudWatchDecoder) Part(i int) string { return string(d.object.only(nil, d.events[i])) }

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
