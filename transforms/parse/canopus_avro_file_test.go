package parse

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/ocf"

	"github.com/flowbeam/flowbeam/flow"
)

// containerOf is an object container file of data that are encoded already.
func containerOf(t testing.TB, schema string, codec ocf.CodecName, data ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := ocf.NewEncoder(schema, &b, ocf.WithCodec(codec), ocf.WithBlockLength(2), ocf.WithSchemaMarshaler(ocf.FullSchemaMarshaler),
		ocf.WithSyncBlock([16]byte([]byte("flowbeam-testing"))), ocf.WithEncoderSchemaCache(&avro.SchemaCache{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range data {
		if _, err := w.Write([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFilesInAvroAreKnownByTheirSchema(t *testing.T) {
	file := containerOf(t, canopusSchema, ocf.Deflate, canopusDatum(t))
	if got, err := flow.DetectFormat(file); got != "canopus" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := flow.DetectFormat([]byte(singleObject(t, canopusSchema, canopusDatum(t)))); got != "canopus" {
		t.Errorf("%q, %v", got, err)
	}
	other := containerOf(t, `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`, ocf.Null, "\x02", "\x04")
	if got, err := flow.DetectFormat(other); err == nil {
		t.Errorf("another Avro file is %s", got)
	}
	// Declared to be Canopus, each of its records is accounted for.
	c, err := openCanopusAvro(other, bytes.NewReader(other), int64(len(other)))
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for m, err := c.Next(); err == nil; m, err = c.Next() {
		messages = append(messages, string(m))
	}
	if _, bad, err := parseAvro(t, c.Header(), messages...); err != nil || len(bad) != 2 || bad[0].Reason != flow.ReasonSchema {
		t.Errorf("%v, %v", bad, err)
	}
	if c, err := openCanopusAvro([]byte(canopusLine), nil, 0); c != nil || err != nil {
		t.Error("a line is opened as a container")
	}
	if _, err := openCanopusAvro(file[:30], bytes.NewReader(file[:30]), 30); err == nil {
		t.Error("a cut file is opened")
	}
	in := rawBatch("zeek_json", singleObject(t, canopusSchema, canopusDatum(t)))
	if _, bad := newFn(t, parseFn{}).parse(&in); len(bad) != 1 || !strings.Contains(bad[0].Error, "looks like canopus") {
		t.Errorf("%v", bad)
	}
}
