// Package schemaregistry asks a schema registry that speaks Confluent's REST API for the schemas
// of messages. A process has one client of each registry, which remembers what it was told.
//
// Source: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
package schemaregistry

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/flowbeam/flowbeam/internal/secret"
)

// Registry says where a registry is and how to log in. It travels with the pipeline and with
// records, so Password, Token and CA are references to what the worker reads, and never the
// thing itself: file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V.
type Registry struct {
	// URL is its base, such as https://registry:8081.
	URL string `json:"url"`
	// User and Password log in by HTTP basic authentication, Token by a bearer token. Neither: no
	// login.
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`
	// CA refers to the certificates, in PEM, that the registry's must come from. Default: those that
	// the system trusts.
	CA string `json:"ca,omitempty"`
}

// Check says all that is wrong with it. It quotes nothing that may hold a secret.
func (r Registry) Check() error {
	var errs []error
	u, err := url.Parse(r.URL)
	switch {
	case err != nil:
		errs = append(errs, errors.New("the address is no URL"))
	case u.User != nil:
		errs = append(errs, errors.New("the address has a user in it: give the user, and a reference as its password"))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		errs = append(errs, errors.New("want http(s)://host:port as the address"))
	}
	for _, s := range []struct{ name, ref string }{{"password", r.Password}, {"token", r.Token}, {"CA", r.CA}} {
		if err := secret.Ref(s.ref).Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	if r.Token != "" && (r.User != "" || r.Password != "") {
		errs = append(errs, errors.New("both a token and a user"))
	}
	if (r.User == "") != (r.Password == "") {
		errs = append(errs, errors.New("a user and a password come together"))
	}
	return errors.Join(errs...)
}
