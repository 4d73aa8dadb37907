package fakestore

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func gcsFail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": text}})
}

func (b *Bucket) gcsObject(o *object) map[string]any {
	meta := map[string]string{}
	for k, v := range o.meta {
		if k[0] != 0 {
			meta[k] = v
		}
	}
	return map[string]any{"kind": "storage#object", "bucket": b.Name, "name": o.key, "size": fmt.Sprint(len(o.data)), "crc32c": o.crc(),
		"generation": fmt.Sprint(o.gen), "metageneration": "1", "updated": o.time.UTC().Format(time.RFC3339Nano), "metadata": meta, "contentEncoding": o.encoding}
}

func (s *Server) gcs(w http.ResponseWriter, r *http.Request, b *Bucket, rest string) {
	q := r.URL.Query()
	if b == nil {
		gcsFail(w, http.StatusNotFound, "The specified bucket does not exist.")
		return
	}
	if strings.HasPrefix(r.URL.Path, "/upload/") {
		b.gcsUpload(w, r, q)
		return
	}
	if rest == "" {
		if r.Method == http.MethodPatch {
			var in struct{ Lifecycle json.RawMessage }
			json.NewDecoder(r.Body).Decode(&in)
			b.mu.Lock()
			b.rules = in.Lifecycle
			b.mu.Unlock()
		}
		json.NewEncoder(w).Encode(map[string]any{"kind": "storage#bucket", "name": b.Name, "lifecycle": json.RawMessage(orNull(b.Rules()))})
		return
	}
	key, err := url.PathUnescape(strings.TrimPrefix(strings.TrimPrefix(rest, "o"), "/"))
	if err != nil {
		gcsFail(w, http.StatusBadRequest, err.Error())
		return
	}
	if key == "" {
		b.gcsList(w, q)
		return
	}
	b.mu.Lock()
	o := b.objects[key]
	if r.Method == http.MethodDelete {
		delete(b.objects, key)
	}
	b.mu.Unlock()
	if o == nil {
		gcsFail(w, http.StatusNotFound, "No such object: "+b.Name+"/"+key)
		return
	}
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	json.NewEncoder(w).Encode(b.gcsObject(o))
}

