package secret

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const canary = "s3cr3t-canary"

func TestResolve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLOWBEAM_TEST_SECRET", canary)
	fake(t)
	for _, r := range []Ref{Ref("file:" + file), "env:FLOWBEAM_TEST_SECRET", "gcp:projects/p/secrets/good/versions/latest"} {
		v, err := r.Resolve(context.Background())
		if err != nil || v.Reveal() != canary {
			t.Errorf("%s: %v, right=%t", r, err, v.Reveal() == canary)
		}
	}
	if v, err := Ref("").Resolve(context.Background()); err != nil || !v.Empty() {
		t.Errorf("no reference: %v", err)
	}
	for r, want := range map[Ref]string{
		"file:/nowhere/key":                              "no such file",
		"env:FLOWBEAM_NOT_SET":                           "not set",
		"gcp:projects/p/secrets/absent/versions/latest":  "NotFound",
		"gcp:projects/p/secrets/damaged/versions/latest": "checksum",
	} {
		if _, err := r.Resolve(context.Background()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %q", r, err, want)
		}
	}
}

func TestAReferenceThatIsASecretIsRefusedAndNotQuoted(t *testing.T) {
	for _, r := range []Ref{canary, "gcp:" + canary, "gcp:projects/../x/" + canary, "vault:" + canary, "file:", ":"} {
		err := r.Check()
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", r, err)
		}
		if _, err := r.Resolve(context.Background()); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", r, err)
		}
	}
}

func TestAValuePrintsAsStars(t *testing.T) {
	v := Value{canary}
	j, err := json.Marshal(map[string]any{"v": v, "p": &v})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v, "in", struct{ V Value }{v})
	text := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v %#v", v, v, v, v, v, v, v, &v, struct{ V Value }{v}, []Value{v}) + string(j) + log.String()
	if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) || !strings.Contains(text, "***") {
		t.Error(text)
	}
}

// fake is a Secret Manager on this machine.
func fake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	secretmanagerpb.RegisterSecretManagerServiceServer(s, &manager{})
	go s.Serve(l)
	managerOptions = []option.ClientOption{option.WithEndpoint(l.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))}
	t.Cleanup(func() { s.Stop(); managerOptions = nil })
}

type manager struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer
}

func (*manager) AccessSecretVersion(_ context.Context, r *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	sum := int64(crc32.Checksum([]byte(canary), crc32.MakeTable(crc32.Castagnoli)))
	switch r.Name {
	case "projects/p/secrets/damaged/versions/latest":
		sum++
	case "projects/p/secrets/good/versions/latest":
	default:
		return nil, status.Error(codes.NotFound, "no such secret")
	}
	return &secretmanagerpb.AccessSecretVersionResponse{Name: r.Name, Payload: &secretmanagerpb.SecretPayload{Data: []byte(canary), DataCrc32C: &sum}}, nil
}
