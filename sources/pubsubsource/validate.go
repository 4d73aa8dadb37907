package pubsubsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Validate says what would be wrong with Read, all problems at once: names and options, and
// where they are right each subscription: whether it exists, and is made so that nothing of
// it can be lost.
func Validate(ctx context.Context, project string, subscriptions []string, opts ...Option) error {
	c, err := newConfig(project, subscriptions, opts)
	if err != nil {
		return fmt.Errorf("pubsubsource: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, validateTime)
	defer cancel()
	s, err := c.Connection.open(ctx, project)
	if err != nil {
		return fmt.Errorf("pubsubsource: %w", err)
	}
	defer s.Close()
	var errs []error
	for _, name := range c.Subscriptions {
		found, err := s.look(ctx, name)
		if status.Code(err) == codes.NotFound {
			err = fmt.Errorf("%s does not exist: create it (gcloud pubsub subscriptions create), or check project and name: %w", name, err)
		}
		if err == nil {
			err = c.fit(found)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("pubsubsource: %w", err)
	}
	return nil
}

// validateTime bounds Validate where the service does not answer.
var validateTime = 20 * time.Second

// fit says why a subscription can't be read, or not without loss.
func (c *config) fit(s *pubsubpb.Subscription) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s "+format, append([]any{s.Name}, args...)...))
	}
	id := lastPart(s.Name)
	switch {
	case s.GetPushConfig().GetPushEndpoint() != "" || s.GetBigqueryConfig().GetTable() != "" || s.GetCloudStorageConfig().GetBucket() != "":
		bad("delivers its messages elsewhere, by push or export, and can't be pulled: gcloud pubsub subscriptions update %s --push-endpoint=, or make another", id)
	case s.Detached || s.Topic == "_deleted-topic_":
		bad("has no topic any more: make another (gcloud pubsub subscriptions create)")
	}
	if c.Runner == dataflow {
		return errors.Join(errs...)
	}
	if !s.RetainAckedMessages {
		bad("does not retain acknowledged messages: they are gone once no snapshot has them, for StartTime and for who seeks by hand: gcloud pubsub subscriptions update %s --retain-acked-messages --message-retention-duration=7d", id)
	}
	if s.EnableExactlyOnceDelivery {
		bad("has exactly-once delivery, whose acknowledgements the client repeats in the background, also after a seek, which would lose messages; nothing is gained by it, as record ids tell what came twice: gcloud pubsub subscriptions update %s --no-enable-exactly-once-delivery", id)
	}
	if t := s.GetDeadLetterPolicy().GetDeadLetterTopic(); t != "" {
		bad("moves messages to %s after some deliveries, and each restart delivers anew what was not acknowledged: gcloud pubsub subscriptions update %s --clear-dead-letter-policy; broken messages become dead letters of the pipeline", t, id)
	}
	return errors.Join(errs...)
}

// Install makes a topic, where it is absent, and subscriptions of it as Validate wants them:
// they retain acknowledged messages for 7 days, have an acknowledgement deadline of a minute
// and do not expire. Subscriptions that are there are left as they are. Of opts only those
// of the connection count.
func Install(ctx context.Context, project, topic string, subscriptions []string, opts ...Option) error {
	c, err := newConfig(project, subscriptions, opts)
	if err != nil {
		return fmt.Errorf("pubsubsource: %w", err)
	}
	s, err := c.Connection.open(ctx, project)
	if err != nil {
		return fmt.Errorf("pubsubsource: %w", err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	full := "projects/" + project + "/topics/" + strings.TrimPrefix(topic, "projects/"+project+"/topics/")
	if _, err := s.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: full}); err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("pubsubsource: %w", explain(err, "create "+full, "roles/pubsub.editor on the project"))
	}
	for _, name := range c.Subscriptions {
		_, err := s.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
			Name: name, Topic: full, AckDeadlineSeconds: 60, RetainAckedMessages: true,
			MessageRetentionDuration: durationpb.New(7 * 24 * time.Hour),
			ExpirationPolicy:         &pubsubpb.ExpirationPolicy{}, // never
		})
		if err != nil && status.Code(err) != codes.AlreadyExists {
			return fmt.Errorf("pubsubsource: %w", explain(err, "create "+name, "roles/pubsub.editor on the project"))
		}
	}
	return nil
}
