package bigquerysink

import (
	"context"
	"sync"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/api/option"
	gtransport "google.golang.org/api/transport/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// scopes that the application default credentials are asked for.
var scopes = []string{"https://www.googleapis.com/auth/bigquery", "https://www.googleapis.com/auth/cloud-platform"}

const (
	grpcHost     = "bigquerystorage.googleapis.com:443"
	appendMethod = "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows"
)

// client is a connection to the Storage Write API. A DoFn is set up many times in a
// process, so there is one of each endpoint, and it is never closed.
type client struct {
	conn  *grpc.ClientConn
	write storagepb.BigQueryWriteClient
}

// dial is the raw gRPC client and not managedwriter: what becomes of each request, offsets
// and streams are to be decided here and nowhere else.
func dial(ctx context.Context, e endpoint) (*client, error) {
	opts := []option.ClientOption{
		option.WithEndpoint(grpcHost), option.WithScopes(scopes...),
		option.WithGRPCDialOption(grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20))),
		// The buffers of HTTP/2 hold a request's rows on their way to the socket.
		option.WithGRPCDialOption(grpc.WithWriteBufferSize(256 << 10)),
	}
	if e.GRPC != "" {
		opts = append(opts, option.WithEndpoint(e.GRPC), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	conn, err := gtransport.Dial(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return &client{conn, storagepb.NewBigQueryWriteClient(conn)}, nil
}

// shared is what a process has one of for each key. make runs once at a time, and again
// after an error.
type shared[V any] struct {
	mu sync.Mutex
	m  map[string]V
}

func (s *shared[V]) get(key string, make func() (V, error)) (V, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.m[key]; ok {
		return v, nil
	}
	v, err := make()
	if err != nil {
		return v, err
	}
	if s.m == nil {
		s.m = map[string]V{}
	}
	s.m[key] = v
	return v, nil
}

var (
	clients shared[*client]
	targets shared[*target]
)

func clientOf(e endpoint) (*client, error) {
	return clients.get(e.GRPC, func() (*client, error) { return dial(context.Background(), e) })
}
