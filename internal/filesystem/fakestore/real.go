package fakestore

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/flowbeam/flowbeam/internal/testenv"
)

// Real points the test's clients of a scheme (gs, s3) at the server that scripts/up
// started, makes a bucket there and returns its name. Without a server the test is skipped,
// and fails in CI.
func Real(t testing.TB, scheme string) string {
	t.Helper()
	name := "flowbeam-test-" + strings.ToLower(rand.Text())
	ctx := context.Background()
	if scheme == "gs" {
		t.Setenv("STORAGE_EMULATOR_HOST", testenv.Server(t, "FLOWBEAM_GCS_ENDPOINT"))
		c, err := storage.NewClient(ctx)
		if err == nil {
			err = c.Bucket(name).Create(ctx, "test", nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	for env, server := range map[string]string{"AWS_ENDPOINT_URL_S3": "FLOWBEAM_S3_ENDPOINT", "AWS_ACCESS_KEY_ID": "FLOWBEAM_S3_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY": "FLOWBEAM_S3_SECRET_KEY"} {
		t.Setenv(env, testenv.Server(t, server))
	}
	t.Setenv("AWS_REGION", "us-east-1")
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil {
		_, err = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name})
	}
	if err != nil {
		t.Fatal(fmt.Errorf("make the bucket %s: %w", name, err))
	}
	return name
}
