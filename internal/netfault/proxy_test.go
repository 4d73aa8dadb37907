package netfault

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// echo is a server and a proxy before it; ask sends a body through it.
func echo(t *testing.T) (p *Proxy, ask func(body string, patience time.Duration) (string, error)) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		b.ReadFrom(r.Body)
		w.Write(b.Bytes())
	}))
	t.Cleanup(s.Close)
	p, err := New(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return p, func(body string, patience time.Duration) (string, error) {
		c := &http.Client{Transport: transport, Timeout: patience}
		r, err := c.Post("http://"+p.Addr, "text/plain", strings.NewReader(body))
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
}

func TestFaultsComeAndGo(t *testing.T) {
	p, ask := echo(t)
	works := func(when string) {
		t.Helper()
		if got, err := ask("hello", 10*time.Second); got != "hello" {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
	works("at first")
	p.Cut()
	if got, err := ask("hello", 10*time.Second); err == nil {
		t.Errorf("cut: %q", got)
	}
	p.Heal()
	works("after a cut")
	p.Stall()
	if got, err := ask("hello", 100*time.Millisecond); err == nil {
		t.Errorf("stalled: %q", got)
	}
	p.Heal()
	works("after a stall")
	p.Slow(2000)
	begun := time.Now()
	works("slow")
	if took := time.Since(begun); took < 50*time.Millisecond { // more than 100 bytes each way
		t.Errorf("slow: it took %v", took)
	}
}

func TestAReplyIsHeldAfterTheServerHasWorked(t *testing.T) {
	p, ask := echo(t)
	var replies atomic.Int64
	p.OnReply(func() bool { return replies.Add(1) == 2 })
	large := strings.Repeat("x", 2*LargeRequest)
	for i, body := range []string{large, "small", large} {
		got, err := ask(body, time.Second)
		if held := i == 2; (err != nil) != held || !held && got != body {
			t.Errorf("request %d: %d bytes, %v", i, len(got), err)
		}
	}
	if n := replies.Load(); n != 2 {
		t.Errorf("%d replies to large requests", n)
	}
}

func TestAGrantOfAWindowIsNoReply(t *testing.T) {
	grant := []byte{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0}
	data := append([]byte{0, 0, 5, 0, 0, 0, 0, 0, 1}, "hello"...)
	if answers(grant) || !answers(data) || !answers(append(grant, data...)) || !answers([]byte("HTTP/1.1 200 OK\r\n")) {
		t.Error("what is a reply is not told from what is none")
	}
}
