package httpauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/secret"
)

func password(t *testing.T, text string) secret.Value {
	t.Helper()
	t.Setenv("HTTPAUTH_PASSWORD", text)
	v, err := secret.Ref("env:HTTPAUTH_PASSWORD").Resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNoSecretIsShown(t *testing.T) {
	c := Basic("Aladdin", password(t, "open sesame"))
	h := http.Header{}
	c.Set(h)
	if got := h.Get("Authorization"); got != "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" { // that of RFC 7617
		t.Fatal(got)
	}
	echo := fmt.Errorf("refused: %s, of %s", h.Get("Authorization"), "open sesame")
	if got, want := c.Failed(echo).Error(), "refused: Basic ***, of ***"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := fmt.Sprintf("%v %+v %#v %s", c, *c, c, struct{ c *Credentials }{c}.c); got != "*** *** *** ***" {
		t.Errorf("printed as %s", got)
	}
	var none *Credentials
	none.Set(http.Header{})
	if got := none.Redact("as it is"); got != "as it is" {
		t.Error(got)
	}
}

func TestWhatFailedComesAgainButForCertificates(t *testing.T) {
	var none *Credentials
	for _, c := range []struct {
		err   error
		again bool
	}{
		{errors.New("connection reset"), true},
		{context.Canceled, true},
		{&tls.CertificateVerificationError{Err: errors.New("expired")}, false},
	} {
		err := none.Failed(fmt.Errorf("it failed: %w", c.err))
		tries := 0
		p := delivery.Policy{Base: 1, Cap: 1, Deadline: time.Minute}
		_, _ = p.Do(t.Context(), "it", func(context.Context) error {
			if tries++; tries > 1 {
				return nil
			}
			return err
		})
		if (tries > 1) != c.again {
			t.Errorf("%v: tried %d times", err, tries)
		}
		if errors.Is(c.err, context.Canceled) != errors.Is(err, context.Canceled) {
			t.Errorf("%v: canceled or not is lost", err)
		}
	}
}

func TestOfManyThatWereRefusedOneReads(t *testing.T) {
	read := 0
	k := Keep(func(context.Context) (*Credentials, error) {
		if read++; read > 2 {
			return nil, errors.New("the store is down")
		}
		return New(fmt.Sprint("Bearer ", read)), nil
	})
	if k.Now() != nil {
		t.Fatal("they were read before they were asked for")
	}
	if err := k.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := k.Now()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			err := k.Status(t.Context(), refused, http.StatusUnauthorized, nil, errors.New("status 401"))
			if err == nil || err.Error() != "status 401" {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if read != 2 {
		t.Fatalf("read %d times, want twice", read)
	}
	if k.Status(t.Context(), k.Now(), http.StatusBadRequest, nil, errors.New("status 400")); read != 2 {
		t.Error("a 400 is not about credentials")
	}
	err := k.Status(t.Context(), k.Now(), http.StatusForbidden, nil, errors.New("status 403"))
	if err == nil || !strings.Contains(err.Error(), "status 403") || !strings.Contains(err.Error(), "could not be read again: the store is down") {
		t.Errorf("%v", err)
	}
	if k.Now() == nil {
		t.Error("those that are there are kept")
	}
}

func TestOneLineIsWithoutSecretsThatItCutsOrChanges(t *testing.T) {
	c := Basic("Aladdin", password(t, "open  sesame"))
	for in, want := range map[string]string{
		"you said open  sesame":                   "you said ***",
		strings.Repeat("x", 34) + " open  sesame": strings.Repeat("x", 34) + " ***",
	} {
		if got := c.OneLine(in, 40); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	var none *Credentials
	for in, want := range map[string]string{
		" two\nlines\t": "two lines",
		"no\xffUTF-8":   "no\ufffdUTF-8",
	} {
		if got := none.OneLine(in, 40); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := none.OneLine(strings.Repeat("ä", 30), 21); !utf8.ValidString(got) || got != strings.Repeat("ä", 10)+"…" {
		t.Errorf("%q", got)
	}
}
