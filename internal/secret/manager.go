package secret

import (
	"context"
	"hash/crc32"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// managerOptions, in tests, lead to a fake.
var managerOptions []option.ClientOption

// fromManager reads a version of a secret with the worker's own identity, which needs the
// role secretmanager.secretAccessor.
//
// Source: https://cloud.google.com/secret-manager/docs/reference/rpc
func fromManager(ctx context.Context, name string) ([]byte, error) {
	c, err := secretmanager.NewClient(ctx, managerOptions...)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r, err := c.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name})
	if err != nil {
		return nil, err
	}
	data := r.GetPayload().GetData()
	if sum := r.GetPayload().DataCrc32C; sum != nil && *sum != int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))) {
		return nil, status.Error(codes.DataLoss, "the secret was damaged on its way: its checksum differs")
	}
	return data, nil
}
