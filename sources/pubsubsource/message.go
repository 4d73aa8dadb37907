package pubsubsource

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/flowbeam/flowbeam/flow"
)

// message is one that was received and not acknowledged yet, in as many deliveries as came
// of it meanwhile.
type message struct {
	id         string
	data       []byte
	attributes map[string]string
	published  flow.Time
	event      flow.Time // zero where it has none that can be read
	badTime    bool      // of the attribute
	deliveries []*pubsub.Message
}

func newMessage(c *config, m *pubsub.Message) *message {
	out := &message{id: m.ID, data: m.Data, attributes: m.Attributes, published: flow.TimeOf(m.PublishTime), deliveries: []*pubsub.Message{m}}
	out.event, out.badTime = c.eventTime(out.data, out.attributes, out.published)
	return out
}

// size counts what a message takes in memory.
func (m *message) size() int {
	n := len(m.data) + 500
	for k, v := range m.attributes {
		n += len(k) + len(v) + 50
	}
	return n
}

// eventTime is that of a message, zero where its format reads none in it; bad says that
// the timestamp attribute is not there or is no time.
func (c *config) eventTime(data []byte, attributes map[string]string, published flow.Time) (t flow.Time, bad bool) {
	switch {
	case c.TimestampAttribute != "":
		if t, ok := parseTime(attributes[c.TimestampAttribute]); ok {
			return t, false
		}
		return published, true
	case c.info.Timestamp != nil:
		if len(data) > c.MaxMessage {
			return 0, false
		}
		if t, ok := c.info.Timestamp(c.Header, data); ok {
			return t, false
		}
		return 0, false
	}
	return published, false
}

// parseTime reads RFC 3339 or milliseconds since the epoch, as Beam does.
func parseTime(text string) (flow.Time, bool) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		const most = int64(1<<63-1) / 1e6
		return flow.TimeOf(time.UnixMilli(ms)), ms > 0 && ms <= most
	}
	t, err := time.Parse(time.RFC3339, text)
	return flow.TimeOf(t), err == nil && t.Unix() > 0 && t.Year() < 2262
}

// raw makes an undecoded record of a message.
func (c *config) raw(id string, data []byte, attributes map[string]string, published flow.Time) flow.Raw {
	out := flow.Raw{Data: data, Key: id, Time: published}
	if len(data) > c.MaxMessage {
		sum := sha256.Sum256(data)
		out.Data, out.Oversize, out.Size, out.SHA256 = data[:min(oversizePrefix, len(data))], true, int64(len(data)), hex.EncodeToString(sum[:])
	}
	if name := c.names.attribute; name != "" {
		out.DataCenter = attributes[name]
	}
	return out
}

// oversizePrefix is how much of a message that is too long is kept.
const oversizePrefix = 1 << 10

// origin is what all messages of a subscription share. A message's id is unique in its
// topic, so the topic is its source.
func (c *config) origin(subscription, topic string) flow.Origin {
	source := topic
	if source == "" {
		source = subscription
	}
	return flow.Origin{
		Source: source, Format: c.Format, Header: c.Header, Tenant: c.Tenant,
		DataCenter: c.names.of(lastPart(subscription), lastPart(topic)),
	}
}
