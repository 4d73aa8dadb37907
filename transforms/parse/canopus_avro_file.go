package parse

import (
	"io"
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
)

// detectCanopusAvro knows object container files by the names in their schema, which may be
// another's, and messages in single-object encoding, which can be of no other format. One in
// Confluent's wire format begins like many a datagram: its format has to be declared.
func detectCanopusAvro(head []byte) int {
	has := func(name string) bool { return strings.Contains(view(head), strconv.Quote(name)) }
	switch {
	case avrodata.IsContainer(head) && has("client_ip") && has("server_ip"):
		return 90
	case avrodata.IsContainer(head) && has("timestamp") && has("internal_rtt"):
		return 60
	case avrodata.IsSingleObject(view(head)) && len(head) > 10:
		return 30
	}
	return 0
}

// canopusContainer gives the records of an object container file as messages in single-object
// encoding. Its header is the file's schema, so that each is read by it alone.
type canopusContainer struct {
	*avrodata.Container
	message []byte
}

func openCanopusAvro(head []byte, r io.ReaderAt, size int64) (flow.Container, error) {
	if !avrodata.IsContainer(head) {
		return nil, nil
	}
	c, err := avrodata.OpenContainer(r, size)
	if err != nil {
		return nil, err
	}
	return &canopusContainer{Container: c}, nil
}

func (c *canopusContainer) Header() string { return c.SchemaText() }

func (c *canopusContainer) Next() ([]byte, error) {
	datum, err := c.Container.Next()
	if err != nil {
		return nil, err
	}
	c.message = avrodata.AppendSingleObject(c.message[:0], c.Schema().Fingerprint, view(datum))
	return c.message, nil
}
