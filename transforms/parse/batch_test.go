package parse

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBatchGivesWhatRecordsGives(t *testing.T) {
	for format := range samples {
		in := sampleBatch(format)
		in.Records = append(in.Records, in.Records[0])
		in.Records[1].Data = []byte("{broken")
		want, wantBad := newFn(t, parseFn{CommunityID: true, Revision: 7}).parse(&in)
		got, bad, err := Batch(context.Background(), in, Revision(7))
		if err != nil || len(got.Records) != 1 {
			t.Errorf("%s: %d records, %d dead letters, %v", format, len(got.Records), len(bad), err)
		}
		if d := cmp.Diff(want, got) + cmp.Diff(wantBad, bad); d != "" {
			t.Errorf("%s: %s", format, d)
		}
	}
}

func TestBatchTellsOfAWrongOption(t *testing.T) {
	if _, _, err := Batch(context.Background(), sampleBatch("canopus"), MaxBytes(0)); err == nil || !strings.HasPrefix(err.Error(), "parse.Batch: ") {
		t.Error(err)
	}
}
