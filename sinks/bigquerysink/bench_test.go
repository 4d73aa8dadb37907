package bigquerysink

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"cloud.google.com/go/bigquery/storage/managedwriter"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

// The benchmark's server is a process of its own, so that the client's CPU time is known,
// and takes whatever comes without looking at it.
const benchServer = "FLOWBEAM_BENCH_BIGQUERY"

// anything is a message that is not decoded.
type anything struct{ b []byte }

type anyCodec struct{ encoding.CodecV2 }

func (anyCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(*anything).b)}, nil
}
func (anyCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

func serveAnything() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	marshal := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		return b
	}
	taken := marshal(&storagepb.AppendRowsResponse{Response: &storagepb.AppendRowsResponse_AppendResult_{AppendResult: &storagepb.AppendRowsResponse_AppendResult{}}})
	stream := marshal(&storagepb.WriteStream{Name: "projects/p1/datasets/net/tables/flows/streams/_default", TableSchema: &storagepb.TableSchema{Fields: storageColumns(flow.Records.BigQuerySchema())}})
	s := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.ForceServerCodecV2(anyCodec{encoding.GetCodecV2("proto")}), grpc.UnknownServiceHandler(func(_ any, c grpc.ServerStream) error {
		reply := taken
		if method, _ := grpc.MethodFromServerStream(c); strings.HasSuffix(method, "GetWriteStream") {
			reply = stream
		}
		for {
			if err := c.RecvMsg(&anything{}); err != nil {
				return nil
			}
			if err := c.SendMsg(&anything{reply}); err != nil {
				return err
			}
		}
	}))
	fmt.Println(l.Addr())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }() // ends with its parent
	panic(s.Serve(l))
}

func startBenchServer(b *testing.B) string {
	b.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), benchServer+"=1")
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// cpu is the process's CPU time.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWrite measures the sink, encoding included, against managedwriter in a loop, in
// requests of the same size: once with rows that are encoded already (plain), and once with
// rows that the loop encodes, by the sink's own encoder, so that the sink's share is seen.
// They take turns, so that the machine's other work is shared. ns/record is CPU time of
// this process.
func BenchmarkWrite(b *testing.B) {
	addr := startBenchServer(b)
	o, name, err := setup(defaults("bigquery"), flowsTable, false, []Option{Endpoint("", addr)})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	const perBundle = 100                // batches of
	records := flowtest.Records(1000, 1) // records, as sources make them
	batch := flow.Batch{Records: records}
	fn := &recordsFn{Table: name, Options: o}
	if err := fn.Setup(ctx); err != nil {
		b.Fatal(err)
	}
	fail := func(f flow.FailureBatch) { b.Fatalf("dead letters: %+v", f.Failures[0]) }
	count := func(flow.Count) {}
	sink := func() {
		fn.StartBundle(ctx, fail, count)
		for range perBundle {
			if err := fn.ProcessElement(ctx, batch, fail, count); err != nil {
				b.Fatal(err)
			}
		}
		if err := fn.FinishBundle(ctx, fail, count); err != nil {
			b.Fatal(err)
		}
	}

	e, err := flow.NewProtoEncoder(&flow.Records, nil)
	if err != nil {
		b.Fatal(err)
	}
	rows, size := make([][]byte, len(records)), 0
	for i := range records {
		rows[i] = e.Append(nil, &records[i])
		size += len(rows[i])
	}
	d := &descriptorpb.DescriptorProto{}
	if err := proto.Unmarshal(fn.sink.target.now.Load().descriptor, d); err != nil {
		b.Fatal(err)
	}
	client, err := managedwriter.NewClient(ctx, "p1", option.WithEndpoint(addr), option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	stream, err := client.NewManagedStream(ctx, managedwriter.WithDestinationTable(name.path()), managedwriter.WithType(managedwriter.DefaultStream), managedwriter.WithSchemaDescriptor(d))
	if err != nil {
		b.Fatal(err)
	}
	perRequest := len(rows) * o.RequestBytes / size
	var request [][]byte
	for len(request) < perRequest {
		request = append(request, rows[:min(len(rows), perRequest-len(request))]...)
	}
	// The loop keeps a request's rows until the reply, as managedwriter's contract asks.
	encoded := func(i, n int) [][]byte {
		out, body := make([][]byte, n), make([]byte, 0, n*(size/len(rows)+64))
		for k := range out {
			from := len(body)
			body = e.Append(body, &records[(i+k)%len(records)])
			out[k] = body[from:len(body):len(body)]
		}
		return out
	}
	plain := func(encode bool) {
		var results []*managedwriter.AppendResult
		wait := func(most int) {
			for len(results) > most {
				if _, err := results[0].GetResult(ctx); err != nil {
					b.Fatal(err)
				}
				results = results[1:]
			}
		}
		for left := perBundle * len(rows); left > 0; left -= perRequest {
			rows := request[:min(left, perRequest)]
			if encode {
				rows = encoded(left, len(rows))
			}
			r, err := stream.AppendRows(ctx, rows)
			if err != nil {
				b.Fatal(err)
			}
			results = append(results, r)
			wait(o.InFlight)
		}
		wait(0)
	}

	sink()
	plain(false)
	plain(true)
	var ours, theirs, both time.Duration
	var allocs uint64
	n := 0
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := cpu()
		sink()
		ours += cpu() - begun
		runtime.ReadMemStats(&after)
		allocs += after.Mallocs - before.Mallocs
		begun = cpu()
		plain(false)
		theirs += cpu() - begun
		begun = cpu()
		plain(true)
		both += cpu() - begun
		n += perBundle * len(records)
	}
	b.ReportMetric(float64(ours)/float64(n), "ns/record")
	b.ReportMetric(float64(theirs)/float64(n), "plain-ns/record")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
	b.ReportMetric(float64(both)/float64(n), "encoding-plain-ns/record")
	b.ReportMetric(float64(ours)/float64(both), "encoding-ratio")
	b.ReportMetric(float64(allocs)/float64(n), "allocs/record")
	b.ReportMetric(float64(size)/float64(len(records)), "bytes/record")
}
