package parse

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// parquetBatch is what a file source makes of a Parquet file.
func parquetBatch(t testing.TB, data []byte) flow.RawBatch {
	t.Helper()
	name, err := flow.DetectFormat(data)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := flow.FormatNamed(name)
	rows, err := info.Open(data[:min(len(data), 64<<10)], bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	in := flow.RawBatch{Origin: flow.Origin{Source: "in", Format: name, Header: rows.Header()}}
	for {
		row, err := rows.Next()
		if err == io.EOF {
			return in
		}
		if err != nil {
			t.Fatal(err)
		}
		in.Records = append(in.Records, flow.Raw{Data: bytes.Clone(row), Offset: flow.N(int64(len(in.Records)))})
	}
}

func TestParquetRowsAreTheirLines(t *testing.T) {
	type row struct {
		Version int32   `parquet:"version"`
		Source  *string `parquet:"srcaddr,optional"`
		Dest    *string `parquet:"dstaddr,optional"`
		Port    *int32  `parquet:"srcport,optional"`
		Bytes   *int64  `parquet:"bytes,optional"`
		End     int64   `parquet:"end"`
		Status  string  `parquet:"log_status"`
	}
	a, b, port, bytesSent := "10.0.1.10", "10.0.2.20", int32(443), int64(1)<<40
	var file bytes.Buffer
	w := parquet.NewGenericWriter[row](&file, parquet.MaxRowsPerRowGroup(1))
	if _, err := w.Write([]row{{5, &a, &b, &port, &bytesSent, 1768478458, "OK"}, {Version: 5, End: 1768478458, Status: "NODATA"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	in := parquetBatch(t, file.Bytes())
	var got []string
	for _, r := range in.Records {
		got = append(got, string(r.Data))
	}
	if d := cmp.Diff([]string{"5 10.0.1.10 10.0.2.20 443 1099511627776 1768478458 OK", "5 - - - - 1768478458 NODATA"}, got); d != "" || in.Origin.Header != "version srcaddr dstaddr srcport bytes end log_status\n" {
		t.Errorf("%q %s", in.Origin.Header, d)
	}
	f := newFn(t, parseFn{})
	if out, bad := f.parse(&in); len(out.Records) != 1 || f.n.gaps != 1 {
		t.Error(bad)
	}
	if _, err := openAWSParquet(file.Bytes()[:20], bytes.NewReader(file.Bytes()[:20]), 20); err == nil {
		t.Error("a cut file is opened")
	}
}

func TestAWSParquetGivesTheIDsOfTheText(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "cloud/aws/vpcflow-v2.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	in := parquetBatch(t, data)
	f := newFn(t, parseFn{CommunityID: true})
	got, bad := f.parse(&in)
	want, _, _ := parseFile(t, testenv.Shared(t, "cloud/aws/vpcflow-v2-default-header.log"))
	if len(bad) != 0 || f.n.gaps != 2 || len(got.Records) != 16 {
		t.Fatalf("%d records, %+v, %v", len(got.Records), f.n, bad)
	}
	for i := range got.Records {
		if got.Records[i].ID != want.Records[i].ID || got.Records[i].Source.Bytes != want.Records[i].Source.Bytes {
			t.Errorf("%d: %+v, want %+v", i, got.Records[i], want.Records[i])
		}
	}
}
