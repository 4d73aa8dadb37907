// Package httpauth is what clients over HTTP have in common: the credentials that let their
// requests in, the texts of these that must never be shown, and how they are read again when a
// server refuses them.
package httpauth

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/secret"
)

// Credentials are an Authorization header and the texts that must never be shown. Nil is none.
type Credentials struct {
	header string
	hide   []string
}

// New has a header and the secrets in it, none of them empty.
func New(header string, hide ...string) *Credentials { return &Credentials{header, hide} }

// Basic is a user's password.
//
// Source: RFC 7617
func Basic(user string, password secret.Value) *Credentials {
	word := base64.StdEncoding.EncodeToString([]byte(user + ":" + password.Reveal()))
	return New("Basic "+word, word, password.Reveal())
}

// Format prints *** for every verb.
func (c Credentials) Format(s fmt.State, _ rune) { fmt.Fprint(s, "***") }

// Set lets a request in.
func (c *Credentials) Set(h http.Header) {
	if c != nil && c.header != "" {
		h.Set("Authorization", c.header)
	}
}

// Redact takes the secrets out of a text that comes from elsewhere.
func (c *Credentials) Redact(s string) string {
	if c == nil {
		return s
	}
	for _, h := range c.hide {
		s = strings.ReplaceAll(s, h, "***")
	}
	return s
}

// Failed is the error of a request that had no reply, or not all of one, marked by whether it is
// worth another try: what is wrong with a certificate stays so.
func (c *Credentials) Failed(err error) error {
	text := errors.New(c.Redact(err.Error()))
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return text
	}
	if errors.Is(err, context.Canceled) {
		return delivery.Again(fmt.Errorf("%w: %w", text, context.Canceled), 0)
	}
	return delivery.Again(text, 0)
}

// Keeper has a client's credentials. Any number of goroutines may use it.
type Keeper struct {
	read    func(context.Context) (*Credentials, error)
	now     atomic.Pointer[Credentials]
	reading sync.Mutex
}

// Keep returns a Keeper that has none until it reads them.
func Keep(read func(context.Context) (*Credentials, error)) *Keeper { return &Keeper{read: read} }

// Read reads them.
func (k *Keeper) Read(ctx context.Context) error {
	c, err := k.read(ctx)
	if err != nil {
		return err
	}
	k.now.Store(c)
	return nil
}

// Now are those that were read last.
func (k *Keeper) Now() *Credentials { return k.now.Load() }

// Renew reads them again after a server refused those of a request with err: they may have been
// replaced where they are kept. Of many requests that were refused one reads. It returns err, and
// says where that failed.
func (k *Keeper) Renew(ctx context.Context, refused *Credentials, err error) error {
	k.reading.Lock()
	defer k.reading.Unlock()
	if k.Now() != refused {
		return err
	}
	if rerr := k.Read(ctx); rerr != nil {
		return fmt.Errorf("%w (and the credentials could not be read again: %w)", err, rerr)
	}
	return err
}

// Status is the error of a reply whose status is one, marked as [delivery.Status] does. Credentials
// that it refuses are read anew.
func (k *Keeper) Status(ctx context.Context, sent *Credentials, status int, h http.Header, err error) error {
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		err = k.Renew(ctx, sent, err)
	}
	return delivery.Status(status, h, err)
}

// OneLine is a text from elsewhere for an error: without the secrets, valid UTF-8, one line, at most
// so many bytes. The secrets are taken out first: what is left of one that was cut off, or whose
// white space was changed, would not be found.
func (c *Credentials) OneLine(s string, most int) string {
	s = c.Redact(s)
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
