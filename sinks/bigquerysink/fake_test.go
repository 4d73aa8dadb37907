package bigquerysink

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest/sinktest"
)

// fakeBigQuery is BigQuery's Storage Write API with its rules: offsets of streams, rows
// that are refused without which nothing of a request is taken, columns matched by name,
// upserts by primary key. It decodes rows by reflection.
//
// Sources: storage.proto of google.cloud.bigquery.storage.v1, and
// https://cloud.google.com/bigquery/docs/write-api-best-practices
type fakeBigQuery struct {
	storagepb.UnimplementedBigQueryWriteServer
	addr string

	mu      sync.Mutex
	tables  map[string]*fakeTable
	streams map[string]*fakeStream
	faults  map[sinktest.Fault]int
	plan    []func(*fakeStream) fault // what happens to the next appends, one each
	appends int
	largest int // request, in bytes
	traces  map[string]bool
}

type fakeTable struct {
	path    string
	columns []*storagepb.TableFieldSchema
	version int
	key     string // the primary key's column
	rows    []map[string]any
	refuse  func(row map[string]any) string // the error of a row, "" = none
	widen   func(t *fakeTable, requests int)
	asked   int
}

type fakeStream struct {
	name      string
	table     *fakeTable
	isDefault bool
	rows      int64
	finalized bool
}

// fault is how an append goes wrong.
type fault struct {
	apply  bool           // the rows are taken all the same
	status error          // the stream breaks with it
	reply  *status.Status // or the request is answered with it
	empty  bool           // or with nothing
	wait   time.Duration
}

func newFake(t testing.TB) *fakeBigQuery {
	t.Helper()
	f := &fakeBigQuery{tables: map[string]*fakeTable{}, streams: map[string]*fakeStream{}, faults: map[sinktest.Fault]int{}, traces: map[string]bool{}}
	l := listenAnew(t)
	s := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	storagepb.RegisterBigQueryWriteServer(s, f)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	f.addr = l.Addr().String()
	return f
}

var listened sync.Map // addresses that a fake of this process had

// listenAnew listens where no fake before it did: a worker keeps what it knows of a table by the
// service's address, and the system may give an address again.
func listenAnew(t testing.TB) net.Listener {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if _, again := listened.LoadOrStore(l.Addr().String(), true); !again {
			return l
		}
		t.Cleanup(func() { l.Close() }) // kept until then, or it would be given at once again
	}
}

// add makes a table with the columns of one of flow.
func (f *fakeBigQuery) add(name string, schema []byte) *fakeTable {
	n, err := parseTable(name)
	if err != nil {
		panic(err)
	}
	t := &fakeTable{path: n.path(), columns: storageColumns(schema)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tables[t.path] = t
	f.streams[t.path+"/streams/_default"] = &fakeStream{name: t.path + "/streams/_default", table: t, isDefault: true}
	return t
}

// storageColumns reads a committed schema file into the API's form.
func storageColumns(schema []byte) []*storagepb.TableFieldSchema {
	var fields []struct{ Name, Type, Mode string }
	if err := json.Unmarshal(schema, &fields); err != nil {
		panic(err)
	}
	types := map[string]storagepb.TableFieldSchema_Type{
		"STRING": storagepb.TableFieldSchema_STRING, "INTEGER": storagepb.TableFieldSchema_INT64, "FLOAT": storagepb.TableFieldSchema_DOUBLE,
		"BOOLEAN": storagepb.TableFieldSchema_BOOL, "TIMESTAMP": storagepb.TableFieldSchema_TIMESTAMP, "JSON": storagepb.TableFieldSchema_JSON,
		"BYTES": storagepb.TableFieldSchema_BYTES,
	}
	var out []*storagepb.TableFieldSchema
	for _, x := range fields {
		out = append(out, &storagepb.TableFieldSchema{Name: x.Name, Type: types[x.Type], Mode: storagepb.TableFieldSchema_Mode(storagepb.TableFieldSchema_Mode_value[x.Mode])})
	}
	return out
}

func column(name string, typ storagepb.TableFieldSchema_Type) *storagepb.TableFieldSchema {
	return &storagepb.TableFieldSchema{Name: name, Type: typ, Mode: storagepb.TableFieldSchema_NULLABLE}
}

// change changes the table's columns, as an ALTER TABLE of somebody else does.
func (f *fakeBigQuery) change(t *fakeTable, columns func([]*storagepb.TableFieldSchema) []*storagepb.TableFieldSchema) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.columns = columns(slices.Clone(t.columns))
	t.version++
}

