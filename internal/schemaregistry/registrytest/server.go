// Package registrytest is a schema registry in the test's process.
package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Reference is a schema whose types another one uses.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Server answers as a registry does.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	schemas  map[int]stored
	subjects map[string][]int // ids by version
	fails    func(r *http.Request) (status int, body string)
	asked    map[string]int
}

type stored struct {
	Schema     string      `json:"schema"`
	Type       string      `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
}

// New starts a server, or a TLS server, that ends with the test.
func New(t testing.TB, tls bool) *Server {
	s := &Server{schemas: map[int]stored{}, subjects: map[string][]int{}, asked: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// Add registers a schema under an id and as the next version of a subject.
func (s *Server) Add(id int, subject, schema string, references ...Reference) {
	s.AddType(id, subject, schema, "", references...)
}

// AddType is Add of a schema of another type than Avro.
func (s *Server) AddType(id int, subject, schema, typ string, references ...Reference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schemas[id] = stored{schema, typ, references}
	s.subjects[subject] = append(s.subjects[subject], id)
}

// Fail makes requests for which f returns a status other than 0 be answered so. nil: none.
func (s *Server) Fail(f func(r *http.Request) (status int, body string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = f
}

// Down makes every request fail with a status.
func (s *Server) Down(status int) {
	s.Fail(func(*http.Request) (int, string) {
		return status, `{"error_code":` + strconv.Itoa(status) + `,"message":"down"}`
	})
}

// Asked is how often a path was asked for.
func (s *Server) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[r.URL.Path]++
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	if s.fails != nil {
		if status, body := s.fails(r); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return
		}
	}
	none := func(code int, text string) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"error_code":%d,"message":%q}`, code, text)
	}
	part := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i := range part {
		part[i], _ = url.PathUnescape(part[i])
	}
	number := func(i int) int { n, _ := strconv.Atoi(part[i]); return n }
	switch {
	case len(part) == 3 && part[0] == "schemas" && part[1] == "ids":
		found, ok := s.schemas[number(2)]
		if !ok {
			none(40403, "Schema "+part[2]+" not found")
			return
		}
		_ = json.NewEncoder(w).Encode(found)
	case len(part) == 4 && part[0] == "subjects" && part[2] == "versions":
		versions, ok := s.subjects[part[1]]
		if !ok {
			none(40401, "Subject not found")
			return
		}
		if v := number(3); v < 1 || v > len(versions) {
			none(40402, "Version not found")
			return
		}
		_ = json.NewEncoder(w).Encode(s.schemas[versions[number(3)-1]])
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":404,"message":"HTTP 404 Not Found"}`)
	}
}
