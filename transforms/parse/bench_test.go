package parse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/flowbeam/flowbeam/flow"
)

// benchLines bounds the lines of one batch, as a source would.
const benchLines = 1000

// benchParse measures whole batches through the DoFn's own function, per record.
func benchParse(b *testing.B, format, header string, line func(i int) string) {
	in := rawBatch(format)
	in.Origin.Header = header
	for i := range benchLines {
		in.Records = append(in.Records, flow.Raw{Data: []byte(line(i)), Offset: flow.N(int64(i))})
	}
	f := newFn(b, parseFn{CommunityID: true})
	b.ReportAllocs()
	b.ResetTimer()
	allocs := testing.AllocsPerRun(3, func() { f.parse(&in) })
	b.ResetTimer()
	for range b.N {
		if out, bad := f.parse(&in); len(out.Records) != benchLines {
			b.Fatal(bad[0])
		}
	}
	perRecord(b)
	b.ReportMetric(allocs/benchLines, "allocs/record")
}

func perRecord(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchLines, "ns/record")
}

func canopusBenchLine(i int) string {
	return strings.Replace(canopusLine, "user12345", fmt.Sprintf("user%05d", i), 1)
}

func BenchmarkCanopus(b *testing.B) {
	b.Run("parse", func(b *testing.B) { benchParse(b, "canopus", "", canopusBenchLine) })
	lines := make([][]byte, benchLines)
	for i := range lines {
		lines[i] = []byte(canopusBenchLine(i))
	}
	b.Run("decode", func(b *testing.B) {
		d := &canopusDecoder{}
		b.ReportAllocs()
		for range b.N {
			for _, l := range lines {
				var r flow.Record
				if _, err := d.Decode(view(l), &r); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRecord(b)
	})
	type flat struct {
		Timestamp    string  `json:"timestamp"`
		UserID       string  `json:"user_id"`
		Client       string  `json:"client_ip"`
		Server       string  `json:"server_ip"`
		Download     int64   `json:"download_bytes"`
		Upload       int64   `json:"upload_bytes"`
		InternalRTT  float64 `json:"internal_rtt"`
		ExternalRTT  float64 `json:"external_rtt"`
		InternalLoss float64 `json:"internal_loss"`
		ExternalLoss float64 `json:"external_loss"`
	}
	for name, unmarshal := range map[string]func([]byte, any) error{
		"struct by json v2": func(b []byte, v any) error { return jsonv2.Unmarshal(b, v) },
		"struct by json v1": json.Unmarshal,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				for _, l := range lines {
					var r flat
					if err := unmarshal(l, &r); err != nil {
						b.Fatal(err)
					}
				}
			}
			perRecord(b)
		})
	}
}

func BenchmarkID(b *testing.B) {
	line := canopusLine
	b.ReportAllocs()
	for range b.N {
		flow.NewIDText("canopus", line)
	}
}

func BenchmarkSplitTSV(b *testing.B) {
	line := []byte(strings.Repeat("field\t", 20))
	b.ReportAllocs()
	for range b.N {
		bytes.Split(line, []byte{'\t'})
	}
}
