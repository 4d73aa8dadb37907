package job

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/sources/pubsubsource"
)

func (o *Options) readsPubSub() bool { return len(o.PubSubInput) > 0 }

// Where the read of subscriptions begins, besides at a time.
const (
	startSubscription = "subscription"
	startResume       = "resume"
)

// readSubscriptions reads the options' subscriptions of Pub/Sub. now is the time of the launch.
func (o *Options) readSubscriptions(s beam.Scope, now time.Time, header string) (Input, error) {
	project, names, err := o.subscriptions()
	opts, err2 := o.pubsubOptions(now, header)
	if err := errors.Join(err, err2); err != nil {
		return Input{}, err
	}
	raw, failures, counts := pubsubsource.Read(s, project, names, opts...)
	return Input{raw, failures, counts}, nil
}

var subscriptionName = regexp.MustCompile(`^projects/([^/]+)/subscriptions/([^/]+)$`)

// subscriptions are the project and the names of the subscriptions in it.
func (o *Options) subscriptions() (project string, names []string, err error) {
	var errs []error
	for _, full := range o.PubSubInput {
		m := subscriptionName.FindStringSubmatch(full)
		if m == nil {
			errs = append(errs, fmt.Errorf("%q is not projects/PROJECT/subscriptions/SUBSCRIPTION", full))
			continue
		}
		if project == "" {
			project = m[1]
		}
		if m[1] != project {
			errs = append(errs, fmt.Errorf("%s is not of the first one's project, %s: a run reads those of one", full, project))
			continue
		}
		names = append(names, m[2])
	}
	return project, names, errors.Join(errs...)
}

// pubsubOptions are those of the subscriptions that are read, and what is wrong with where
// they start and stop.
func (o *Options) pubsubOptions(now time.Time, header string) (opts []pubsubsource.Option, err error) {
	opts = []pubsubsource.Option{
		pubsubsource.Format(o.Format), pubsubsource.DataCenter(o.DataCenter), pubsubsource.Tenant(o.Tenant),
		pubsubsource.Header(header), pubsubsource.MaxMessage(o.MaxLine),
		pubsubsource.Skew(o.Skew), pubsubsource.MaxHold(o.MaxHold),
		pubsubsource.SnapshotEvery(o.PubSubSnapshotEvery), pubsubsource.KeepSnapshots(o.keepSnapshots()),
	}
	if o.Runner == dataflowRunner { // which has a reader of its own
		opts = append(opts, pubsubsource.Runner(o.Runner))
	}
	if o.local() {
		opts = append(opts, pubsubsource.OneProcess())
	}
	if o.PubSubCredentials != "" {
		opts = append(opts, pubsubsource.Credentials(o.PubSubCredentials))
	}
	if o.PubSubEndpoint != "" {
		opts = append(opts, pubsubsource.Endpoint(o.PubSubEndpoint))
	}
	if o.MaxRate > 0 {
		opts = append(opts, pubsubsource.MaxRate(float64(o.MaxRate)))
	}
	var errs []error
	switch name, isAttribute := strings.CutPrefix(o.PubSubEventTime, "attribute:"); {
	case isAttribute:
		opts = append(opts, pubsubsource.TimestampAttribute(name))
	case o.PubSubEventTime == "publish":
		opts = append(opts, pubsubsource.EventTime("timestamp"))
	case o.PubSubEventTime != "payload":
		errs = append(errs, fmt.Errorf("pubsub_event_time: %q is none of payload, publish and attribute:NAME", o.PubSubEventTime))
	}
	start := o.Start
	if start == "" && o.local() { // its state dies with it: anything else loses what a killed run had acknowledged
		start = startResume
	}
	switch start {
	case "", startSubscription:
	case startResume:
		opts = append(opts, pubsubsource.StartResume(o.resumeBack()))
	case "earliest", "latest", "committed":
		errs = append(errs, fmt.Errorf("start: %q is for topics (--kafka_input); a subscription begins where it stands, or as far back as an age such as 168h says: latest is 0s", o.Start))
	default:
		t, err := startTime(o.Start, now, "subscription, resume")
		if errs = append(errs, err); err == nil {
			opts = append(opts, pubsubsource.StartTime(t))
		}
	}
	if o.Stop != "" {
		errs = append(errs, errors.New("stop: a subscription has no end; --run_for and an interrupt end the run"))
	}
	return opts, errors.Join(errs...)
}

// resumeMargin is how much further than it must a run goes back that resumes: a minute is how
// far the source's watermark is behind where it could be, as it is that of the lowest of a
// minute's messages, and the other is for what is under way.
const resumeMargin = 2 * time.Minute

// resumeBack is how long before the last snapshot of a run that was killed all is stored that
// was read: the records of the windows that were not whole then were read after it.
func (o *Options) resumeBack() time.Duration { return o.back() + o.margin }

// keepSnapshots is for how long snapshots are kept: a run that resumes goes back by them, and
// it is not known beforehand which run will be resumed.
func (o *Options) keepSnapshots() time.Duration { return max(o.resumeBack(), 30*time.Minute) }

// maxSnapshots is how many snapshots a project has at most.
// Source: https://cloud.google.com/pubsub/quotas#resource_limits
const maxSnapshots = 5000

func (o *Options) validatePubSub(add func(string, error)) {
	project, names, err := o.subscriptions()
	add("pubsub_input", err)
	opts, err := o.pubsubOptions(time.Now(), "")
	add("pubsub_input", err)
	if every := o.PubSubSnapshotEvery; every > 0 {
		if n := len(names) * int(o.keepSnapshots()/every+2); n > maxSnapshots {
			add("pubsub_snapshot_every", fmt.Errorf("%v would make %d snapshots of %d subscriptions within %v, for which they are kept, and a project has %d at most", every, n, len(names), o.keepSnapshots(), maxSnapshots))
		}
	}
	if len(names) > 0 && asks() {
		add("pubsub_input", pubsubsource.Validate(context.Background(), project, names, opts...))
	}
}
