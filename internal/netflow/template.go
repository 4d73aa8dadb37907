package netflow

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
)

// variableLength is the length in a template of a field whose length is in the record.
const variableLength = 0xffff

// reversePEN marks an element as that of the reverse direction (RFC 5103).
const reversePEN = 29305

// spec is one field of a template.
type spec struct {
	id     uint16 // without the enterprise bit
	pen    uint32 // private enterprise number, 0 = IANA
	length uint16
	scope  bool
}

// templateRecord is one template as it was sent.
type templateRecord struct {
	id      uint16
	options bool
	fields  int    // 0 = withdrawn (IPFIX)
	scopes  int    // of the fields
	raw     []byte // all of it
}

// The types of an options scope in v9 (RFC 3954, section 6.1), and the elements that mean
// the same. What has none is kept by its bytes alone.
var v9Scopes = [...]uint16{2: 10, 3: 141, 5: 145}

// eachTemplate walks the templates of a set. The rest of a set that is too short for a
// template, or zeros, is padding.
func eachTemplate(version uint16, options bool, body []byte, visit func(templateRecord)) error {
	be := binary.BigEndian
	for len(body) >= 4 {
		t := templateRecord{id: be.Uint16(body), options: options}
		second := int(be.Uint16(body[2:]))
		n := 4
		switch {
		case t.id == 0 && allZero(body):
			return nil
		case t.id < 256 && !(version == IPFIX && second == 0 && (t.id == 2 || t.id == 3)):
			return flow.Reject(flow.ReasonSyntax, "template: its id is %d, below 256", t.id)
		case version == IPFIX && second == 0: // withdrawn, or 2 and 3: all of them
			t.raw = body[:4]
			visit(t)
			body = body[4:]
			continue
		case !options:
			t.fields = second
		case len(body) < 6:
			return flow.Reject(flow.ReasonSyntax, "options template %d: cut after %d bytes", t.id, len(body))
		case version == V9: // lengths in bytes
			n = 6
			third := int(be.Uint16(body[4:]))
			if second%4 != 0 || third%4 != 0 {
				return flow.Reject(flow.ReasonSyntax, "options template %d: lengths of %d and %d bytes are no whole fields", t.id, second, third)
			}
			t.scopes, t.fields = second/4, (second+third)/4
		default:
			n = 6
			t.fields, t.scopes = second, int(be.Uint16(body[4:]))
			if t.scopes > t.fields {
				return flow.Reject(flow.ReasonSyntax, "options template %d: %d of %d fields are scopes", t.id, t.scopes, t.fields)
			}
		}
		if t.fields == 0 {
			return flow.Reject(flow.ReasonSyntax, "template %d: it has no fields", t.id)
		}
		for range t.fields {
			size := 4
			if len(body) >= n+4 && version == IPFIX && body[n]&0x80 != 0 {
				size = 8
			}
			if len(body) < n+size {
				return flow.Reject(flow.ReasonSyntax, "template %d: cut, it claims %d fields", t.id, t.fields)
			}
			n += size
		}
		t.raw = body[:n]
		visit(t)
		body = body[n:]
	}
	return nil
}

// specs reads the fields of a template that eachTemplate gave.
func (t *templateRecord) specs(version uint16) []spec {
	b := t.raw[4:]
	if t.options {
		b = t.raw[6:]
	}
	out := make([]spec, t.fields)
	for i := range out {
		s := &out[i]
		s.id, s.length, s.scope = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), i < t.scopes
		b = b[4:]
		switch {
		case version == IPFIX && s.id&0x8000 != 0:
			s.id, s.pen = s.id&0x7fff, binary.BigEndian.Uint32(b)
			b = b[4:]
		case version == V9 && s.scope:
			if int(s.id) < len(v9Scopes) {
				s.id = v9Scopes[s.id]
			} else {
				s.id = 0
			}
		}
	}
	return out
}
