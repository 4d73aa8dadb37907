package pubsubsource

import (
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/flowbeam/flowbeam/flow"
)

// says checks that an error has all parts.
func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
}

func TestValidateSaysAllThatIsWrong(t *testing.T) {
	says(t, Validate(t.Context(), "Bad", []string{"x", "flows", "flows"}, Format("nothing"), Skew(-1), EventTime("moon"), Checkpoint(0, 0), Outstanding(0, 1),
		DataCenter("(a)(b)"), SnapshotPrefix("goog"), KeepSnapshots(1000*time.Hour), Credentials("secret"), Emulator("nowhere"), Runner("spark"), StartResume(-1), Streams(0), Name("")),
		`"projects/Bad/subscriptions/x"`, "named twice", `"nothing" is not registered`, "Skew", "EventTime", "Checkpoint", "Outstanding", "2 groups", "SnapshotPrefix", "KeepSnapshots",
		"Credentials", "Emulator", "Runner", "StartResume", "Streams", "Name")
	if err := Validate(t.Context(), project, nil); err == nil {
		t.Error("no subscriptions")
	}
	says(t, Validate(t.Context(), project, []string{"flows"}, StartResume(time.Hour), SnapshotEvery(40*time.Minute), IDAttribute("id")), "KeepSnapshots", "SnapshotEvery", "IDAttribute")
	says(t, Validate(t.Context(), project, []string{"flows"}, Runner("dataflow"), StartTime(time.Now()), Emulator("127.0.0.1:1"), MaxRate(1)), "seek", "connection", "MaxRate")
}

func TestValidateAsksForEachSubscription(t *testing.T) {
	f := newFake(t, "flows", "pushed", "lossy")
	f.subs[fullSubscription("pushed")].about.PushConfig = &pubsubpb.PushConfig{PushEndpoint: "https://example.com"}
	s := f.subs[fullSubscription("lossy")].about
	s.RetainAckedMessages, s.EnableExactlyOnceDelivery, s.Topic = false, true, "_deleted-topic_"
	s.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: "projects/flowbeam-test/topics/dead"}
	if err := Validate(t.Context(), project, []string{"flows"}, Emulator(f.addr)); err != nil {
		t.Error(err)
	}
	says(t, Validate(t.Context(), project, []string{"flows", "pushed", "lossy", "absent"}, Emulator(f.addr)),
		"absent does not exist", "gcloud pubsub subscriptions create", "pushed delivers its messages elsewhere", "lossy has no topic",
		"gcloud pubsub subscriptions update lossy --retain-acked-messages", "exactly-once", "lossy moves messages to")
	validateTime = 300 * time.Millisecond
	defer func() { validateTime = 20 * time.Second }()
	says(t, Validate(t.Context(), project, []string{"flows"}, Emulator("127.0.0.1:1")), "subscriptions/flows")
}

func TestDataCenterOfNames(t *testing.T) {
	for _, c := range []struct{ spec, subscription, topic, want string }{
		{"fra", "x", "y", "fra"},
		{"^flows-(.+)$", "flows-fra", "flows-ams", "fra"},
		{"^flows-(.+)$", "reader", "flows-ams", "ams"},
		{"^flows-(.+)$", "reader", "other", ""},
		{"attribute:dc", "flows-fra", "y", ""},
	} {
		n, err := parseNaming(c.spec)
		if got := n.of(c.subscription, c.topic); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if _, err := parseNaming("attribute:"); err == nil {
		t.Error("an attribute without a name")
	}
}

func TestParseTime(t *testing.T) {
	want := flow.TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	for _, text := range []string{"2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00", "1767323045000"} {
		if got, ok := parseTime(text); !ok || got != want {
			t.Errorf("%s: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "soon", "-5", "0", "9999999999999999", "9223372036854775807", "2026-01-02", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		if got, ok := parseTime(text); ok {
			t.Errorf("%s: %v", text, got)
		}
	}
}
