package job

import (
	"strings"
	"testing"
	"time"
)

func problems(o *Options) string {
	var text strings.Builder
	for _, e := range o.Validate() {
		text.WriteString(e.Error() + "\n")
	}
	return text.String()
}

func TestWhatASubscriptionNeedsIsSaidBeforeTheRun(t *testing.T) {
	o := small(t, "x")
	o.KafkaInput = []string{"nohost"}
	o.PubSubInput = []string{"flows", "projects/some-project/subscriptions/flows", "projects/other-project/subscriptions/flows"}
	o.Start, o.Stop, o.MaxRate, o.DataCenter, o.PubSubEventTime = "yesterday", "latest", -1, "(a)(b)", "sometime"
	text := problems(o)
	for _, part := range []string{
		"either files", `"flows" is not projects/PROJECT/subscriptions/SUBSCRIPTION`, "projects/other-project/subscriptions/flows is not of the first one's project",
		`"yesterday" is none of subscription, resume, a time`, "a subscription has no end", "--max_rate: -1", "2 groups", `"sometime" is none of payload`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

// A project has no room for the snapshots of many subscriptions over hours.
func TestSoManySnapshotsAsAProjectHasNot(t *testing.T) {
	o := small(t)
	o.DataCenter = "(a)(b)" // no service is asked
	for i := range 30 {
		o.PubSubInput = append(o.PubSubInput, "projects/some-project/subscriptions/flows"+strings.Repeat("x", i))
	}
	if text := problems(o); !strings.Contains(text, "--pubsub_snapshot_every: 1m0s would make 7500 snapshots of 30 subscriptions within 4h8m0s") {
		t.Error(text)
	}
	o.PubSubSnapshotEvery = 2 * time.Minute
	if text := problems(o); strings.Contains(text, "would make") {
		t.Error(text)
	}
}

// What one kind of stream calls a start the other does not.
func TestWhereAStreamMayBegin(t *testing.T) {
	for _, c := range []struct{ start, topics, subscriptions string }{
		{"", "", ""},
		{"3h", "", ""},
		{"2026-01-31T00:00:00Z", "", ""},
		{"earliest", "", `"earliest" is for topics`},
		{"latest", "", `"latest" is for topics`},
		{"committed", "", `"committed" is for topics`},
		{"subscription", `"subscription" is for subscriptions`, ""},
		{"resume", `"resume" is for subscriptions`, ""},
	} {
		o := small(t)
		o.Start, o.KafkaInputGroup = c.start, "group"
		_, err := o.kafkaOptions(time.Now())
		_, err2 := o.pubsubOptions(time.Now())
		for _, x := range []struct {
			kind, want string
			err        error
		}{{"topics", c.topics, err}, {"subscriptions", c.subscriptions, err2}} {
			if x.want == "" && x.err != nil || x.want != "" && (x.err == nil || !strings.Contains(x.err.Error(), x.want)) {
				t.Errorf("%s from %q: error %v, want %q", x.kind, c.start, x.err, x.want)
			}
		}
	}
}

// A run that resumes goes back past all windows that may not have been whole.
func TestHowFarARunGoesBackThatResumes(t *testing.T) {
	o := small(t)
	if d, want := o.resumeBack(), 2*time.Hour+time.Hour+5*time.Minute+time.Minute+time.Hour+2*time.Minute; d != want || o.keepSnapshots() < d {
		t.Errorf("%v back, want %v; snapshots are kept for %v", d, want, o.keepSnapshots())
	}
	o.Rollup = []string{"off"}
	if d, want := o.resumeBack(), time.Hour+8*time.Minute; d != want {
		t.Errorf("without rollups %v back, want %v", d, want)
	}
	o.ahead = 0
	if d := o.keepSnapshots(); d != 30*time.Minute {
		t.Errorf("snapshots are kept for %v", d)
	}
	o.PubSubInput = []string{"projects/some-project/subscriptions/flows"}
	if s := o.resume(time.Now()); s != "resume" {
		t.Errorf("a run that goes on begins with %q", s)
	}
}
