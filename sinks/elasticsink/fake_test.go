package elasticsink

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flowtest/sinktest"
)

// fake is Elasticsearch as far as the sink sees it: bulk requests with create, and index
// with external_gte; templates and policies by PUT and GET; a login. It refuses what the
// real one refuses.
type fake struct {
	*httptest.Server
	limit  int                                    // of a request's bytes
	refuse func(index string, doc []byte) *refuse // documents that it will never take

	mu      sync.Mutex
	login   string // the Authorization header that it wants, "" = none
	indices map[string]map[string]stored
	config  map[string]json.RawMessage // by path
	faults  map[sinktest.Fault]int
	whole   func(n int, w http.ResponseWriter) bool // answers the nth bulk request in the server's place
	writes  int
	asked   []asked
	lines   []int // of each bulk request
	largest int   // bytes of a bulk request
	active  int
	seq     int64
	found   func() // called between a search and its reply
	most    int    // bulk requests at a time
}

// stored is a document.
type stored struct {
	version int64
	seq     int64 // of its last write
	doc     string
}

// refuse is an error of one document.
type refuse struct {
	status      int
	typ, reason string
}

// asked is a request.
type asked struct{ method, path, body, auth string }

func newFake(t testing.TB) *fake {
	f := &fake{limit: 1 << 20, indices: map[string]map[string]stored{}, config: map[string]json.RawMessage{}, faults: map[sinktest.Fault]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Server.Close)
	return f
}

func (f *fake) IDs() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, docs := range f.indices {
		ids = append(ids, slices.Collect(maps.Keys(docs))...)
	}
	return ids
}

func (f *fake) Fail(fault sinktest.Fault, n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[fault] = n
	return true
}

func (f *fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

func (f *fake) MaxRecord() int { return f.limit }

// fails says whether a fault strikes now.
func (f *fake) fails(fault sinktest.Fault) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.faults[fault]
	if n > 0 {
		f.faults[fault] = n - 1
	}
	return n != 0
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	if err != nil {
		reply(w, 400, fmt.Sprintf(`{"error":{"type":"x_content_parse_exception","reason":%q},"status":400}`, err))
		return
	}
	f.mu.Lock()
	f.asked = append(f.asked, asked{r.Method, r.URL.Path, string(body), r.Header.Get("Authorization")})
	login := f.login
	f.mu.Unlock()
	if login != "" && r.Header.Get("Authorization") != login {
		reply(w, 401, `{"error":{"type":"security_exception","reason":"unable to authenticate with `+r.Header.Get("Authorization")+`"},"status":401}`)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/_search") {
		f.search(w, body)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/_refresh") {
		reply(w, 200, `{}`)
		return
	}
	if r.URL.Path != "/_bulk" {
		f.configure(w, r, body)
		return
	}
	f.bulk(w, body)
}

