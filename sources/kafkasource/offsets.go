package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
)

// forever is the end of a partition that is read without end.
const forever = math.MaxInt64

// partition is one partition of a topic with the offsets [Start, End) to read: the element
// that the reading DoFn works on.
type partition struct {
	Topic      string
	ID         int64
	Start, End int64
}

func (p *partition) key() string { return fmt.Sprintf("%s/%d", p.Topic, p.ID) }

// catalog asks the brokers for topics and offsets.
type catalog struct {
	c     *config
	admin *kadm.Client
}

func openCatalog(ctx context.Context, c *config) (*catalog, error) {
	opts, err := c.Options(ctx)
	if err != nil {
		return nil, err
	}
	k, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return &catalog{c, kadm.NewClient(k)}, nil
}

func (a *catalog) close() { a.admin.Close() }

// partitions counts the partitions of each topic that is read. A topic that is named and
// absent is an error.
func (a *catalog) partitions(ctx context.Context) (map[string]int, error) {
	ask := a.c.Topics
	if a.c.pattern != nil {
		ask = nil // all
	}
	details, err := a.admin.ListTopics(ctx, ask...)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	var errs []error
	for _, t := range details.Sorted() {
		named := slices.Contains(a.c.Topics, t.Topic)
		if !named && (a.c.pattern == nil || !a.c.pattern.MatchString(t.Topic) || t.IsInternal) {
			continue
		}
		if t.Err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", t.Topic, t.Err))
			continue
		}
		out[t.Topic] = len(t.Partitions)
	}
	for _, t := range a.c.Topics {
		if _, ok := details[t]; !ok {
			errs = append(errs, fmt.Errorf("topic %s: %w", t, kerr.UnknownTopicOrPartition))
		}
	}
	if len(errs) == 0 && len(out) == 0 && a.c.Stop.Kind != "" {
		errs = append(errs, fmt.Errorf("no topic matches %q", a.c.Pattern))
	}
	return out, errors.Join(errs...)
}

// resolve gives partitions, all of which are new, their offsets. first says that the read
// begins; partitions that are found later are read from their first message.
func (a *catalog) resolve(ctx context.Context, found []partition, first bool) error {
	topics := map[string]bool{}
	for i := range found {
		topics[found[i].Topic] = true
	}
	names := slices.Sorted(maps.Keys(topics))
	low, err := a.listed(a.admin.ListStartOffsets(ctx, names...))
	if err != nil {
		return err
	}
	high, err := a.ends(ctx, names)
	if err != nil {
		return err
	}
	start, stop := low, func(*partition) (int64, error) { return forever, nil }
	if first {
		if start, err = a.at(ctx, a.c.Start, names, low, high, low); err != nil {
			return fmt.Errorf("where to start: %w", err)
		}
	}
	if a.c.Stop.Kind != "" {
		if stop, err = a.at(ctx, a.c.Stop, names, low, high, high); err != nil {
			return fmt.Errorf("where to stop: %w", err)
		}
	}
	var errs []error
	for i := range found {
		p := &found[i]
		var e1, e2 error
		p.Start, e1 = start(p)
		p.End, e2 = stop(p)
		p.End = max(p.End, p.Start)
		errs = append(errs, e1, e2)
	}
	return errors.Join(errs...)
}

// offsets finds an offset of a partition.
type offsets func(*partition) (int64, error)

func (a *catalog) listed(l kadm.ListedOffsets, err error) (offsets, error) {
	return func(p *partition) (int64, error) {
		o, ok := l.Lookup(p.Topic, int32(p.ID))
		if !ok {
			return 0, fmt.Errorf("%s: no broker told an offset", p.key())
		}
		if o.Err != nil {
			return 0, fmt.Errorf("%s: %w", p.key(), o.Err)
		}
		return o.Offset, nil
	}, err
}

// ends are the offsets after the last message that may be read.
func (a *catalog) ends(ctx context.Context, topics []string) (offsets, error) {
	if a.c.ReadCommitted {
		return a.listed(a.admin.ListCommittedOffsets(ctx, topics...))
	}
	return a.listed(a.admin.ListEndOffsets(ctx, topics...))
}

// at finds the offsets of a place, and those of missing where it says nothing of a
// partition.
func (a *catalog) at(ctx context.Context, p place, topics []string, low, high, missing offsets) (offsets, error) {
	switch p.Kind {
	case latest:
		return high, nil
	case byTime:
		return a.listed(a.admin.ListOffsetsAfterMilli(ctx, int64(p.Time)/1e6, topics...))
	case byOffset:
		return func(x *partition) (int64, error) {
			if o, ok := p.Offsets[x.key()]; ok {
				return o, nil
			}
			return missing(x)
		}, nil
	case committed:
		r, err := a.committed(ctx)
		if err != nil {
			return nil, err
		}
		return func(x *partition) (int64, error) {
			if o, ok := r.Lookup(x.Topic, int32(x.ID)); ok && o.Err == nil && o.At >= 0 {
				return o.At, nil
			}
			return missing(x)
		}, nil
	}
	return low, nil
}

// committed is where the group stands. A broker that was asked for the first group of all
// has no coordinator for a while.
func (a *catalog) committed(ctx context.Context) (kadm.OffsetResponses, error) {
	for {
		r, err := a.admin.FetchOffsets(ctx, a.c.Group)
		switch {
		case err == nil, errors.Is(err, kerr.GroupIDNotFound): // it has committed nothing
			return r, nil
		case !kerr.IsRetriable(err):
			return nil, fmt.Errorf("group %s: %w", a.c.Group, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("group %s: %w", a.c.Group, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// bounds are the offsets that a partition has now.
func (a *catalog) bounds(ctx context.Context, p *partition) (low, high int64, err error) {
	start, err := a.listed(a.admin.ListStartOffsets(ctx, p.Topic))
	if err != nil {
		return 0, 0, err
	}
	if low, err = start(p); err != nil {
		return 0, 0, err
	}
	high, err = a.end(ctx, p)
	return low, high, err
}

// since is the offset of a partition's first message with a timestamp of t or later.
func (a *catalog) since(ctx context.Context, p *partition, t flow.Time) (int64, error) {
	first, err := a.listed(a.admin.ListOffsetsAfterMilli(ctx, max(0, int64(t)/1e6), p.Topic))
	if err != nil {
		return 0, err
	}
	return first(p)
}

// end is the offset after a partition's last message that may be read.
func (a *catalog) end(ctx context.Context, p *partition) (int64, error) {
	ends, err := a.ends(ctx, []string{p.Topic})
	if err != nil {
		return 0, err
	}
	return ends(p)
}

// millis is a message's timestamp.
func millis(r *kgo.Record) flow.Time { return flow.TimeOf(r.Timestamp) }
