package pubsubsource

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// restore takes the subscription back to a place that this process did not hand out last.
// Nothing may be acknowledged any more of what was received before: it would be lost.
func (x *subscriber) restore(ctx context.Context, at place) error {
	x.next = place{}
	x.tell() // what was not kept is told anew when it comes again
	x.forget()
	if err := x.letGo(ctx); err != nil {
		return err
	}
	s, err := x.c.Connection.open(ctx, x.c.Project)
	if err != nil {
		return err
	}
	x.anchored, x.snapshot, x.again = false, "", time.Time{}
	err = x.position(ctx, s, at)
	if err != nil {
		s.Close()
		return err
	}
	x.receive(s)
	return nil
}

func (x *subscriber) position(ctx context.Context, s service, at place) error {
	sub, err := s.look(ctx, x.name)
	if err != nil {
		return err
	}
	x.topic = sub.Topic
	if at.Snapshot == "" {
		return x.start(ctx, s)
	}
	if err := s.seekTo(ctx, x.name, at.Snapshot); err != nil {
		if status.Code(err) == codes.NotFound {
			return fmt.Errorf("%w: the checkpoint names a snapshot that is gone: they are kept for %v (KeepSnapshots), and 7 days at most. "+
				"Start without the checkpoint, after a seek to before it: gcloud pubsub subscriptions seek %s --time=TIME", err, x.c.KeepSnapshots, x.name)
		}
		return err
	}
	slog.Info("a subscription was sought back: messages come again", "subscription", x.name, "snapshot", at.Snapshot)
	x.anchorAt(at.Snapshot)
	return nil
}

// anchorAt notes a snapshot to go back to.
func (x *subscriber) anchorAt(name string) {
	x.snapshot, x.anchored, x.anchor = name, true, time.Now()
	if s, ok := parseSnapshot(x.stem, name); ok && s.at.After(x.newest) {
		x.newest = s.at
	}
}

// first is the snapshot of where a run found the subscription. Its name is known before it
// is made, so that a runner that goes back to the beginning finds it.
func (x *subscriber) first() snapshot { return newSnapshot(x.stem, x.c.Built, x.c.Run) }

// start finds where a read begins.
func (x *subscriber) start(ctx context.Context, s service) error {
	all, err := s.snapshots(ctx, x.c.Project, x.stem)
	if err != nil {
		return err
	}
	if x.c.Start.Kind == byTime {
		if err := s.seekTime(ctx, x.name, x.c.Start.Time.Std()); err != nil {
			return err
		}
		// The first snapshot is made before anything is acknowledged: who resumes this run goes
		// back to it. Other runs' of since then tell of acknowledgements that the seek took back.
		return s.remove(ctx, slices.DeleteFunc(all, func(old snapshot) bool {
			return old.run == x.c.Run || old.at.Before(x.c.Start.Time.Std())
		}))
	}
	if x.c.Start.Kind == byResume {
		if from, void, ok := resume(all, x.c.Run, x.c.Start.Back); ok {
			if err := s.seekTo(ctx, x.name, from.full); err != nil {
				return err
			}
			if err := s.remove(ctx, void); err != nil {
				return err
			}
			slog.Info("a subscription was sought back: messages come again", "subscription", x.name, "snapshot", from.full)
			x.anchorAt(from.full)
			return nil
		}
		slog.Info("there is no snapshot to resume from: the read begins where the subscription stands", "subscription", x.name)
	}
	for _, old := range all {
		if old.run == x.c.Run && old.full == x.first().full {
			break
		}
		if old.run == x.c.Run {
			return fmt.Errorf("%s: the runner went back to the beginning of the run, at %v, and the first snapshot is gone: they are kept for %v (KeepSnapshots). "+
				"Start a new run, after a seek to that time: gcloud pubsub subscriptions seek %s --time=TIME", x.name, x.c.Built.UTC().Format(time.RFC3339), x.c.KeepSnapshots, x.name)
		}
	}
	switch err := s.snapshot(ctx, x.name, x.first().full); status.Code(err) {
	case codes.OK:
		x.anchorAt(x.first().full)
	case codes.AlreadyExists: // the runner went back to the beginning
		if err := s.seekTo(ctx, x.name, x.first().full); err != nil {
			return err
		}
		x.anchorAt(x.first().full)
	default:
		x.noSnapshot(err)
	}
	return nil
}