func reply(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// configure keeps what is put and shows it as Elasticsearch does.
func (f *fake) configure(w http.ResponseWriter, r *http.Request, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodPut {
		if !json.Valid(body) {
			reply(w, 400, `{"error":{"type":"parse_exception","reason":"no JSON"},"status":400}`)
			return
		}
		f.config[r.URL.Path] = body
		reply(w, 200, `{"acknowledged":true}`)
		return
	}
	have, ok := f.config[r.URL.Path]
	parts := strings.Split(r.URL.Path, "/")
	name := parts[len(parts)-1]
	switch {
	case !ok:
		reply(w, 404, `{"error":{"type":"resource_not_found_exception","reason":"not found"},"status":404}`)
	case strings.HasPrefix(r.URL.Path, "/_component_template/"):
		reply(w, 200, fmt.Sprintf(`{"component_templates":[{"name":%q,"component_template":%s}]}`, name, have))
	case strings.HasPrefix(r.URL.Path, "/_index_template/"):
		reply(w, 200, fmt.Sprintf(`{"index_templates":[{"name":%q,"index_template":%s}]}`, name, have))
	default: // a policy, whose _meta is within
		var p struct{ Policy json.RawMessage }
		json.Unmarshal(have, &p)
		reply(w, 200, fmt.Sprintf(`{%q:{"version":7,"policy":%s}}`, name, p.Policy))
	}
}

var indexName = regexp.MustCompile(`^flowbeam-[a-z0-9_-]+(-\d{4}\.\d\d\.\d\d(-\d\d)?|-unknown)?$`)

func (f *fake) bulk(w http.ResponseWriter, body []byte) {
	f.mu.Lock()
	f.writes++
	n, whole := f.writes, f.whole
	f.active++
	f.most, f.largest = max(f.most, f.active), max(f.largest, len(body))
	f.lines = append(f.lines, bytes.Count(body, []byte{'\n'}))
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.active--
		f.mu.Unlock()
	}()
	if whole != nil && whole(n, w) {
		return
	}
	if f.fails(sinktest.Slow) {
		time.Sleep(20 * time.Millisecond)
	}
	switch {
	case f.fails(sinktest.Expired):
		reply(w, 401, `{"error":{"type":"security_exception","reason":"the token is expired"},"status":401}`)
		return
	case f.fails(sinktest.Unavailable):
		reply(w, []int{503, 429, 502, 504}[n%4], `{"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation"},"status":429}`)
		return
	case len(body) > f.limit:
		reply(w, 413, ``)
		return
	}
	items, errText := f.apply(body, f.fails(sinktest.Partial))
	switch {
	case errText != "":
		reply(w, 400, fmt.Sprintf(`{"error":{"type":"illegal_argument_exception","reason":%q},"status":400}`, errText))
	case f.fails(sinktest.LostReply):
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			c.Close()
		}
	case f.fails(sinktest.Broken):
		all := `{"took":3,"errors":false,"items":[` + strings.Join(items, ",") + `]}`
		broken := []string{
			all[:len(all)/2],
			`<html><body>Bad gateway</body></html>`,
			`{"took":3,"errors":false,"items":[` + strings.Join(items[1:], ",") + `]}`,
			`{"took":3,"errors":false,"items":[` + strings.Join(append(items, items[0]), ",") + `]}`,
			`{"took":3,"errors":false}`, ``, all + all, `{"items":[{"create":{}}]}`,
		}
		if n%9 == 8 { // says that it is longer than it is
			w.Header().Set("Content-Length", fmt.Sprint(len(all)+10))
			io.WriteString(w, all)
			return
		}
		reply(w, 200, broken[n%9])
	default:
		reply(w, 200, `{"took":3,"errors":true,"items":[`+strings.Join(items, ",")+`]}`)
	}
}