// gcsRead is a read of the XML API.
func (s *Server) gcsRead(w http.ResponseWriter, r *http.Request, b *Bucket, rest string) {
	key, _ := url.PathUnescape(rest)
	var o *object
	if b != nil {
		b.mu.Lock()
		o = b.objects[key]
		b.mu.Unlock()
	}
	if g := r.URL.Query().Get("generation"); o == nil || g != "" && g != fmt.Sprint(o.gen) {
		s3Fail(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	h := w.Header()
	h.Set("X-Goog-Generation", fmt.Sprint(o.gen))
	h.Set("X-Goog-Metageneration", "1")
	h.Set("X-Goog-Hash", "crc32c="+o.crc())
	h.Set("X-Goog-Stored-Content-Length", fmt.Sprint(len(o.data)))
	h.Set("X-Goog-Stored-Content-Encoding", "identity")
	h.Set("Last-Modified", o.time.UTC().Format(http.TimeFormat))
	if o.encoding == "gzip" {
		h.Set("X-Goog-Stored-Content-Encoding", "gzip")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			fmt.Fprint(w, "decompressed by the service")
			return
		}
		h.Set("Content-Encoding", "gzip")
	}
	b.media(w, r, o)
}

func orNull(b []byte) []byte {
	if b == nil {
		return []byte("null")
	}
	return b
}

func (b *Bucket) gcsList(w http.ResponseWriter, q url.Values) {
	b.mu.Lock()
	defer b.mu.Unlock()
	names, next := b.keys(q.Get("prefix"), q.Get("delimiter"), q.Get("pageToken"), b.s.Page)
	items, prefixes := []any{}, []string{}
	for _, n := range names {
		if o := b.objects[n]; o != nil && !(q.Get("delimiter") != "" && strings.HasSuffix(n, "/") && n != q.Get("prefix")) {
			items = append(items, b.gcsObject(o))
		} else {
			prefixes = append(prefixes, n)
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"kind": "storage#objects", "items": items, "prefixes": prefixes, "nextPageToken": next})
}

type gcsMeta struct {
	Name, Crc32c, ContentEncoding string
	Metadata                      map[string]string
}

func (b *Bucket) gcsUpload(w http.ResponseWriter, r *http.Request, q url.Values) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away: nothing is made
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if id := q.Get("upload_id"); id != "" {
		b.gcsChunk(w, r, b.uploads[id], body)
		return
	}
	u := &upload{begun: time.Now(), ifAbsent: q.Get("ifGenerationMatch") == "0"}
	var m gcsMeta
	switch q.Get("uploadType") {
	case "multipart":
		_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		parts := multipart.NewReader(strings.NewReader(string(body)), params["boundary"])
		first, err := parts.NextPart()
		if err != nil {
			gcsFail(w, http.StatusBadRequest, err.Error())
			return
		}
		json.NewDecoder(first).Decode(&m)
		second, err := parts.NextPart()
		if err == nil {
			u.data, err = io.ReadAll(second)
		}
		if err != nil {
			gcsFail(w, http.StatusBadRequest, err.Error())
			return
		}
	case "resumable":
		json.Unmarshal(body, &m)
	default:
		gcsFail(w, http.StatusBadRequest, "uploadType")
		return
	}
	u.key, u.crc, u.meta, u.encoding = m.Name, m.Crc32c, m.Metadata, m.ContentEncoding
	if u.key == "" {
		u.key = q.Get("name")
	}
	if q.Get("uploadType") == "multipart" {
		b.gcsFinish(w, u)
		return
	}
	if u.ifAbsent && b.objects[u.key] != nil {
		gcsFail(w, http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold.")
		return
	}
	b.last++
	id := fmt.Sprint("session-canary-", b.last)
	b.uploads[id] = u
	w.Header().Set("Location", b.s.URL+"/upload/storage/v1/b/"+b.Name+"/o?uploadType=resumable&upload_id="+id)
}

// gcsChunk takes bytes of a session. What came before may come again; a gap is refused.
func (b *Bucket) gcsChunk(w http.ResponseWriter, r *http.Request, u *upload, body []byte) {
	if u == nil {
		gcsFail(w, http.StatusNotFound, "no such upload")
		return
	}
	if u.done != nil {
		json.NewEncoder(w).Encode(b.gcsObject(u.done))
		return
	}
	var from, to, total int64
	v := r.Header.Get("Content-Range")
	span, size, _ := strings.Cut(strings.TrimPrefix(v, "bytes "), "/")
	if n, _ := fmt.Sscanf(span, "%d-%d", &from, &to); n == 2 {
		if from > int64(len(u.data)) || to-from+1 != int64(len(body)) {
			gcsFail(w, http.StatusBadRequest, "Invalid range "+v)
			return
		}
		u.data = append(u.data[:from:from], body...)
	}
	if n, _ := fmt.Sscanf(size, "%d", &total); n == 1 && total == int64(len(u.data)) {
		b.gcsFinish(w, u)
		return
	}
	w.Header().Set("X-HTTP-Status-Code-Override", "308")
	if len(u.data) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(u.data)-1))
	}
}

func (b *Bucket) gcsFinish(w http.ResponseWriter, u *upload) {
	if u.crc != "" && u.crc != crcOf(u.data) {
		gcsFail(w, http.StatusBadRequest, "Provided CRC32C doesn't match calculated CRC32C.")
		return
	}
	o := u.object
	if u.done = b.create(&o, u.ifAbsent); u.done == nil {
		gcsFail(w, http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold.")
		return
	}
	json.NewEncoder(w).Encode(b.gcsObject(u.done))
}
