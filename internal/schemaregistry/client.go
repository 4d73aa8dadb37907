package schemaregistry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/httpauth"
	"github.com/flowbeam/flowbeam/internal/secret"
)

// Client is what a process has of one registry. Any number of goroutines may use it.
type Client struct {
	registry Registry
	base     string
	policy   delivery.Policy

	setup sync.Mutex
	http  *http.Client // nil until its certificates were read
	auth  *httpauth.Keeper

	mu    sync.Mutex
	known map[int32]*Schema
	calls map[int32]*call
	swept time.Time
}

// Policy is how long a request is tried. Tests have a shorter one.
var Policy = delivery.DefaultPolicy

var clients = struct {
	mu  sync.Mutex
	all map[Registry]*Client
}{all: map[Registry]*Client{}}

// Open returns the process's client of a registry. It asks nothing.
func Open(r Registry) (*Client, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	clients.mu.Lock()
	defer clients.mu.Unlock()
	c := clients.all[r]
	if c == nil {
		c = &Client{
			registry: r, base: strings.TrimRight(r.URL, "/"), policy: Policy,
			auth: httpauth.Keep(r.credentials), known: map[int32]*Schema{}, calls: map[int32]*call{},
		}
		clients.all[r] = c
	}
	return c, nil
}

// ready reads the certificates and the credentials, once they can be read.
func (c *Client) ready(ctx context.Context) (*http.Client, error) {
	c.setup.Lock()
	defer c.setup.Unlock()
	if c.http != nil {
		return c.http, nil
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
	if c.registry.CA != "" {
		pool, err := secret.Ref(c.registry.CA).CertPool(ctx)
		if err != nil {
			return nil, fmt.Errorf("CA: %w", err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if err := c.auth.Read(ctx); err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport: t, Timeout: time.Minute,
		// The password is for this address and for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c.http, nil
}

// credentials reads them.
func (r Registry) credentials(ctx context.Context) (*httpauth.Credentials, error) {
	password, err := secret.Ref(r.Password).Resolve(ctx)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	token, err := secret.Ref(r.Token).Resolve(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	switch {
	case !token.Empty():
		return httpauth.New("Bearer "+token.Reveal(), token.Reveal()), nil
	case !password.Empty():
		return httpauth.Basic(r.User, password), nil
	case r.Token != "", r.Password != "":
		return nil, errors.New("the password or token is empty")
	}
	return nil, nil
}

// maxReply bounds a reply, in bytes: a schema of a megabyte, escaped.
const maxReply = 4 << 20

// maxText bounds what an error has of a reply, in bytes.
const maxText = 400

// reply is what the two requests give.
type reply struct {
	Schema     string      `json:"schema"`
	Type       string      `json:"schemaType"`
	References []reference `json:"references"`
}

// reference is a schema whose types another one uses.
type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// errNotThere is a reply that says that there is no such schema: of the registry, not of a
// proxy or of a wrong path.
type errNotThere struct{ text string }

func (e *errNotThere) Error() string { return e.text }

// get asks for a path until there is an answer, or the policy gives up.
func (c *Client) get(ctx context.Context, path string) (out reply, err error) {
	_, err = c.policy.Do(ctx, "schema registry", func(ctx context.Context) error {
		out, err = c.once(ctx, path)
		return err
	})
	return out, err
}

func (c *Client) once(ctx context.Context, path string) (reply, error) {
	client, err := c.ready(ctx)
	if err != nil {
		return reply{}, err
	}
	auth := c.auth.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	auth.Set(req.Header)
	res, err := client.Do(req)
	if err != nil {
		return reply{}, auth.Failed(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	switch {
	case err != nil:
		return reply{}, auth.Failed(fmt.Errorf("%s: the reply: %w", path, err))
	case len(body) > maxReply:
		return reply{}, fmt.Errorf("%s: the reply is longer than %d bytes", path, maxReply)
	case res.StatusCode != http.StatusOK:
		return reply{}, c.refused(ctx, path, res, body, auth)
	}
	var out reply
	if err := json.Unmarshal(body, &out); err != nil || out.Schema == "" {
		// A proxy's page, or a registry that is not up yet.
		return reply{}, delivery.Again(fmt.Errorf("%s: the reply is no schema: %s", path, auth.OneLine(string(body), maxText)), 0)
	}
	return out, nil
}

// refused is the error of a reply whose status is one.
func (c *Client) refused(ctx context.Context, path string, res *http.Response, body []byte, auth *httpauth.Credentials) error {
	var e struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &e)
	text := auth.OneLine(e.Message, maxText)
	if e.Code == 0 {
		text = auth.OneLine(string(body), maxText)
	}
	// 40401: no subject, 40402: no version, 40403: no schema. A bare 404 is that of a path which
	// the server does not have: the address is wrong, and no record is at fault.
	if res.StatusCode == http.StatusNotFound && e.Code >= 40401 && e.Code <= 40403 {
		return &errNotThere{fmt.Sprintf("%s: %s (error code %d)", path, text, e.Code)}
	}
	return c.auth.Status(ctx, auth, res.StatusCode, res.Header, fmt.Errorf("%s: status %d: %s", path, res.StatusCode, text))
}

func schemaPath(id int32) string { return "/schemas/ids/" + strconv.Itoa(int(id)) }

func versionPath(r reference) string {
	return "/subjects/" + url.PathEscape(r.Subject) + "/versions/" + strconv.Itoa(r.Version)
}
