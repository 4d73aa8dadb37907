package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
)

// following is what makes the messages of one partition readable alone, and how far it has been
// shown them. A bundle that does not go on there begins anew: what is given depends on the
// partition, and not on which process read it or how often.
//
// What a message before the bundle's place may say is read again where it is needed: where one of the
// last messages before the place, or one from there on, is not readable alone.
type following struct {
	flow.Follower
	format string
	newest flow.Time // of the messages that it was shown
	shown  time.Time // the last of them
	next   int64     // the offset after the last of them

	known   bool  // what there was before; nothing is, where all were readable alone
	back    int64 // while it is shown what was before: the offset where that ends; else none
	looking bool  // no more than whether that is needed is looked at
	needed  bool
}

const (
	none    = -1
	looksAt = 1000 // messages before a place
)

func (f *following) show(raw flow.Raw, from netip.Addr, give func(flow.Raw)) {
	f.newest, f.shown = max(f.newest, raw.Time), time.Now()
	f.Next(raw, from, give)
}

// goTo reads again from an offset on, up to the bundle's place.
func (f *following) goTo(b *bundle, from, at int64) {
	f.next, f.back = from, at
	b.consumer.rewind(b.queue, from)
}

// follow returns what follows the partition, where a bundle goes on at an offset; nil in a format
// that needs none. It is found by the first message where no format is declared.
func (b *bundle) follow(at int64, first []*kgo.Record) *following {
	q := b.queue
	if f := q.follow; f != nil && (f.back == at || f.back == none && f.next == at) {
		return f
	}
	q.follow = nil
	format := b.Config.Format
	if format == "" && len(first) > 0 {
		format, _ = flow.DetectFormat(first[0].Value)
	}
	info, _ := flow.FormatNamed(format)
	if info.Follow == nil {
		return nil
	}
	f := &following{Follower: info.Follow(b.Config.Rewind), format: format, next: at, back: none, known: at == 0}
	if q.follow = f; at > 0 {
		f.looking = true
		f.goTo(b, max(0, at-looksAt), at)
	}
	return f
}

// alone cuts a chunk before the first message that others before it are needed for, where
// they are not known yet; false where that is its first one.
func (f *following) alone(b *bundle, c *chunk) bool {
	if f.known {
		return true
	}
	for i, r := range c.records {
		if r.Value == nil || r.Attrs.IsControl() || f.Alone(b.raw(r)) {
			continue
		}
		if i > 0 {
			c.records, c.next, c.caughtUp = c.records[:i], r.Offset, time.Time{}
		}
		return i > 0
	}
	return true
}

// goBack begins to read again what the messages before an offset said, for so long before the newest of
// them: it is so long that what they said holds, and that one waits.
func (b *bundle) goBack(ctx context.Context, f *following, at int64) (progress, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	a, err := b.consumer.ask(ctx)
	if err != nil {
		return ended, fmt.Errorf("kafkasource: %w", err)
	}
	from := at
	if f.newest != 0 {
		from, err = a.since(ctx, &b.p, f.newest.Add(-b.Config.Rewind))
	}
	switch {
	case err != nil && (passing(err) || errors.Is(err, context.DeadlineExceeded)):
		return waiting, nil
	case err != nil:
		return ended, fmt.Errorf("kafkasource: %s: %w", b.p.key(), err)
	case from >= at: // there is nothing
		f.known, f.looking, f.next = true, false, at
		if f.back != none {
			f.back = none
			b.consumer.rewind(b.queue, at)
		}
		return some, nil
	}
	slog.Info("what was said before is read again", "topic", b.p.Topic, "partition", b.p.ID, "from", from, "to", at)
	f.looking = false
	f.goTo(b, from, at)
	return some, nil
}

// askTime bounds a question to the brokers, which are asked again.
const askTime = 10 * time.Second