// apply does what a bulk body asks. Where busy, every other document is refused for now.
func (f *fake) apply(body []byte, busy bool) (items []string, bad string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(body) == 0 || body[len(body)-1] != '\n' {
		return nil, "The bulk request must be terminated by a newline [\\n]"
	}
	lines := bufio.NewReader(bytes.NewReader(body))
	for i := 0; ; i++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return items, ""
		}
		var action map[string]struct {
			Index       string `json:"_index"`
			ID          string `json:"_id"`
			Version     *int64 `json:"version"`
			VersionType string `json:"version_type"`
			SeqNo       *int64 `json:"if_seq_no"`
		}
		if err := json.Unmarshal(line, &action); err != nil || len(action) != 1 {
			return nil, fmt.Sprintf("Malformed action/metadata line [%d]", 2*i+1)
		}
		var doc []byte
		if _, ok := action["delete"]; !ok {
			if doc, err = lines.ReadBytes('\n'); err != nil {
				return nil, "no document"
			}
		}
		for op, a := range action {
			item := func(status int, rest string) {
				items = append(items, fmt.Sprintf(`{%q:{"_index":%q,"_id":%q,%s,"status":%d}}`, op, a.Index, a.ID, rest, status))
			}
			fail := func(status int, typ, reason string) {
				item(status, fmt.Sprintf(`"error":{"type":%q,"reason":%q,"caused_by":{"type":"why","reason":"because"}}`, typ, reason))
			}
			if !indexName.MatchString(a.Index) || len(a.ID) != 32 || op != "create" && op != "index" && op != "delete" {
				return nil, fmt.Sprintf("op %q index %q id %q", op, a.Index, a.ID)
			}
			if op == "delete" {
				old, ok := f.indices[a.Index][a.ID]
				switch {
				case !ok:
					item(404, `"result":"not_found"`)
				case a.SeqNo != nil && *a.SeqNo != old.seq, a.SeqNo == nil && (a.VersionType != "external_gte" || *a.Version < old.version):
					fail(409, "version_conflict_engine_exception", "it has changed")
				default:
					delete(f.indices[a.Index], a.ID)
					item(200, `"result":"deleted"`)
				}
				continue
			}
			if !json.Valid(doc) {
				fail(400, "document_parsing_exception", "no JSON")
				continue
			}
			if f.refuse != nil {
				if r := f.refuse(a.Index, doc); r != nil {
					fail(r.status, r.typ, r.reason)
					continue
				}
			}
			if busy && i%2 == 0 {
				fail([]int{429, 503}[i/2%2], "es_rejected_execution_exception", "rejected execution of primary operation")
				continue
			}
			docs := f.indices[a.Index]
			if docs == nil {
				docs = map[string]stored{}
				f.indices[a.Index] = docs
			}
			old, ok := docs[a.ID]
			switch {
			case op == "create" && ok:
				fail(409, "version_conflict_engine_exception", "document already exists")
				continue
			case op == "index" && (a.VersionType != "external_gte" || a.Version == nil):
				return nil, "index without external_gte"
			case op == "index" && ok && *a.Version < old.version:
				fail(409, "version_conflict_engine_exception", "current version is higher")
				continue
			}
			s := stored{doc: strings.TrimSuffix(string(doc), "\n")}
			if a.Version != nil {
				s.version = *a.Version
			}
			f.seq++
			s.seq = f.seq
			docs[a.ID] = s
			if ok {
				item(200, fmt.Sprintf(`"_version":%d,"result":"updated"`, s.version))
			} else {
				item(201, `"_version":1,"result":"created"`)
			}
		}
	}
}

// search finds what Remove asks for.
func (f *fake) search(w http.ResponseWriter, body []byte) {
	var q struct {
		Query struct {
			Bool struct {
				Filter []struct {
					IDs   struct{ Values []string }
					Range map[string]struct{ LT *int64 }
				}
			}
		}
	}
	if err := json.Unmarshal(body, &q); err != nil || len(q.Query.Bool.Filter) != 3 {
		reply(w, 400, fmt.Sprintf(`{"error":{"type":"parsing_exception","reason":%q},"status":400}`, body))
		return
	}
	ids, below := q.Query.Bool.Filter[0].IDs.Values, *q.Query.Bool.Filter[2].Range["flowbeam.revision"].LT
	var hits []string
	f.mu.Lock()
	for index, docs := range f.indices {
		for id, d := range docs {
			var doc struct{ Flowbeam struct{ Revision int64 } }
			json.Unmarshal([]byte(d.doc), &doc)
			if slices.Contains(ids, id) && doc.Flowbeam.Revision < below {
				hits = append(hits, fmt.Sprintf(`{"_index":%q,"_id":%q,"_seq_no":%d,"_primary_term":1}`, index, id, d.seq))
			}
		}
	}
	found := f.found
	f.mu.Unlock()
	if found != nil {
		found()
	}
	reply(w, 200, `{"hits":{"hits":[`+strings.Join(hits, ",")+`]}}`)
}

// document is a stored document.
func (f *fake) document(index, id string) (stored, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.indices[index][id]
	return s, ok
}

// names are the indices.
func (f *fake) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.indices))
}
