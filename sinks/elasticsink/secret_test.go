package elasticsink

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

const canary = "s3cr3t-c4n4ry"

// TestNoSecretIsShown plants a secret wherever the configuration could have one, lets all
// fail that can, and looks through every error, log line, dead letter and exported field.
func TestNoSecretIsShown(t *testing.T) {
	var seen bytes.Buffer
	log.SetOutput(&seen)
	slogBefore := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&seen, nil)))
	defer func() { log.SetOutput(os.Stderr); slog.SetDefault(slogBefore) }()
	note := func(v any) { fmt.Fprintf(&seen, "%v %+v\n", v, v) }

	key := base64.StdEncoding.EncodeToString([]byte("keyid:" + canary))
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + p
	}
	t.Setenv("FLOWBEAM_TEST_CANARY", canary)
	secrets := []string{canary, key, base64.StdEncoding.EncodeToString([]byte("elastic:" + canary))}

	// Given directly where a reference belongs, or in an address: refused, and not quoted.
	for i, c := range []Cluster{
		{Addresses: []string{"https://elastic:" + canary + "@es:9200"}},
		{Addresses: []string{"https://es:9200?key=" + canary}},
		{Addresses: []string{"https://es:9200/%zz" + canary}},
		{Addresses: []string{canary}},
		{Addresses: []string{"https://es:9200"}, APIKey: key},
		{Addresses: []string{"https://es:9200"}, APIKey: canary},
		{Addresses: []string{"https://es:9200"}, User: "elastic", Password: canary},
		{Addresses: []string{"https://es:9200"}, CA: "-----BEGIN CERTIFICATE-----" + canary},
		{CloudID: "x:" + canary, Addresses: []string{"https://es:9200"}},
	} {
		err := Validate(c)
		_, ierr := Install(context.Background(), c, Templates{})
		serr := try(t, &recordsFn{Cluster: c, Options: defaults("x")}, flow.Batch{Records: flowtest.Records(1, 1)})
		if err == nil || ierr == nil || serr == nil {
			t.Errorf("case %d was taken: %v, %v, %v", i, err, ierr, serr)
		}
		note(err)
		note(ierr)
		note(serr)
		func() {
			defer func() { note(recover()) }()
			_, s := beam.NewPipelineWithRoot()
			Write(s, beam.Create(s, flow.Batch{}), c)
		}()
	}
	_, err := newClient(context.Background(), Cluster{CloudID: canary}, 1)
	note(err)

	// By reference, with a server that fails in every way and shows what it was sent.
	for name, c := range map[string]Cluster{
		"key": {APIKey: file("key", key)}, "password": {User: "elastic", Password: "env:FLOWBEAM_TEST_CANARY"},
	} {
		for status := range map[int]bool{200: true, 400: true, 401: true, 403: true, 404: true, 413: true, 429: true, 503: true} {
			f := newFake(t)
			f.whole = func(n int, w http.ResponseWriter) bool {
				f.mu.Lock()
				auth := f.asked[len(f.asked)-1].auth
				f.mu.Unlock()
				if !strings.Contains(auth, " ") || !(strings.Contains(auth, key) || strings.Contains(auth, secrets[2])) {
					t.Errorf("%s: the server was not sent the secret", name)
				}
				switch {
				case status == 200:
					reply(w, 200, fmt.Sprintf(`{"items":[{"create":{"status":400,"error":{"type":"x","reason":"you said %s %s"}}},{"create":{"status":503,"error":{"type":"x","reason":"you said %s"}}}]}`, auth, canary, auth))
				case n%2 == 0:
					reply(w, status, auth+" "+canary)
				default:
					reply(w, status, fmt.Sprintf(`{"error":{"type":"x","reason":"you said %s, that is %s"}}`, auth, canary))
				}
				return true
			}
			c.Addresses = []string{f.URL}
			fn := &recordsFn{Cluster: c, Options: defaults("elasticsearch")}
			fn.Options.Retry = quick(time.Millisecond, 20*time.Millisecond)
			if j, err := json.Marshal(fn); err != nil {
				t.Error(err)
			} else {
				note(string(j))
			}
			h := flowtest.NewHarness(t, fn, flowtest.Once)
			err := h.TryBundle(flow.Batch{Records: flowtest.Records(2, 1)})
			if err == nil && status != 413 {
				t.Errorf("%s, %d: succeeded", name, status)
			}
			note(err)
			_, failures := outcome(h.Effects())
			note(failures)
			note(fn.w.failures)
		}
		// Nobody there, and a reply that is none.
		f := newFake(t)
		f.Server.Close()
		c.Addresses = []string{f.URL}
		fn := &recordsFn{Cluster: c, Options: defaults("elasticsearch")}
		fn.Options.Retry = quick(time.Millisecond, 20*time.Millisecond)
		note(try(t, fn, flow.Batch{Records: flowtest.Records(2, 1)}))
		cl, err := newClient(context.Background(), c, 1)
		if err != nil {
			t.Fatal(err)
		}
		note(cl.auth.Now())
	}
	note(Validate(Cluster{Addresses: []string{"https://es:9200"}, CA: file("ca", canary)}))
	_, err = newClient(context.Background(), Cluster{Addresses: []string{"https://es:9200"}, CA: file("ca", canary)}, 1)
	note(err)

	text := seen.String()
	if !strings.Contains(text, "you said ApiKey ***") || !strings.Contains(text, "you said Basic ***") || !strings.Contains(text, "not given as") && !strings.Contains(text, "never itself") {
		t.Errorf("the failures did not come about: %.2000s", text)
	}
	for _, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("a secret is shown: …%s…", text[max(0, i-200):min(len(text), i+60)])
		}
	}
}

