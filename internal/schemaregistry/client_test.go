package schemaregistry

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/schemaregistry/registrytest"
)

// open is a client that tries again at once, and gives up on credentials soon.
func open(t testing.TB, r Registry) *Client {
	t.Helper()
	c, err := Open(r)
	if err != nil {
		t.Fatal(err)
	}
	c.policy = delivery.Policy{Base: time.Millisecond, Cap: 2 * time.Millisecond, Deadline: time.Minute, Auth: 20 * time.Millisecond}
	return c
}

func TestAnOutageIsNoAnswer(t *testing.T) {
	s := registrytest.New(t, false)
	s.Add(7, "flows", `"long"`)
	c := open(t, Registry{URL: s.URL + "/"})
	c.policy.Deadline = 100 * time.Millisecond
	for name, f := range map[string]func(*http.Request) (int, string){
		"500":                       func(*http.Request) (int, string) { return 500, `{"error_code":50001,"message":"store"}` },
		"503 with a page":           func(*http.Request) (int, string) { return 503, "<html>busy</html>" },
		"429":                       func(*http.Request) (int, string) { return 429, "" },
		"401":                       func(*http.Request) (int, string) { return 401, "" },
		"403":                       func(*http.Request) (int, string) { return 403, "" },
		"a bare 404":                func(*http.Request) (int, string) { return 404, "404 page not found" },
		"a 404 of another code":     func(*http.Request) (int, string) { return 404, `{"error_code":404,"message":"HTTP 404 Not Found"}` },
		"a redirect":                func(*http.Request) (int, string) { return 302, "" },
		"a page in place of schema": func(*http.Request) (int, string) { return 200, "<html>log in</html>" },
		"a schema that is empty":    func(*http.Request) (int, string) { return 200, `{"schema":""}` },
	} {
		s.Fail(f)
		if got, err := c.Schema(t.Context(), 7); err == nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if c.Known(7) != nil {
			t.Fatalf("%s is remembered as an answer", name)
		}
	}
	s.Fail(nil) // and it recovers
	c.policy.Deadline = time.Minute
	if got, err := c.Schema(t.Context(), 7); err != nil || got.Text != `"long"` || c.Known(7) != got {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestARequestIsTriedAgain(t *testing.T) {
	s := registrytest.New(t, false)
	s.Add(7, "flows", `"long"`)
	n := 0
	s.Fail(func(*http.Request) (int, string) {
		if n++; n < 3 {
			return 500, ""
		}
		return 0, ""
	})
	if got, err := open(t, Registry{URL: s.URL}).Schema(t.Context(), 7); err != nil || got.Problem != "" || n != 3 {
		t.Errorf("%+v, %v after %d", got, err, n)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c := open(t, Registry{URL: s.URL})
	c.policy.Deadline = 20 * time.Millisecond
	if got, err := c.Schema(t.Context(), 7); err == nil {
		t.Errorf("%+v", got)
	}
}

func TestCredentials(t *testing.T) {
	const password = "hunter2"
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		registry Registry
		accept   func(*http.Request) bool
	}{
		"basic": {Registry{User: "me", Password: "file:" + file}, func(r *http.Request) bool {
			u, p, ok := r.BasicAuth()
			return ok && u == "me" && p == password
		}},
		"token": {Registry{Token: "file:" + file}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+password }},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t, true)
			s.Add(7, "flows", `"long"`)
			refused := 0
			s.Fail(func(r *http.Request) (int, string) {
				if c.accept(r) {
					return 0, ""
				}
				refused++
				return 401, `{"error_code":401,"message":"no: ` + r.Header.Get("Authorization") + ` old-` + password + `"}`
			})
			ca := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			registry := c.registry
			registry.URL, registry.CA = s.URL, "file:"+ca
			write("old-" + password)
			client := open(t, registry)
			_, err := client.Schema(t.Context(), 7)
			if err == nil || strings.Contains(err.Error(), password) || !strings.Contains(err.Error(), "***") {
				t.Errorf("%v", err)
			}
			write(password) // renewed where it is kept
			if got, err := client.Schema(t.Context(), 7); err != nil || got.Text != `"long"` || refused == 0 {
				t.Errorf("%+v, %v", got, err)
			}
			registry.CA = ""
			if _, err := open(t, registry).Schema(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("a stranger's certificate: %v", err)
			}
		})
	}
	s := registrytest.New(t, false)
	missing := Registry{URL: s.URL, Token: "env:FLOWBEAM_NO_SUCH_VARIABLE"}
	if _, err := open(t, missing).Schema(t.Context(), 7); err == nil || s.Asked("/schemas/ids/7") != 0 {
		t.Errorf("asked without the token: %v", err)
	}
}

func TestAnAskerThatGoesLeavesTheOthers(t *testing.T) {
	s := registrytest.New(t, false)
	s.Add(7, "flows", `"long"`)
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	s.Fail(func(*http.Request) (int, string) {
		asked <- struct{}{}
		<-answer
		return 0, ""
	})
	c := open(t, Registry{URL: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.Schema(ctx, 7)
		first <- err
	}()
	<-asked
	second := make(chan error, 1)
	go func() {
		_, err := c.Schema(t.Context(), 7)
		second <- err
	}()
	for {
		c.mu.Lock()
		n := c.calls[7].askers
		c.mu.Unlock()
		if n == 2 {
			break
		}
		runtime.Gosched()
	}
	cancel()
	if err := <-first; err == nil {
		t.Error("cancelled, and no error")
	}
	close(answer)
	if err := <-second; err != nil {
		t.Error(err)
	}
}
