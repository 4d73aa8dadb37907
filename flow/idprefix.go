package flow

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// IDPrefix makes the ids of many records whose first parts are the same: these are hashed
// once. The zero IDPrefix is ready for Begin; one goroutine at a time uses it.
type IDPrefix struct {
	hash  hash.Hash
	state []byte // of hash after the first parts
	buf   []byte
}

// Begin takes the format and the parts that the records share.
func (p *IDPrefix) Begin(format string, parts ...string) {
	if p.hash == nil {
		p.hash = sha256.New()
	}
	p.buf = appendPart(p.buf[:0], format)
	for _, s := range parts {
		p.buf = appendPart(p.buf, s)
	}
	p.hash.Reset()
	p.hash.Write(p.buf)
	var err error
	if p.state, err = p.hash.(encoding.BinaryAppender).AppendBinary(p.state[:0]); err != nil {
		panic("flow: state of SHA-256: " + err.Error()) // it never fails
	}
}

// ID is [NewIDText] of Begin's format and parts and one more part.
func (p *IDPrefix) ID(last string) ID {
	if err := p.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(p.state); err != nil {
		panic("flow: state of SHA-256: " + err.Error())
	}
	p.buf = binary.AppendUvarint(p.buf[:0], uint64(len(last)))
	p.buf = append(p.buf, last...)
	p.hash.Write(p.buf)
	p.buf = p.hash.Sum(p.buf[:0])
	return ID(p.buf[:16])
}
