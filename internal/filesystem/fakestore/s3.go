package fakestore

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

func s3Fail(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, text)
}

func (s *Server) s3(w http.ResponseWriter, r *http.Request, b *Bucket, rest string) {
	key, err := url.PathUnescape(rest)
	if b == nil || err != nil {
		s3Fail(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	q := r.URL.Query()
	switch {
	case key == "" && q.Has("uploads"):
		b.s3Uploads(w, q)
	case key == "" && r.Method == http.MethodGet:
		b.s3List(w, q)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		b.s3Get(w, r, key)
	default:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.s3Write(w, r, q, key, body)
	}
}

func (b *Bucket) s3Get(w http.ResponseWriter, r *http.Request, key string) {
	b.mu.Lock()
	o := b.objects[key]
	b.mu.Unlock()
	if o == nil {
		s3Fail(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	if m := r.Header.Get("If-Match"); m != "" && m != o.etag() {
		s3Fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		return
	}
	h := w.Header()
	h.Set("ETag", o.etag())
	h.Set("Last-Modified", o.time.UTC().Format(http.TimeFormat))
	for k, v := range o.meta {
		if k[0] != 0 {
			h.Set("X-Amz-Meta-"+k, v)
		}
	}
	if o.encoding != "" {
		h.Set("Content-Encoding", o.encoding)
	}
	var from int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 && from >= len(o.data) {
		s3Fail(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
		return
	}
	b.media(w, r, o)
}

func (b *Bucket) s3List(w http.ResponseWriter, q url.Values) {
	b.mu.Lock()
	defer b.mu.Unlock()
	names, next := b.keys(q.Get("prefix"), q.Get("delimiter"), q.Get("continuation-token"), b.s.Page)
	type content struct {
		Key, ETag, LastModified string
		Size                    int
	}
	out := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		KeyCount              int
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
		CommonPrefixes        []struct{ Prefix string }
	}{KeyCount: len(names), IsTruncated: next != "", NextContinuationToken: next}
	for _, n := range names {
		if o := b.objects[n]; o != nil && !(q.Get("delimiter") != "" && strings.HasSuffix(n, "/") && n != q.Get("prefix")) {
			out.Contents = append(out.Contents, content{n, o.etag(), o.time.UTC().Format(time.RFC3339), len(o.data)})
		} else {
			out.CommonPrefixes = append(out.CommonPrefixes, struct{ Prefix string }{n})
		}
	}
	xml.NewEncoder(w).Encode(out)
}

func (b *Bucket) s3Uploads(w http.ResponseWriter, q url.Values) {
	b.mu.Lock()
	defer b.mu.Unlock()
	type one struct{ Key, UploadId, Initiated string }
	out := struct {
		XMLName xml.Name `xml:"ListMultipartUploadsResult"`
		Upload  []one
	}{}
	for id, u := range b.uploads {
		if u.done == nil && strings.HasPrefix(u.key, q.Get("prefix")) {
			out.Upload = append(out.Upload, one{u.key, id, u.begun.UTC().Format(time.RFC3339)})
		}
	}
	xml.NewEncoder(w).Encode(out)
}

func (b *Bucket) s3Write(w http.ResponseWriter, r *http.Request, q url.Values, key string, body []byte) {
	crc := r.Header.Get("X-Amz-Checksum-Crc32c")
	u := b.uploads[q.Get("uploadId")]
	if q.Has("uploadId") && (u == nil || u.done != nil) {
		s3Fail(w, http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist.")
		return
	}
	meta := map[string]string{}
	for k, v := range r.Header {
		if name, ok := strings.CutPrefix(strings.ToLower(k), "x-amz-meta-"); ok {
			meta[name] = v[0]
		}
	}
	ifAbsent := r.Header.Get("If-None-Match") == "*"
	switch {
	case r.Method == http.MethodDelete && u != nil:
		delete(b.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		delete(b.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost && q.Has("uploads"):
		b.last++
		id := fmt.Sprint("upload-", b.last)
		b.uploads[id] = &upload{object: object{key: key, meta: meta}, begun: time.Now(), parts: map[int][]byte{}}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case r.Method == http.MethodPut && u != nil:
		if crc != "" && crc != crcOf(body) {
			s3Fail(w, http.StatusBadRequest, "BadDigest", "The CRC32C you specified did not match what we received.")
			return
		}
		var n int
		fmt.Sscan(q.Get("partNumber"), &n)
		u.parts[n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%s"`, crcOf(body)))
	case r.Method == http.MethodPost && u != nil:
		b.s3Complete(w, u, crc, ifAbsent)
	case r.Method == http.MethodPut:
		if crc != "" && crc != crcOf(body) {
			s3Fail(w, http.StatusBadRequest, "BadDigest", "The CRC32C you specified did not match what we received.")
			return
		}
		o := b.create(&object{key: key, data: body, meta: meta}, ifAbsent)
		if o == nil {
			s3Fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
			return
		}
		w.Header().Set("ETag", o.etag())
	default:
		s3Fail(w, http.StatusNotImplemented, "NotImplemented", r.Method)
	}
}

func (b *Bucket) s3Complete(w http.ResponseWriter, u *upload, crc string, ifAbsent bool) {
	o := u.object
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		o.data = append(o.data, u.parts[n]...)
	}
	if crc != "" && crc != crcOf(o.data) {
		s3Fail(w, http.StatusBadRequest, "BadDigest", "The CRC32C you specified did not match what we received.")
		return
	}
	if u.done = b.create(&o, ifAbsent); u.done == nil {
		s3Fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		return
	}
	fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", strings.ReplaceAll(u.done.etag(), `"`, "&quot;"))
}
