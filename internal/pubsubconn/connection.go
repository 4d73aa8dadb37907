// Package pubsubconn is how sinks, sources and the collector reach Pub/Sub.
package pubsubconn

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"regexp"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/flowbeam/flowbeam/internal/secret"
)

// Connection says how the service is reached. It travels to the workers, so there is no
// secret in it, only references.
type Connection struct {
	Endpoint    string // "" = the global one
	Emulator    string
	Credentials secret.Ref // "" = the worker's own
}

// SetEndpoint sets the service's address, host:port.
func (c *Connection) SetEndpoint(address string) error {
	c.Endpoint = address
	return checkAddress("Endpoint", address)
}

// SetEmulator sets an emulator's address, host:port.
func (c *Connection) SetEmulator(address string) error {
	c.Emulator = address
	return checkAddress("Emulator", address)
}

// SetCredentials refers to the key of a service account.
func (c *Connection) SetCredentials(ref string) error {
	c.Credentials = secret.Ref(ref)
	if err := c.Credentials.Check(); err != nil {
		return fmt.Errorf("Credentials: %w", err)
	}
	return nil
}

// Source: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
var topicName = regexp.MustCompile(`^projects/(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]/topics/[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)

// CheckTopic says whether name, projects/PROJECT/topics/TOPIC, can be that of a topic.
func CheckTopic(name string) error {
	if !topicName.MatchString(name) {
		return fmt.Errorf("%q: want a project's id, of 6 to 30 lower-case letters, digits and hyphens, and a topic's, of 3 to 255 letters, digits and -._~+%%, which begins with a letter", name)
	}
	return nil
}

func checkAddress(name, address string) error {
	if host, _, err := net.SplitHostPort(address); err != nil || host == "" {
		return fmt.Errorf("%s: %q: want host:port", name, address)
	}
	return nil
}

// Options are those of a client. The key is read anew each time.
func (c Connection) Options(ctx context.Context) (opts []option.ClientOption, err error) {
	switch {
	case c.Emulator != "":
		opts = append(opts, option.WithEndpoint(c.Emulator), option.WithoutAuthentication(), option.WithTelemetryDisabled(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	case c.Endpoint != "":
		opts = append(opts, option.WithEndpoint(c.Endpoint))
	}
	if c.Credentials != "" {
		key, err := c.Credentials.Read(ctx)
		if err != nil {
			return nil, err
		}
		var head struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(key, &head) != nil || head.Type != string(option.ServiceAccount) { // the cause may quote the key
			return nil, fmt.Errorf("%s is not the key of a service account in JSON", c.Credentials)
		}
		opts = append(opts, option.WithAuthCredentialsJSON(option.ServiceAccount, key))
	}
	return opts, nil
}