// before shows the follower some of what lies before the bundle's place. Nothing of it is given.
func (b *bundle) before(ctx context.Context, f *following) (progress, error) {
	if f.next >= f.back {
		return b.arrived(ctx, f)
	}
	drop := func(flow.Raw) {}
	c := b.consumer.peek(b.queue, f.back)
	switch {
	case errors.Is(c.err, kerr.OffsetOutOfRange): // deleted
		a, err := b.consumer.ask(ctx)
		if err != nil {
			return ended, fmt.Errorf("kafkasource: %w", err)
		}
		low, _, err := a.bounds(ctx, &b.p)
		switch {
		case err != nil && passing(err):
			return waiting, nil
		case err != nil:
			return ended, fmt.Errorf("kafkasource: %s: %w", b.p.key(), err)
		}
		f.goTo(b, min(max(low, f.next), f.back), f.back)
		c = chunk{next: f.next}
	case c.err != nil:
		return b.trouble(ctx, c.err)
	case c.next == f.next:
		return waiting, nil
	}
	for _, r := range c.records {
		f.newest = max(f.newest, millis(r))
		switch {
		case r.Value == nil || r.Attrs.IsControl():
		case f.looking:
			f.needed = f.needed || !f.Alone(b.raw(r))
		default:
			f.show(b.raw(r), b.sender(r), drop)
		}
	}
	b.consumer.take(b.queue, &c)
	f.next = c.next
	if f.next < f.back {
		return some, nil
	}
	return b.arrived(ctx, f)
}

// arrived says what follows when all before the bundle's place was shown.
func (b *bundle) arrived(ctx context.Context, f *following) (progress, error) {
	switch {
	case f.looking && f.needed:
		return b.goBack(ctx, f, f.back)
	case f.looking:
		f.looking, f.back = false, none
	default:
		f.back, f.known = none, true
		f.Counts(func(string, int64) {})
		slog.Info("what was said before is known", "topic", b.p.Topic, "partition", b.p.ID, "to", f.next)
	}
	return some, nil
}

// idle gives what has waited for too long in a partition that had nothing new for a rewind until
// now. While messages come it is their timestamps that say how long something waited. What is
// given is not of the bundle's place: should the bundle fail, it has to be found again.
func (b *bundle) idle(ctx context.Context, now flow.Time) error {
	f := b.queue.follow
	if f == nil || f.back != none || f.next != b.span().Next || f.newest.Add(b.Config.Rewind) > now || time.Since(f.shown) < b.Config.Rewind {
		return nil
	}
	b.queue.follow = nil
	_, err := b.give(ctx, 0, func(give func(flow.Raw)) { f.Until(now, give) })
	b.told(f)
	return err
}

// flush gives what waits, at the end of what is read.
func (b *bundle) flush(ctx context.Context) error {
	f := b.queue.follow
	if f == nil || f.back != none || f.next != b.span().Next {
		return nil
	}
	b.queue.follow = nil
	_, err := b.give(ctx, 0, func(give func(flow.Raw)) { f.End(give) })
	b.told(f)
	return err
}

// told counts what the follower saw.
func (b *bundle) told(f *following) {
	if b.tally.said == nil {
		b.tally.said = map[[2]string]int64{}
	}
	f.Counts(func(name string, n int64) { b.tally.said[[2]string{f.format, name}] += n })
}

// sender is the address of who sent what a message holds: its key, where that is an address in
// text, or a header's value.
func (b *bundle) sender(r *kgo.Record) netip.Addr {
	text := r.Key
	if name := b.Config.exporterHeader(); name != "" {
		text = nil
		for i := range r.Headers {
			if r.Headers[i].Key == name {
				text = r.Headers[i].Value
			}
		}
	}
	if len(text) < len("::") || len(text) > 64 {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(string(text))
	if err != nil {
		ap, _ := netip.ParseAddrPort(string(text))
		a = ap.Addr()
	}
	return a.WithZone("").Unmap()
}
