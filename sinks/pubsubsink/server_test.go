package pubsubsink

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// Google's own emulator: 2,000 records in bundles, one of them twice, read back by a
// subscription and compared: each id, and the sum of bytes after a distinct.
func TestTheEmulatorHasEachRecord(t *testing.T) {
	address := testenv.Server(t, "FLOWBEAM_PUBSUB")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := pubsub.NewClient(ctx, project, option.WithEndpoint(address), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	name := fmt.Sprintf("pubsubsink-%d-%d", os.Getpid(), time.Now().UnixNano())
	full := "projects/" + project + "/topics/" + name
	if err := Validate(ctx, project, name, Emulator(address)); !contains(err, "does not exist") {
		t.Error(err)
	}
	if _, err := c.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: full}); err != nil {
		t.Fatal(err)
	}
	subscription := "projects/" + project + "/subscriptions/" + name
	if _, err := c.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{Name: subscription, Topic: full}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		c.SubscriptionAdminClient.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: subscription})
		c.TopicAdminClient.DeleteTopic(ctx, &pubsubpb.DeleteTopicRequest{Topic: full})
	}()

	records := flowtest.Records(2000, 8)
	o, err := apply(defaults("pubsub", project, name), []Option{Emulator(address), OrderingKey("community_id")})
	if err != nil {
		t.Fatal(err)
	}
	h := flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once)
	const bundle = 500
	for at := 0; at < len(records); at += bundle {
		elements := []any{flow.Batch{Records: records[at : at+300]}, flow.Batch{Records: records[at+300 : at+bundle]}}
		h.Bundle(elements...)
		if at == bundle {
			h.Bundle(elements...) // the runner's retry
		}
	}
	want, wantBytes := map[string]bool{}, int64(0)
	for i := range records {
		if id := records[i].ID.String(); !want[id] {
			want[id] = true
			wantBytes += records[i].Source.Bytes.Or(0)
		}
	}
	var mu sync.Mutex
	ids, messages, sum, strange := map[string]bool{}, map[string]bool{}, int64(0), 0
	receiving, stop := context.WithCancel(ctx)
	err = c.Subscriber(name).Receive(receiving, func(_ context.Context, m *pubsub.Message) {
		m.Ack()
		mu.Lock()
		defer mu.Unlock()
		messages[m.ID] = true
		id := m.Attributes[attributeID]
		if !ids[id] {
			var row struct {
				ID    string `json:"record_id"`
				Bytes int64  `json:"source_bytes"`
			}
			if json.Unmarshal(m.Data, &row) != nil || row.ID != id || !want[id] {
				strange++
			}
			sum += row.Bytes
		}
		ids[id] = true
		if len(messages) >= len(records)+bundle {
			stop()
		}
	})
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) != len(records)+bundle || len(ids) != len(want) || strange != 0 || sum != wantBytes {
		t.Errorf("%d messages, %d ids of %d, %d strange, %d bytes of %d", len(messages), len(ids), len(want), strange, sum, wantBytes)
	}
	t.Logf("%d messages, %d distinct ids, 0 lost, %d bytes as given", len(messages), len(ids), sum)
}
