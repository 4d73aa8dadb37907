package pubsubsource

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// settle acknowledges what is done. A snapshot comes first, where it is time for one: what
// is acknowledged in it is part of what the runner keeps with its name.
func (x *subscriber) settle(ctx context.Context) {
	now := time.Now()
	if (!x.anchored || now.Sub(x.anchor) >= x.c.SnapshotEvery) && !now.Before(x.again) {
		next := x.first()
		if x.anchored {
			at := now
			if least := x.newest.Add(time.Millisecond); at.Before(least) { // names grow, whatever the clock does
				at = least
			}
			next = newSnapshot(x.stem, at, x.c.Run)
		}
		err := x.stream.service.snapshot(ctx, x.name, next.full)
		if err == nil || !x.anchored && status.Code(err) == codes.AlreadyExists { // the reply was lost: nothing was acknowledged since
			x.anchorAt(next.full)
			x.clean(now)
		} else {
			x.noSnapshot(err)
		}
	}
	if !x.anchored || time.Since(x.anchor) > x.c.KeepSnapshots {
		return
	}
	x.drop(x.done) // so that no delivery is added any more
	for _, m := range x.done {
		for _, d := range m.deliveries {
			d.Ack()
		}
	}
	x.acked += int64(len(x.done))
	x.done = nil
}

// noSnapshot goes on without one: nothing is acknowledged for long, and what is held is
// bounded, so that the reading stops by itself.
func (x *subscriber) noSnapshot(err error) {
	x.again = time.Now().Add(snapshotPause)
	x.warn("there is no new snapshot; what is read is not acknowledged for longer than snapshots are kept, and the reading stops at the bound of what may be outstanding", err)
}

// snapshotPause is how long a snapshot that failed is left alone.
var snapshotPause = 10 * time.Second

func (x *subscriber) warn(what string, err error) {
	if time.Since(x.warned) >= 30*time.Second {
		x.warned = time.Now()
		slog.Warn(what, "subscription", x.name, "error", err)
	}
}

// clean deletes old snapshots now and then; nothing waits for it.
func (x *subscriber) clean(now time.Time) {
	if now.Sub(x.cleaned) < x.c.KeepSnapshots/8 {
		return
	}
	x.cleaned = now
	used := x.snapshot
	go func() {
		s, err := x.c.Connection.open(context.Background(), x.c.Project)
		if err == nil {
			defer s.Close()
			var all []snapshot
			if all, err = s.snapshots(context.Background(), x.c.Project, x.stem); err == nil {
				err = s.remove(context.Background(), stale(all, now, x.c.KeepSnapshots, used))
			}
		}
		if err != nil {
			slog.Warn("old snapshots are not deleted", "subscription", x.name, "error", err)
		}
	}()
}