func (f *fakeBigQuery) rowsOf(t *fakeTable) []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(t.rows)
}

// next plans what happens to the next append requests, one each.
func (f *fakeBigQuery) next(plan ...func(*fakeStream) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = append(f.plan, plan...)
}

func storageError(code codes.Code, detail storagepb.StorageError_StorageErrorCode, text string) *status.Status {
	s, err := status.New(code, text).WithDetails(&storagepb.StorageError{Code: detail, ErrorMessage: text})
	if err != nil {
		panic(err)
	}
	return s
}

func (f *fakeBigQuery) GetWriteStream(_ context.Context, r *storagepb.GetWriteStreamRequest) (*storagepb.WriteStream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.streams[r.Name]
	if !ok {
		return nil, storageError(codes.NotFound, storagepb.StorageError_TABLE_NOT_FOUND, "no table of "+r.Name).Err()
	}
	w := &storagepb.WriteStream{Name: s.name, Type: storagepb.WriteStream_COMMITTED}
	if r.View == storagepb.WriteStreamView_FULL {
		w.TableSchema = &storagepb.TableSchema{Fields: slices.Clone(s.table.columns)}
	}
	return w, nil
}

func (f *fakeBigQuery) CreateWriteStream(_ context.Context, r *storagepb.CreateWriteStreamRequest) (*storagepb.WriteStream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.tables[r.Parent]
	if !ok {
		return nil, status.Error(codes.NotFound, "no table "+r.Parent)
	}
	if r.WriteStream.GetType() != storagepb.WriteStream_COMMITTED {
		return nil, status.Error(codes.Unimplemented, "the fake has committed streams alone")
	}
	s := &fakeStream{name: fmt.Sprintf("%s/streams/s%d", r.Parent, len(f.streams)), table: t}
	f.streams[s.name] = s
	return &storagepb.WriteStream{Name: s.name, Type: storagepb.WriteStream_COMMITTED}, nil
}

func (f *fakeBigQuery) FinalizeWriteStream(_ context.Context, r *storagepb.FinalizeWriteStreamRequest) (*storagepb.FinalizeWriteStreamResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.streams[r.Name]
	if !ok || s.isDefault {
		return nil, storageError(codes.NotFound, storagepb.StorageError_STREAM_NOT_FOUND, r.Name).Err()
	}
	s.finalized = true
	return &storagepb.FinalizeWriteStreamResponse{RowCount: s.rows}, nil
}

// connection is what the server remembers between the requests of one AppendRows call.
type connection struct {
	stream  *fakeStream
	message protoreflect.MessageDescriptor
	told    int // the version of the table's schema that the client knows
}

func (f *fakeBigQuery) AppendRows(call storagepb.BigQueryWrite_AppendRowsServer) error {
	var c connection
	for {
		r, err := call.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		reply, err := f.append(&c, r)
		if err != nil {
			return err
		}
		if err := call.Send(reply); err != nil {
			return err
		}
	}
}

// fakeMaxRequest is the service's bound.
const fakeMaxRequest = 10_000_000

func (f *fakeBigQuery) append(c *connection, r *storagepb.AppendRowsRequest) (*storagepb.AppendRowsResponse, error) {
	f.mu.Lock()
	f.appends++
	f.largest = max(f.largest, proto.Size(r))
	if c.stream == nil {
		f.traces[r.TraceId] = true
		s, ok := f.streams[r.WriteStream]
		if !ok {
			f.mu.Unlock()
			return nil, storageError(codes.NotFound, storagepb.StorageError_STREAM_NOT_FOUND, "no stream "+r.WriteStream).Err()
		}
		c.stream, c.told = s, s.table.version
	}
	x := f.fault(c.stream)
	f.mu.Unlock()
	time.Sleep(x.wait)
	f.mu.Lock()
	defer f.mu.Unlock()
	if proto.Size(r) > fakeMaxRequest {
		return nil, status.Errorf(codes.InvalidArgument, "the request has %d bytes, more than 10 MB", proto.Size(r))
	}
	wrong := x.empty || x.status != nil || x.reply != nil
	var reply *storagepb.AppendRowsResponse
	if !wrong || x.apply {
		var err error
		if reply, err = f.apply(c, r); err != nil {
			return nil, err
		}
	}
	switch {
	case x.status != nil:
		return nil, x.status
	case x.empty:
		return &storagepb.AppendRowsResponse{}, nil
	case x.reply != nil:
		return refused(x.reply), nil
	}
	return reply, nil
}