// A login that is refused is read again, without a new worker.
func TestCredentialsAreReadAgainWhenRefused(t *testing.T) {
	f := newFake(t)
	path := filepath.Join(t.TempDir(), "key")
	put := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("old\n")
	f.login = "ApiKey old"
	fn := sinkTo(f)
	fn.Cluster.APIKey = "file:" + path
	h := flowtest.NewHarness(t, fn, flowtest.Once)
	if err := h.TryBundle(flow.Batch{Records: flowtest.Records(5, 1)}); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.login = "ApiKey new"
	f.mu.Unlock()
	time.AfterFunc(50*time.Millisecond, func() { put("new\n") })
	if err := h.TryBundle(flow.Batch{Records: flowtest.Records(5, 2)}); err != nil {
		t.Fatal(err)
	}
	counts, failures := outcome(h.Effects())
	want(t, counts, map[string]int64{"new": 10})
	if len(failures) > 0 {
		t.Error(failures)
	}
	put("")
	f.mu.Lock()
	f.login = "ApiKey newer"
	f.mu.Unlock()
	fn.Options.Retry = quick(time.Millisecond, 20*time.Millisecond)
	if err := try(t, fn, flow.Batch{Records: flowtest.Records(5, 3)}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty key: %v", err)
	}
}

// DoFns of one process and cluster share connections and slots.
func TestClientsAreShared(t *testing.T) {
	ctx := context.Background()
	a, err := open(ctx, Cluster{Addresses: []string{"http://a:1"}}, 4)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := open(ctx, Cluster{Addresses: []string{"http://a:1"}}, 4)
	c, _ := open(ctx, Cluster{Addresses: []string{"http://b:1"}}, 4)
	if a != b || a == c {
		t.Error("not one client a cluster")
	}
	a.close()
	if d, _ := open(ctx, Cluster{Addresses: []string{"http://a:1"}}, 4); d != b {
		t.Error("closed while it was in use")
	}
	b.close()
	b.close()
	c.close()
	if clients.all[a.key] != nil || clients.all[c.key] != nil {
		t.Error("a client that nobody uses is kept")
	}
}
