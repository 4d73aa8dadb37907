package elasticsink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/secret"
)

// client is what a process has of one cluster: connections, credentials, and the slots of
// the requests that may be on their way at a time. DoFns are set up many times a process
// and share it.
type client struct {
	cluster Cluster
	es      *elastictransport.Client
	http    *http.Transport
	slots   chan struct{}
	auth    atomic.Pointer[credentials]
	renewal sync.Mutex

	key  string
	uses int // guarded by clients.mu
}

// credentials are the Authorization header, and the texts that must never be shown.
type credentials struct {
	header string
	hide   []string
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
		pem, err := secret.Ref(c.CA).Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("CA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA %s: no certificate in it", c.CA)
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
	cl := &client{cluster: c, es: es, http: t, slots: make(chan struct{}, inFlight)}
	return cl, cl.login(ctx)
}

// login reads the credentials.
func (c *client) login(ctx context.Context) error {
	password, err := secret.Ref(c.cluster.Password).Resolve(ctx)
	if err != nil {
		return fmt.Errorf("password: %w", err)
	}
	key, err := secret.Ref(c.cluster.APIKey).Resolve(ctx)
	if err != nil {
		return fmt.Errorf("API key: %w", err)
	}
	var a credentials
	switch {
	case !key.Empty():
		a = credentials{"ApiKey " + key.Reveal(), []string{key.Reveal()}}
		if plain, err := base64.StdEncoding.DecodeString(key.Reveal()); err == nil {
			if _, word, ok := strings.Cut(string(plain), ":"); ok && word != "" {
				a.hide = append(a.hide, word)
			}
		}
	case !password.Empty():
		word := base64.StdEncoding.EncodeToString([]byte(c.cluster.User + ":" + password.Reveal()))
		a = credentials{"Basic " + word, []string{word, password.Reveal()}}
	case c.cluster.APIKey != "", c.cluster.Password != "":
		return errors.New("the password or API key is empty")
	}
	c.auth.Store(&a)
	return nil
}

// renew reads the credentials again after the server refused those of a request: they may
// have been replaced where they are kept. Of many that were refused one reads.
func (c *client) renew(ctx context.Context, refused *credentials) error {
	c.renewal.Lock()
	defer c.renewal.Unlock()
	if c.auth.Load() != refused {
		return nil
	}
	return c.login(ctx)
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
	auth         *credentials
}

// do makes the request once and reads its reply. An error is of the way there or back, or
// of a reply that ends early or is too long; whether the server did what it was asked is
// not known then. Nothing of a secret is in it.
func (c *client) do(ctx context.Context, r *call) error {
	r.auth = c.auth.Load()
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
	if r.auth.header != "" {
		req.Header.Set("Authorization", r.auth.header)
	}
	res, err := c.es.Perform(req)
	if err != nil {
		return c.failed(r, err)
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
		return c.failed(r, fmt.Errorf("reply: %w", err))
	case n > r.maxReply:
		return fmt.Errorf("reply: longer than %d bytes", r.maxReply)
	}
	return nil
}

// failed says what a request failed of, and whether it is worth another try: what is wrong
// with a certificate stays so.
func (c *client) failed(r *call, err error) error {
	text := errors.New(r.auth.redact(err.Error()))
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return text
	}
	if errors.Is(err, context.Canceled) {
		return delivery.Again(fmt.Errorf("%w: %w", text, context.Canceled), 0)
	}
	return delivery.Again(text, 0)
}

// redact takes the secrets out of a text that comes from elsewhere.
func (a *credentials) redact(s string) string {
	if a == nil {
		return s
	}
	for _, h := range a.hide {
		s = strings.ReplaceAll(s, h, "***")
	}
	return s
}

// refused is the error of a reply whose status is one, marked by whether it may come
// again. Credentials that are refused are read anew.
func (c *client) refused(ctx context.Context, r *call) error {
	err := fmt.Errorf("%s %s: status %d: %s", r.method, strings.SplitN(r.path, "?", 2)[0], r.status, r.auth.redact(reasonOf(r.reply)))
	if r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
		if lerr := c.renew(ctx, r.auth); lerr != nil {
			err = fmt.Errorf("%w (and the credentials could not be read again: %w)", err, lerr)
		}
	}
	return delivery.Status(r.status, r.header, err)
}

// reasonOf is what an error reply says, in one bounded line.
func reasonOf(reply []byte) string {
	var e struct {
		Error struct{ Type, Reason string }
	}
	if json.Unmarshal(reply, &e) == nil && e.Error.Type != "" {
		return oneLine(e.Error.Type+": "+e.Error.Reason, 400)
	}
	return oneLine(string(reply), 400)
}

// oneLine is a text for an error: valid UTF-8, one line, at most so many bytes.
func oneLine(s string, most int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
