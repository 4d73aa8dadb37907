package objectstore

import (
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type httpGetter struct{ http.Client }

func (g *httpGetter) get(url string) (*http.Response, error) {
	resp, err := g.Get(url)
	if err == nil {
		resp.Body.Close()
	}
	return nil, err
}

// begin begins an upload that nobody ends.
func begin(t testing.TB, c *s3.Client, bucket, key string) {
	t.Helper()
	if _, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}
