package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// trouble is what is to be done about an append that failed.
type trouble int

const (
	// troubleFinal has no remedy here: the bundle fails.
	troubleFinal trouble = iota
	// troubleAgain may pass: try again on a new connection. Whether the rows were taken is
	// not known if no reply came.
	troubleAgain
	// troubleDenied is of credentials.
	troubleDenied
	// troubleSchema says that the table has not the columns that we took it to have.
	troubleSchema
	// troubleThere says that rows stand at this offset.
	troubleThere
	// troubleStream says that the stream is of no more use: the offset is beyond its end, it
	// is finalized, or it is gone.
	troubleStream
)

// kindOf reads a status. The codes of StorageError are exact where the service gives them;
// gRPC's own are what is left.
//
// Source: https://cloud.google.com/bigquery/docs/write-api-best-practices#error_handling
func kindOf(s *status.Status) trouble {
	for _, d := range s.Details() {
		e, ok := d.(*storagepb.StorageError)
		if !ok {
			continue
		}
		switch e.Code {
		case storagepb.StorageError_OFFSET_ALREADY_EXISTS:
			return troubleThere
		case storagepb.StorageError_OFFSET_OUT_OF_RANGE, storagepb.StorageError_STREAM_FINALIZED, storagepb.StorageError_STREAM_NOT_FOUND,
			storagepb.StorageError_STREAM_ALREADY_COMMITTED, storagepb.StorageError_INVALID_STREAM_STATE:
			return troubleStream
		case storagepb.StorageError_SCHEMA_MISMATCH_EXTRA_FIELDS:
			return troubleSchema
		case storagepb.StorageError_TABLE_NOT_FOUND: // a new table is known here after a while
			return troubleAgain
		case storagepb.StorageError_INVALID_STREAM_TYPE:
			return troubleFinal
		}
	}
	switch s.Code() {
	case codes.AlreadyExists:
		return troubleThere
	case codes.OutOfRange:
		return troubleStream
	case codes.Unauthenticated, codes.PermissionDenied:
		return troubleDenied
	case codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented:
		if strings.Contains(s.Message(), "incompatible fields") { // as Beam's Java sink has found it
			return troubleSchema
		}
		return troubleFinal
	}
	// ResourceExhausted, Unavailable, Aborted, Internal, DeadlineExceeded, Canceled, NotFound
	// and Unknown: a server that is busy, restarts, or closes an idle connection.
	return troubleAgain
}

// retryDelay is how long the service asks to be left alone.
func retryDelay(s *status.Status) time.Duration {
	for _, d := range s.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// mark is the error of a status as delivery.Policy has it.
func mark(kind trouble, s *status.Status) error {
	err := fmt.Errorf("%s: %s", s.Code(), s.Message())
	switch kind {
	case troubleFinal:
		return err
	case troubleDenied:
		return delivery.Denied(err)
	}
	return delivery.Again(err, retryDelay(s))
}

// markRPC is mark for the error of a call that has no streams about it.
func markRPC(err error) error {
	if err == nil {
		return nil
	}
	s := statusOf(err)
	kind := kindOf(s)
	if kind == troubleThere || kind == troubleStream || kind == troubleSchema {
		kind = troubleFinal
	}
	return mark(kind, s)
}

// statusOf is the status of an error; one that has none came from the connection.
func statusOf(err error) *status.Status {
	if errors.Is(err, io.EOF) {
		return status.New(codes.Unavailable, "the server closed the stream")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err)
	}
	if s, ok := status.FromError(err); ok {
		return s
	}
	return status.New(codes.Unavailable, err.Error())
}
