package elasticsink

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/httpauth"
	"github.com/flowbeam/flowbeam/internal/secret"
)

// client is what a process has of one cluster: connections, credentials, and the slots of
// the requests that may be on their way at a time. DoFns are set up many times a process
// and share it.
type client struct {
	es    *elastictransport.Client
	http  *http.Transport
	slots chan struct{}
	auth  *httpauth.Keeper

	key  string
	uses int // guarded by clients.mu
}

var clients = struct {
	mu  sync.Mutex
	all map[string]*client
}{all: map[string]*client{}}

// open returns the process's client of a cluster, made at its first use. close gives it
// back.
func open(ctx context.Context, c Cluster, inFlight int) (*client, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%d %s", inFlight, b)
	clients.mu.Lock()
	defer clients.mu.Unlock()
	cl := clients.all[key]
	if cl == nil {
		if cl, err = newClient(ctx, c, inFlight); err != nil {
			return nil, err
		}
		cl.key = key
		clients.all[key] = cl
	}
	cl.uses++
	return cl, nil
}

func (c *client) close() {
	clients.mu.Lock()
	defer clients.mu.Unlock()
	if c.uses--; c.uses == 0 {
		delete(clients.all, c.key)
		c.http.CloseIdleConnections()
	}
}

func newClient(ctx context.Context, c Cluster, inFlight int) (*client, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   inFlight,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // replies are small: see bulkPath
		ExpectContinueTimeout: time.Second,
	}
	if c.CA != "" {
		pool, err := secret.Ref(c.CA).CertPool(ctx)
		if err != nil {
			return nil, fmt.Errorf("CA: %w", err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	nodes, err := c.nodes()
	if err != nil {
		return nil, err
	}
	// This is what go-elasticsearch sends its requests with: nodes in turn, those that are
	// down left out. Its typed API, 858 packages that every program would compile, has
	// nothing that a bulk request needs. Retries are ours: they know which documents of a
	// request are done.
	es, err := elastictransport.New(elastictransport.Config{URLs: nodes, Transport: t, DisableRetry: true})
	if err != nil {
		return nil, errors.New("the client refuses the addresses or the cloud id") // its error quotes them
	}
	cl := &client{es: es, http: t, slots: make(chan struct{}, inFlight), auth: httpauth.Keep(c.credentials)}
	return cl, cl.auth.Read(ctx)
}

// credentials reads them.
func (c Cluster) credentials(ctx context.Context) (*httpauth.Credentials, error) {
	password, err := secret.Ref(c.Password).Resolve(ctx)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	key, err := secret.Ref(c.APIKey).Resolve(ctx)
	if err != nil {
		return nil, fmt.Errorf("API key: %w", err)
	}
	switch {
	case !key.Empty():
		hide := []string{key.Reveal()}
		if plain, err := base64.StdEncoding.DecodeString(key.Reveal()); err == nil {
			if _, word, ok := strings.Cut(string(plain), ":"); ok && word != "" {
				hide = append(hide, word)
			}
		}
		return httpauth.New("ApiKey "+key.Reveal(), hide...), nil
	case !password.Empty():
		return httpauth.Basic(c.User, password), nil
	case c.APIKey != "", c.Password != "":
		return nil, errors.New("the password or API key is empty")
	}
	return nil, nil
}

// maxErrorBody bounds what is read of a reply that is an error.
const maxErrorBody = 4 << 10

// call is one request.
type call struct {
	method, path string
	body         []byte
	contentType  string
	gzip         bool
	maxReply     int64
	reply        []byte // in: a buffer to read the reply into
	status       int
	header       http.Header
	auth         *httpauth.Credentials
}

// do makes the request once and reads its reply. An error is of the way there or back, or
// of a reply that ends early or is too long; whether the server did what it was asked is
// not known then. Nothing of a secret is in it.
func (c *client) do(ctx context.Context, r *call) error {
	r.auth = c.auth.Now()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.path, body)
	if err != nil {
		return err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	r.auth.Set(req.Header)
	res, err := c.es.Perform(req)
	if err != nil {
		return r.auth.Failed(err)
	}
	defer res.Body.Close()
	r.status, r.header = res.StatusCode, res.Header
	if r.status < 300 && r.header.Get("X-Elastic-Product") != "Elasticsearch" {
		return delivery.Again(errors.New("the reply is not from Elasticsearch: its header X-Elastic-Product is missing"), 0)
	}
	buf := bytes.NewBuffer(r.reply[:0])
	n, err := buf.ReadFrom(io.LimitReader(res.Body, r.maxReply+1))
	r.reply = buf.Bytes()
	switch {
	case err != nil:
		return r.auth.Failed(fmt.Errorf("reply: %w", err))
	case n > r.maxReply:
		return fmt.Errorf("reply: longer than %d bytes", r.maxReply)
	}
	return nil
}

// refused is the error of a reply whose status is one, marked by whether it may come
// again. Credentials that are refused are read anew.
func (c *client) refused(ctx context.Context, r *call) error {
	err := fmt.Errorf("%s %s: status %d: %s", r.method, strings.SplitN(r.path, "?", 2)[0], r.status, reasonOf(r.reply, r.auth))
	return c.auth.Status(ctx, r.auth, r.status, r.header, err)
}

// reasonOf is what an error reply says, in one bounded line without secrets.
func reasonOf(reply []byte, auth *httpauth.Credentials) string {
	var e struct {
		Error struct{ Type, Reason string }
	}
	if json.Unmarshal(reply, &e) == nil && e.Error.Type != "" {
		return auth.OneLine(e.Error.Type+": "+e.Error.Reason, 400)
	}
	return auth.OneLine(string(reply), 400)
}
