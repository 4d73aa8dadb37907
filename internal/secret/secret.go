// Package secret resolves references to secrets where they are used, on the worker. A
// pipeline's options, its graph and its logs hold the reference alone.
package secret

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
)

// Ref says where a secret is:
//
//	file:PATH                                     a file, such as a mounted secret
//	env:NAME                                      an environment variable
//	gcp:projects/P/secrets/S/versions/latest      a version in Google Secret Manager
//
// The empty Ref is no secret. A Ref is no secret itself and travels with the pipeline.
type Ref string

// errReference doesn't quote what it was given: it may be the secret itself.
var errReference = errors.New("a secret is given as file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V, never itself")

var managerName = regexp.MustCompile(`^projects/[A-Za-z0-9:._-]+/secrets/[A-Za-z0-9_-]+/versions/[a-z0-9-]+$`)

// Check says whether the reference has the right form. It looks at no secret, and its
// error quotes nothing.
func (r Ref) Check() error {
	scheme, name, ok := strings.Cut(string(r), ":")
	switch {
	case r == "":
		return nil
	case !ok || name == "":
		return errReference
	case scheme == "file", scheme == "env":
		return nil
	case scheme == "gcp" && managerName.MatchString(name):
		return nil
	}
	return errReference
}

// Resolve reads the secret, without the white space around it. Call it in Setup, and
// again where the store refuses the credentials: they may have been renewed. The error
// names the reference and has nothing of the secret.
func (r Ref) Resolve(ctx context.Context) (Value, error) {
	b, err := r.Read(ctx)
	return Value{string(bytes.TrimSpace(b))}, err
}

// Read reads the secret as it is, for those that are bytes and not text.
func (r Ref) Read(ctx context.Context) ([]byte, error) {
	if r == "" {
		return nil, nil
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	scheme, name, _ := strings.Cut(string(r), ":")
	switch scheme {
	case "file":
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", r, err)
		}
		return b, nil
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("secret %s: the environment variable is not set", r)
		}
		return []byte(v), nil
	default:
		b, err := fromManager(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", r, err)
		}
		return b, nil
	}
}

// CertPool reads certificates in PEM form: those that a server's may be signed by.
func (r Ref) CertPool(ctx context.Context) (*x509.CertPool, error) {
	pem, err := r.Read(ctx)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in PEM form in it", r)
	}
	return pool, nil
}

// Value is a secret in memory. It prints as *** in every way there is but [Value.Reveal].
type Value struct{ s string }

// Reveal is the secret itself: for the client that sends it, and nothing else.
func (v Value) Reveal() string { return v.s }

// Empty says whether there is none.
func (v Value) Empty() bool { return v.s == "" }

// Format prints *** for every verb.
func (v Value) Format(s fmt.State, _ rune) { fmt.Fprint(s, "***") }

// MarshalText writes *** to JSON and YAML.
func (v Value) MarshalText() ([]byte, error) { return []byte("***"), nil }

// LogValue logs ***.
func (v Value) LogValue() slog.Value { return slog.StringValue("***") }
