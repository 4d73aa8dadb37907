// Package kafkaconn is how sources and sinks reach Kafka: brokers, TLS and SASL, with
// secrets by reference.
package kafkaconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/flowbeam/flowbeam/internal/secret"
)

// Connection travels to the workers, so there is no secret in it, only references.
type Connection struct {
	Brokers         []string
	ClientID        string
	TLS             bool
	CA, Cert, Key   secret.Ref
	Mechanism, User string // "" = no SASL
	Password        secret.Ref
}

var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// SetTLS encrypts the connections. ca refers to the PEM file of the authorities to trust;
// "" is those of the system.
func (c *Connection) SetTLS(ca string) error {
	c.TLS, c.CA = true, secret.Ref(ca)
	return wrap("TLS", c.CA.Check())
}

// SetClientCertificate shows a certificate to the brokers; both are references to PEM files.
func (c *Connection) SetClientCertificate(cert, key string) error {
	c.TLS, c.Cert, c.Key = true, secret.Ref(cert), secret.Ref(key)
	if cert == "" || key == "" {
		return errors.New("ClientCertificate: want both certificate and key")
	}
	return wrap("ClientCertificate", errors.Join(c.Cert.Check(), c.Key.Check()))
}

// SetSASL names the user and refers to the password.
func (c *Connection) SetSASL(mechanism, user, password string) error {
	c.Mechanism, c.User, c.Password = mechanism, user, secret.Ref(password)
	if !slices.Contains(mechanisms, mechanism) {
		return fmt.Errorf("SASL: %q is none of %v", mechanism, mechanisms)
	}
	if user == "" || password == "" {
		return errors.New("SASL: want a user and a reference to a password")
	}
	return wrap("SASL", c.Password.Check())
}

func wrap(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Check says all that is wrong with the brokers, and refuses to send a password in the
// clear over a network.
func (c *Connection) Check() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("no brokers"))
	}
	local := true
	for _, b := range c.Brokers {
		host, _, err := net.SplitHostPort(b)
		if err != nil || host == "" {
			errs = append(errs, fmt.Errorf("broker %q: want host:port", b))
		}
		ip := net.ParseIP(host)
		local = local && (host == "localhost" || ip != nil && ip.IsLoopback())
	}
	if c.Mechanism == "PLAIN" && !c.TLS && !local {
		errs = append(errs, errors.New("SASL: PLAIN without TLS would send the password in the clear"))
	}
	return errors.Join(errs...)
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// CheckTopic says whether Kafka takes a name for a topic's.
func CheckTopic(name string) error {
	if !topicName.MatchString(name) || name == "." || name == ".." {
		return fmt.Errorf("topic %q: want 1 to 249 of letters, digits, dot, underscore and hyphen", name)
	}
	return nil
}

// Options are those of a client that connects so. Certificates are read now, the password
// for each connection, so that a new one is taken.
func (c *Connection) Options(ctx context.Context) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.SoftwareNameAndVersion("flowbeam", "0.1.0"),
	}
	if c.TLS {
		config, err := c.tls(ctx)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	switch c.Mechanism {
	case "PLAIN":
		opts = append(opts, kgo.SASL(plain.Plain(func(ctx context.Context) (plain.Auth, error) {
			pass, err := c.Password.Resolve(ctx)
			return plain.Auth{User: c.User, Pass: pass.Reveal()}, err
		})))
	case "SCRAM-SHA-256", "SCRAM-SHA-512":
		auth := func(ctx context.Context) (scram.Auth, error) {
			pass, err := c.Password.Resolve(ctx)
			return scram.Auth{User: c.User, Pass: pass.Reveal()}, err
		}
		mechanism := scram.Sha512(auth)
		if c.Mechanism == "SCRAM-SHA-256" {
			mechanism = scram.Sha256(auth)
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// tls reads the certificates.
func (c *Connection) tls(ctx context.Context) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pool, err := c.CA.CertPool(ctx)
		if err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		config.RootCAs = pool
	}
	if c.Cert != "" {
		cert, err := c.Cert.Read(ctx)
		if err != nil {
			return nil, err
		}
		key, err := c.Key.Read(ctx)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("TLS: %s and %s are no pair", c.Cert, c.Key) // the cause may quote the key
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
