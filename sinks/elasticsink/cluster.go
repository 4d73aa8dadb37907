package elasticsink

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/flowbeam/flowbeam/internal/secret"
)

// Cluster says where Elasticsearch is and how to log in. It travels with the pipeline, so
// Password, APIKey and CA are references to what the worker reads, and never the thing
// itself: file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V.
type Cluster struct {
	// Addresses are the nodes, such as https://es1:9200. Requests go to them in turn; one
	// that cannot be reached is left out for a while.
	Addresses []string
	// CloudID is a deployment of Elastic Cloud, in place of Addresses.
	CloudID string
	// User and Password log in by HTTP basic authentication, APIKey by an API key in its
	// encoded form. Neither: no login.
	User, Password, APIKey string
	// CA refers to the certificates, in PEM, that the nodes' must come from. Default: those
	// that the system trusts.
	CA string
}

// check says what is wrong with the cluster. It quotes nothing that may hold a secret.
func (c *Cluster) check() error {
	var errs []error
	switch {
	case len(c.Addresses) == 0 && c.CloudID == "":
		errs = append(errs, errors.New("cluster: neither addresses nor a cloud id"))
	case len(c.Addresses) > 0 && c.CloudID != "":
		errs = append(errs, errors.New("cluster: both addresses and a cloud id"))
	}
	for i, a := range c.Addresses {
		u, err := url.Parse(a)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("cluster: address %d is no URL", i+1))
		case u.User != nil:
			errs = append(errs, fmt.Errorf("cluster: address %d has a user in it: give User and a reference as Password", i+1))
		case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
			errs = append(errs, fmt.Errorf("cluster: address %d: want http(s)://host:port", i+1))
		}
	}
	for _, r := range []struct{ name, ref string }{{"password", c.Password}, {"API key", c.APIKey}, {"CA", c.CA}} {
		if err := secret.Ref(r.ref).Check(); err != nil {
			errs = append(errs, fmt.Errorf("cluster: %s: %w", r.name, err))
		}
	}
	if c.APIKey != "" && (c.User != "" || c.Password != "") {
		errs = append(errs, errors.New("cluster: both an API key and a user"))
	}
	if (c.User == "") != (c.Password == "") {
		errs = append(errs, errors.New("cluster: a user and a password come together"))
	}
	return errors.Join(errs...)
}

// nodes are the addresses, or that which the cloud id stands for.
//
// Source: https://www.elastic.co/docs/deploy-manage/deploy/elastic-cloud/find-cloud-id
func (c *Cluster) nodes() ([]*url.URL, error) {
	addresses := c.Addresses
	if c.CloudID != "" {
		_, encoded, _ := strings.Cut(c.CloudID, ":")
		text, err := base64.StdEncoding.DecodeString(encoded)
		parts := strings.Split(string(text), "$")
		if err != nil || len(parts) < 2 || parts[0] == "" || parts[1] == "" {
			return nil, errors.New("cluster: the cloud id is not NAME:… as the console shows it")
		}
		addresses = []string{"https://" + parts[1] + "." + parts[0]}
	}
	var out []*url.URL
	for i, a := range addresses {
		u, err := url.Parse(strings.TrimRight(a, "/"))
		if err != nil {
			return nil, fmt.Errorf("cluster: address %d is no URL", i+1)
		}
		out = append(out, u)
	}
	return out, nil
}
