package pubsubsource

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// snapshot is the name of a snapshot of ours: prefix~subscription~milliseconds~run. They
// grow with time, and no other subscription or prefix has them.
type snapshot struct {
	full string // projects/P/snapshots/S
	at   time.Time
	run  string
}

// Source: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
const maxName = 255

var snapshotEnd = regexp.MustCompile(`^([0-9]{13})~([0-9a-z]+)$`)

// snapshotStem is what the names of a subscription's snapshots begin with.
func snapshotStem(project, prefix, subscription string) string {
	if room := maxName - len(prefix) - 40; len(subscription) > room {
		sum := sha256.Sum256([]byte(subscription))
		subscription = subscription[:room-17] + "~" + hex.EncodeToString(sum[:8])
	}
	return "projects/" + project + "/snapshots/" + prefix + "~" + subscription + "~"
}

func newSnapshot(stem string, at time.Time, run string) snapshot {
	return snapshot{full: fmt.Sprintf("%s%013d~%s", stem, at.UnixMilli(), run), at: time.UnixMilli(at.UnixMilli()), run: run}
}

// parseSnapshot says whether a name is of this stem.
func parseSnapshot(stem, full string) (snapshot, bool) {
	rest, ok := strings.CutPrefix(full, stem)
	m := snapshotEnd.FindStringSubmatch(rest)
	if !ok || m == nil {
		return snapshot{}, false
	}
	ms, err := strconv.ParseInt(m[1], 10, 64)
	return snapshot{full, time.UnixMilli(ms), m[2]}, err == nil
}

func sortSnapshots(all []snapshot) {
	slices.SortFunc(all, func(a, b snapshot) int { return strings.Compare(a.full, b.full) })
}

// stale are those that nothing asks for: older than keep, but for the newest of these, which
// is the way back of a run that was away for longer, and the one in use. all is sorted.
func stale(all []snapshot, now time.Time, keep time.Duration, used string) (old []snapshot) {
	for _, s := range all {
		if now.Sub(s.at) > keep {
			old = append(old, s)
		}
	}
	if len(old) > 0 {
		old = old[:len(old)-1]
	}
	return slices.DeleteFunc(old, func(s snapshot) bool { return s.full == used })
}

// resume chooses from where a run goes on that has no state: the newest snapshot that is at
// least back older than the newest of all, or the oldest there is. What came after it is
// void then: it tells of acknowledgements that the new run takes back. Those of the run
// itself, which begins anew, are none of its past. all is sorted.
func resume(all []snapshot, run string, back time.Duration) (from snapshot, void []snapshot, ok bool) {
	past := slices.DeleteFunc(slices.Clone(all), func(s snapshot) bool { return s.run == run })
	if len(past) == 0 {
		return snapshot{}, nil, false
	}
	newest, at := past[len(past)-1].at, 0
	for i, s := range past {
		if newest.Sub(s.at) >= back {
			at = i
		}
	}
	return past[at], past[at+1:], true
}