func refused(s *status.Status) *storagepb.AppendRowsResponse {
	return &storagepb.AppendRowsResponse{Response: &storagepb.AppendRowsResponse_Error{Error: s.Proto()}}
}

// fault takes what is planned for the next append.
func (f *fakeBigQuery) fault(s *fakeStream) fault {
	if len(f.plan) > 0 {
		p := f.plan[0]
		f.plan = f.plan[1:]
		return p(s)
	}
	for _, k := range sinktest.Faults {
		n := f.faults[k]
		if n == 0 {
			continue
		}
		if n > 0 {
			f.faults[k]--
		}
		switch k {
		case sinktest.Unavailable:
			if f.appends%2 == 0 {
				s, _ := status.New(codes.ResourceExhausted, "quota of appends").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
				return fault{reply: s}
			}
			return fault{status: status.Error(codes.Unavailable, "the server restarts")}
		case sinktest.LostReply:
			return fault{apply: true, status: status.Error(codes.Unavailable, "connection lost")}
		case sinktest.Expired:
			return fault{status: status.Error(codes.Unauthenticated, "the token has expired")}
		case sinktest.Broken:
			return fault{apply: f.appends%2 == 0, empty: true}
		case sinktest.Slow:
			return fault{wait: 20 * time.Millisecond}
		}
	}
	return fault{}
}

// apply is an append by the service's rules.
func (f *fakeBigQuery) apply(c *connection, r *storagepb.AppendRowsRequest) (*storagepb.AppendRowsResponse, error) {
	data := r.GetProtoRows()
	if data == nil {
		return nil, status.Error(codes.InvalidArgument, "no rows in protobuf")
	}
	if d := data.GetWriterSchema().GetProtoDescriptor(); d != nil {
		file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{Name: proto.String("r.proto"), Syntax: proto.String("proto2"), MessageType: []*descriptorpb.DescriptorProto{d}}, nil)
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		c.message = file.Messages().Get(0)
	}
	if c.message == nil {
		return nil, status.Error(codes.InvalidArgument, "the first request has no schema")
	}
	s, t := c.stream, c.stream.table
	switch at := r.GetOffset(); {
	case s.finalized:
		return refused(storageError(codes.InvalidArgument, storagepb.StorageError_STREAM_FINALIZED, "the stream is finalized")), nil
	case at == nil:
	case s.isDefault:
		return refused(status.New(codes.InvalidArgument, "the default stream has no offsets")), nil
	case at.Value < s.rows:
		return refused(storageError(codes.AlreadyExists, storagepb.StorageError_OFFSET_ALREADY_EXISTS, fmt.Sprintf("offset %d, the stream has %d rows", at.Value, s.rows))), nil
	case at.Value > s.rows:
		return refused(storageError(codes.OutOfRange, storagepb.StorageError_OFFSET_OUT_OF_RANGE, fmt.Sprintf("offset %d, the stream has %d rows", at.Value, s.rows))), nil
	}
	t.asked++
	if t.widen != nil {
		t.widen(t, t.asked)
	}
	columns := map[string]*storagepb.TableFieldSchema{}
	for _, x := range t.columns {
		columns[x.Name] = x
	}
	upsert := false
	for i := range c.message.Fields().Len() {
		name := string(c.message.Fields().Get(i).Name())
		if name == changeType || name == changeSequence {
			upsert = true
		} else if columns[name] == nil {
			return refused(storageError(codes.InvalidArgument, storagepb.StorageError_SCHEMA_MISMATCH_EXTRA_FIELDS, "the table has no column "+name)), nil
		}
	}
	if upsert && (t.key == "" || !s.isDefault) {
		return refused(status.New(codes.InvalidArgument, "upserts need a primary key and the default stream")), nil
	}
	rows := make([]map[string]any, 0, len(data.GetRows().GetSerializedRows()))
	var bad []*storagepb.RowError
	for i, b := range data.GetRows().GetSerializedRows() {
		row, why := decodeRow(c.message, columns, b)
		if why == "" && t.refuse != nil {
			why = t.refuse(row)
		}
		if why != "" {
			bad = append(bad, &storagepb.RowError{Index: int64(i), Code: storagepb.RowError_FIELDS_ERROR, Message: why})
		}
		rows = append(rows, row)
	}
	if len(bad) > 0 {
		reply := refused(status.New(codes.InvalidArgument, "errors in rows"))
		reply.RowErrors = bad
		return reply, nil
	}
	if upsert {
		for _, row := range rows {
			t.upsert(row)
		}
	} else {
		t.rows = append(t.rows, rows...)
	}
	result := &storagepb.AppendRowsResponse_AppendResult{}
	if !s.isDefault {
		result.Offset = wrapperspb.Int64(s.rows)
		s.rows += int64(len(rows))
	}
	reply := &storagepb.AppendRowsResponse{Response: &storagepb.AppendRowsResponse_AppendResult_{AppendResult: result}, WriteStream: s.name}
	if c.told < t.version {
		c.told = t.version
		reply.UpdatedSchema = &storagepb.TableSchema{Fields: slices.Clone(t.columns)}
	}
	return reply, nil
}

