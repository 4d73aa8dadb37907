// Package fakestore is Google Cloud Storage (JSON API) and S3 in memory, for tests: with
// their rules for preconditions, checksums, resumable and multipart uploads, listings in
// pages and ranges, and with faults. It knows no credentials, versions or deletions.
package fakestore

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is a way in which a request that writes fails.
type Fault int

const (
	Unavailable Fault = iota // 503, nothing is done
	LostReply                // done, and the connection ends without a reply
	Expired                  // the credentials are refused
	Broken                   // by turns: done with a cut reply, and not done with a proxy's page
	Slow                     // done, after 10 ms
)

// Server is both stores on one port of this machine.
type Server struct {
	URL     string
	Page    int // of listings; 1,000
	mu      sync.Mutex
	buckets map[string]*Bucket
}

// Bucket is one bucket, which both protocols reach.
type Bucket struct {
	Name string

	s       *Server
	mu      sync.Mutex
	objects map[string]*object
	uploads map[string]*upload
	last    int64 // generation or upload
	fault   Fault
	left    int // requests that the fault is for; negative: all
	broken  int
	writes  int
	cutting int // bytes after which reads are cut
	rules   []byte
}

type object struct {
	key      string
	data     []byte
	meta     map[string]string
	encoding string
	gen      int64
	time     time.Time
}

// upload is a resumable or multipart one that goes on.
type upload struct {
	object
	crc      string
	ifAbsent bool
	begun    time.Time
	parts    map[int][]byte
	done     *object
}

// Start starts the server and points this process's clients of both kinds at it. Call it
// in TestMain.
func Start() *Server {
	s := &Server{Page: 1000, buckets: map[string]*Bucket{}}
	s.URL = httptest.NewServer(s).URL
	for k, v := range map[string]string{
		"STORAGE_EMULATOR_HOST": s.URL, "AWS_ENDPOINT_URL_S3": s.URL, "AWS_REGION": "us-east-1",
		"AWS_ACCESS_KEY_ID": "AKIDCANARY", "AWS_SECRET_ACCESS_KEY": "secret-canary",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		os.Setenv(k, v)
	}
	return s
}

// Bucket makes a bucket with a name of its own.
func (s *Server) Bucket() *Bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &Bucket{Name: fmt.Sprintf("bucket-%d", len(s.buckets)), s: s, objects: map[string]*object{}, uploads: map[string]*upload{}}
	s.buckets[b.Name] = b
	return b
}

// Fail makes the next n requests that write fail; all of them where n is negative.
func (b *Bucket) Fail(f Fault, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault, b.left = f, n
}

// CutReads ends the replies of reads after so many bytes; 0: not.
func (b *Bucket) CutReads(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cutting = bytes
}

// Writes is how many requests that write there were.
func (b *Bucket) Writes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes
}

// Objects are the contents by key.
func (b *Bucket) Objects() map[string][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string][]byte{}
	for k, o := range b.objects {
		out[k] = o.data
	}
	return out
}

// Uploads is how many were begun and neither ended nor aborted.
func (b *Bucket) Uploads() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.uploads {
		if u.done == nil {
			n++
		}
	}
	return n
}

// Put makes an object, or replaces one, with a Content-Encoding or none.
func (b *Bucket) Put(key string, data []byte, encoding string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store(&object{key: key, data: data, encoding: encoding})
}

// Flip changes a byte of what is stored, behind the checksum's back.
func (b *Bucket) Flip(key string, at int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := *b.objects[key]
	if o.meta = maps.Clone(o.meta); o.meta == nil {
		o.meta = map[string]string{}
	}
	o.meta["\x00crc"] = o.crc()
	o.data = bytes.Clone(o.data)
	o.data[at] ^= 1
	b.objects[key] = &o
}

// Rules is the lifecycle that was set, as JSON.
func (b *Bucket) Rules() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rules
}

func (b *Bucket) store(o *object) *object {
	b.last++
	o.gen, o.time = b.last+1e15, time.Now()
	b.objects[o.key] = o
	return o
}

// create is the precondition's rule, under the bucket's lock.
func (b *Bucket) create(o *object, ifAbsent bool) *object {
	if ifAbsent && b.objects[o.key] != nil {
		return nil
	}
	return b.store(o)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crcOf(data []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli)))
}

func (o *object) crc() string {
	if c := o.meta["\x00crc"]; c != "" {
		return c
	}
	return crcOf(o.data)
}

func (o *object) etag() string {
	sum := md5.Sum(fmt.Append(slices.Clip(o.data), o.gen)) // a copy: others read it, too
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// keys lists what a listing gives: keys and, with a delimiter, prefixes, from after the
// token, and the token of the next page.
func (b *Bucket) keys(prefix, delimiter, token string, most int) (names []string, next string) {
	for _, k := range slices.Sorted(maps.Keys(b.objects)) {
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			k = k[:len(prefix)+i+len(delimiter)]
		}
		if k <= token || len(names) > 0 && names[len(names)-1] == k {
			continue
		}
		if len(names) == most {
			return names, names[len(names)-1]
		}
		names = append(names, k)
	}
	return names, ""
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	rest, isGCS := strings.CutPrefix(path, "/storage/v1/b/")
	if !isGCS {
		rest, isGCS = strings.CutPrefix(path, "/upload/storage/v1/b/")
	}
	// Reads of GCS go by its XML API, which has S3's paths and no S3 signature.
	xml := !isGCS && r.Header.Get("Authorization") == ""
	if !isGCS {
		rest = strings.TrimPrefix(path, "/")
	}
	name, key, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	b := s.buckets[name]
	s.mu.Unlock()
	serve := func(w http.ResponseWriter) {
		if xml {
			s.gcsRead(w, r, b, key)
		} else if isGCS {
			s.gcs(w, r, b, key)
		} else {
			s.s3(w, r, b, key)
		}
	}
	if b == nil || r.Method != http.MethodPost && r.Method != http.MethodPut {
		serve(w)
		return
	}
	// All of the request is read before any reply: Google's library uses a chunk's buffer
	// again while its HTTP client still sends from it, where a reply came before that.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	b.fail(w, isGCS, serve)
}

// fail answers a request that writes, in the way that is set.
func (b *Bucket) fail(w http.ResponseWriter, isGCS bool, serve func(http.ResponseWriter)) {
	b.mu.Lock()
	b.writes++
	fault, on := b.fault, b.left != 0
	if b.left > 0 {
		b.left--
	}
	half := false
	if on && fault == Broken {
		b.broken++
		half = b.broken%2 == 1
	}
	b.mu.Unlock()
	switch {
	case !on:
		serve(w)
	case fault == Slow:
		time.Sleep(10 * time.Millisecond)
		serve(w)
	case fault == Unavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
	case fault == Expired && isGCS:
		gcsFail(w, http.StatusUnauthorized, "Invalid Credentials")
	case fault == Expired:
		s3Fail(w, http.StatusBadRequest, "ExpiredToken", "The provided token has expired.")
	case fault == Broken && !half:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>please log in to the network</html>")
	default:
		serve(httptest.NewRecorder())
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		if half {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 700\r\n\r\n{\"kind\": \"stor")
		}
		c.Close()
	}
}

// media answers a read.
func (b *Bucket) media(w http.ResponseWriter, r *http.Request, o *object) {
	data, status := o.data, http.StatusOK
	if v, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		var from int
		fmt.Sscanf(v, "%d-", &from)
		if from >= len(data) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		data, status = data[from:], http.StatusPartialContent
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.WriteHeader(status)
	b.mu.Lock()
	cut := b.cutting
	b.mu.Unlock()
	if r.Method == http.MethodHead {
		return
	}
	if cut > 0 && len(data) > cut {
		w.Write(data[:cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(data)
}
