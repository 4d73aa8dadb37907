package flink

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
)

// Pool runs workers in this process for the TaskManagers that ask for them.
//
// Unlike Beam Go's own, it takes a worker for gone whose id is asked for again: a TaskManager
// that was started in the place of a dead one gives its workers the same ids, and was refused.
type Pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer

	listener net.Listener
	server   *grpc.Server
	root     context.Context
	cancel   context.CancelFunc

	mu      sync.Mutex
	workers map[string]context.CancelFunc
}

// StartPool starts a pool at an address, host:port.
func StartPool(ctx context.Context, address string) (*Pool, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("worker pool: %w", err)
	}
	p := &Pool{listener: l, server: grpc.NewServer(), workers: map[string]context.CancelFunc{}}
	p.root, p.cancel = context.WithCancel(ctx)
	fnpb.RegisterBeamFnExternalWorkerPoolServer(p.server, p)
	go p.server.Serve(l)
	return p, nil
}

// Address is where the pool listens, host:port.
func (p *Pool) Address() string { return p.listener.Addr().String() }

// Stop ends the pool and its workers.
func (p *Pool) Stop() {
	p.cancel()
	p.server.Stop()
}

// StartWorker is called by a TaskManager.
func (p *Pool) StartWorker(_ context.Context, r *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	ctx, cancel := context.WithCancel(grpcx.WriteWorkerID(p.root, r.GetWorkerId()))
	p.mu.Lock()
	if before := p.workers[r.GetWorkerId()]; before != nil {
		before()
	}
	p.workers[r.GetWorkerId()] = cancel
	p.mu.Unlock()
	go func() {
		defer cancel()
		_ = harness.MainWithOptions(ctx, r.GetLoggingEndpoint().GetUrl(), r.GetControlEndpoint().GetUrl(), workerOptions(ctx, r.GetProvisionEndpoint().GetUrl()))
	}()
	return &fnpb.StartWorkerResponse{}, nil
}

// StopWorker is called by a TaskManager that ends a job.
func (p *Pool) StopWorker(_ context.Context, r *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cancel := p.workers[r.GetWorkerId()]; cancel != nil {
		cancel()
		delete(p.workers, r.GetWorkerId())
	}
	return &fnpb.StopWorkerResponse{}, nil
}

func workerOptions(ctx context.Context, provision string) (o harness.Options) {
	if provision == "" {
		return o
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if info, err := tools.ProvisionInfo(ctx, provision); err == nil {
		o.StatusEndpoint, o.RunnerCapabilities = info.GetStatusEndpoint().GetUrl(), info.GetRunnerCapabilities()
	}
	return o
}

// RunWorker runs one worker, whose process a TaskManager has started with the address of its
// provision service, until the TaskManager is gone.
func RunWorker(ctx context.Context, id, provision string) error {
	ctx = grpcx.WriteWorkerID(ctx, id)
	info, err := tools.ProvisionInfo(ctx, provision)
	if err != nil {
		return fmt.Errorf("worker %s: %w", id, err)
	}
	o := harness.Options{StatusEndpoint: info.GetStatusEndpoint().GetUrl(), RunnerCapabilities: info.GetRunnerCapabilities()}
	return harness.MainWithOptions(ctx, info.GetLoggingEndpoint().GetUrl(), info.GetControlEndpoint().GetUrl(), o)
}
