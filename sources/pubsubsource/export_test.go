package pubsubsource

import "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

// StartFake starts a Pub/Sub of flowbeam-test in this process, with a subscription of which
// messages wait.
func StartFake(subscription string, texts ...string) (address string, stop func(), err error) {
	f, stop, err := startFake([]string{subscription})
	if err != nil {
		return "", nil, err
	}
	for _, text := range texts {
		f.publish(&pubsubpb.PubsubMessage{Data: []byte(text)})
	}
	return f.addr, stop, nil
}
