package elasticsink

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// result is what the server says of one document of a bulk request. Its bytes are those
// of the reply.
type result struct {
	status int
	word   []byte // created, updated, deleted or not_found, in quotes
	err    []byte // the error object, or nil
}

// readReply reads the reply to a bulk request of n documents: results in the order of the
// request. It fails where the reply is cut, is not JSON, is not a bulk reply or has
// another number of results: then what was done is not known.
//
// It is a reader of its own because esutil's makes a map and several strings for each
// document, which costs more than all else that the sink does for it.
func readReply(reply []byte, n int, into []result) ([]result, error) {
	out := into[:0]
	// The decoder reads a Buffer in place.
	d := jsontext.NewDecoder(bytes.NewBuffer(reply))
	if err := expect(d, '{'); err != nil {
		return nil, err
	}
	found := false
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if string(name) != `"items"` {
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
			continue
		}
		found = true
		if err := expect(d, '['); err != nil {
			return nil, err
		}
		for d.PeekKind() != ']' {
			r, err := readItem(d, reply)
			if err != nil {
				return nil, err
			}
			if len(out) == n {
				return nil, fmt.Errorf("more than %d results", n)
			}
			out = append(out, r)
		}
		if err := expect(d, ']'); err != nil {
			return nil, err
		}
	}
	if err := expect(d, '}'); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("text after the reply")
	}
	if !found || len(out) != n {
		return nil, fmt.Errorf("%d results for %d documents", len(out), n)
	}
	return out, nil
}

// readItem reads {"create":{"status":201,…}}.
func readItem(d *jsontext.Decoder, reply []byte) (r result, err error) {
	if err := expect(d, '{'); err != nil {
		return r, err
	}
	if err := d.SkipValue(); err != nil { // the operation's name
		return r, err
	}
	if err := expect(d, '{'); err != nil {
		return r, err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return r, err
		}
		switch string(name) {
		case `"status"`:
			t, err := d.ReadToken()
			if err != nil {
				return r, err
			}
			if t.Kind() != '0' {
				return r, errors.New("a status that is no number")
			}
			n, err := t.Int()
			if err != nil {
				return r, err
			}
			r.status = int(n)
		case `"result"`:
			if r.word, err = valueOf(d, reply); err != nil {
				return r, err
			}
		case `"error"`:
			if r.err, err = valueOf(d, reply); err != nil {
				return r, err
			}
		default:
			if err := d.SkipValue(); err != nil {
				return r, err
			}
		}
	}
	if err := expect(d, '}'); err != nil {
		return r, err
	}
	if r.status == 0 {
		return r, errors.New("a result without a status")
	}
	return r, expect(d, '}')
}

// valueOf reads a value and returns its bytes in the reply, which outlive the decoder's
// own.
func valueOf(d *jsontext.Decoder, reply []byte) ([]byte, error) {
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	end := d.InputOffset()
	return reply[end-int64(len(v)) : end], nil
}

func expect(d *jsontext.Decoder, kind jsontext.Kind) error {
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != kind {
		return fmt.Errorf("want %q, have %q", kind, t.Kind())
	}
	return nil
}