func decodeRow(d protoreflect.MessageDescriptor, columns map[string]*storagepb.TableFieldSchema, b []byte) (map[string]any, string) {
	m := dynamicpb.NewMessage(d)
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(b, m); err != nil {
		return nil, "cannot be parsed: " + err.Error()
	}
	row := map[string]any{}
	why := ""
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		row[string(f.Name())] = v.Interface()
		s, ok := v.Interface().(string)
		if x := columns[string(f.Name())]; ok && x != nil && x.Type == storagepb.TableFieldSchema_JSON && !json.Valid([]byte(s)) {
			why = "column " + x.Name + " is no JSON"
		} else if ok && !utf8.ValidString(s) {
			why = "a string is not UTF-8"
		}
		return true
	})
	for name, x := range columns {
		if x.Mode == storagepb.TableFieldSchema_REQUIRED && row[name] == nil {
			why = "required column " + name + " is missing"
		}
	}
	return row, why
}

// upsert keeps of two rows with one key the one with the higher sequence number, and of
// two with the same number the later.
func (t *fakeTable) upsert(row map[string]any) {
	for i, have := range t.rows {
		if have[t.key] != row[t.key] {
			continue
		}
		if sequence(row) >= sequence(have) {
			t.rows[i] = row
		}
		return
	}
	t.rows = append(t.rows, row)
}

func sequence(row map[string]any) uint64 {
	n, err := strconv.ParseUint(row[changeSequence].(string), 16, 64)
	if err != nil || row[changeType] != "UPSERT" {
		panic(fmt.Sprint("not an upsert: ", row))
	}
	return n
}

// fakeStore is the fake as the conformance suite sees it.
type fakeStore struct {
	*fakeBigQuery
	table *fakeTable
}

func (s fakeStore) IDs() []string {
	var ids []string
	for _, r := range s.rowsOf(s.table) {
		ids = append(ids, r["record_id"].(string))
	}
	return ids
}

func (s fakeStore) Fail(f sinktest.Fault, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == sinktest.Partial { // a request is taken as a whole, or nothing of it
		return false
	}
	s.faults[f] = n
	return true
}

func (s fakeStore) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appends
}

func (s fakeStore) MaxRecord() int { return fakeMaxRequest }

const flowsTable = "p1.net.flows"

// openFake makes a fake with a table of flows, and the DoFn that writes it.
func openFake(t testing.TB, opts ...Option) (*recordsFn, *fakeBigQuery, *fakeTable) {
	t.Helper()
	f := newFake(t)
	table := f.add(flowsTable, flow.Records.BigQuerySchema())
	opts = append([]Option{Endpoint("", f.addr), Retry(2*time.Millisecond, 40*time.Millisecond, 10*time.Second)}, opts...)
	o, name, err := setup(defaults("bigquery"), flowsTable, false, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &recordsFn{Table: name, Options: o}, f, table
}

func names(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }
