package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/flowbeam/flowbeam/internal/avrodata"
	"github.com/flowbeam/flowbeam/internal/schemaregistry"
)

// AvroHeader says where the schemas of messages in Avro come from. Its text is the header that a
// source declares for them. It travels with dead letters and the raw backup, so that these are
// read again by the same schemas.
type AvroHeader struct {
	// Schemas are declared by their JSON. One may use the types of those before it.
	Schemas []AvroSchema
	// Registry is the address of a schema registry that speaks Confluent's REST API, such as
	// https://registry:8081, for messages in Confluent's wire format whose schema is not declared.
	// User and Password log in by HTTP basic authentication, Token by a bearer token, CA are the
	// certificates in PEM that its own must come from. Password, Token and CA are references,
	// file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V, and never the thing itself.
	Registry, User, Password, Token, CA string
}

// AvroSchema is a declared schema. Messages in single-object encoding name it by its fingerprint,
// those in Confluent's wire format by the registry's id.
type AvroSchema struct {
	ID   int32 // 0: none
	JSON string
}

// registryLine begins the line of a header that says where a registry is. What follows is JSON.
const registryLine = "#registry "

// Text is the header: a line that begins with "#registry ", and a line for each schema, its id, if
// it has one, before it. The error says all that is wrong, and quotes no secret.
func (h AvroHeader) Text() (string, error) {
	var b strings.Builder
	var errs []error
	ids := map[int32]bool{}
	r := schemaregistry.Registry{URL: h.Registry, User: h.User, Password: h.Password, Token: h.Token, CA: h.CA}
	if r != (schemaregistry.Registry{}) {
		if err := r.Check(); err != nil {
			errs = append(errs, fmt.Errorf("registry: %w", err))
		}
		text, err := json.Marshal(r)
		if err != nil {
			errs = append(errs, err)
		}
		b.WriteString(registryLine + string(text) + "\n")
	}
	for i, s := range h.Schemas {
		var line bytes.Buffer
		if err := json.Compact(&line, []byte(s.JSON)); err != nil {
			errs = append(errs, fmt.Errorf("schema %d: no JSON: %w", i+1, err))
			continue
		}
		if s.ID != 0 && ids[s.ID] {
			errs = append(errs, fmt.Errorf("two schemas have the id %d", s.ID))
		}
		if ids[s.ID] = true; s.ID < 0 {
			errs = append(errs, fmt.Errorf("schema %d: %d is no id", i+1, s.ID))
		}
		if s.ID != 0 {
			b.WriteString(strconv.Itoa(int(s.ID)) + " ")
		}
		b.Write(line.Bytes())
		b.WriteByte('\n')
	}
	if len(errs) == 0 {
		s := newAvroSchemas(b.String())
		if s.err != nil {
			errs = append(errs, s.err)
		}
		for _, p := range s.plans {
			if p.err != nil {
				errs = append(errs, p.err)
			}
		}
	}
	return b.String(), errors.Join(errs...)
}

// avroSchemas are the schemas of a header, compiled. They are never changed.
type avroSchemas struct {
	plans         []*canopusPlan
	byFingerprint map[uint64]*canopusPlan
	byID          map[int32]*canopusPlan
	registry      *schemaregistry.Client
	err           error // the header can't be read
}

// avroHeaders are the schemas of the headers that the process saw last. Sources ask for them by
// record, and a stream of files may bring ever new ones.
var avroHeaders = struct {
	sync.RWMutex
	all map[string]*avroSchemas
}{all: map[string]*avroSchemas{}}

const maxAvroHeaders = 64

func avroSchemasOf(header string) *avroSchemas {
	avroHeaders.RLock()
	s := avroHeaders.all[header]
	avroHeaders.RUnlock()
	if s != nil {
		return s
	}
	s = newAvroSchemas(header)
	avroHeaders.Lock()
	defer avroHeaders.Unlock()
	if len(avroHeaders.all) >= maxAvroHeaders {
		clear(avroHeaders.all)
	}
	avroHeaders.all[strings.Clone(header)] = s
	return s
}

// newAvroSchemas reads a header. Schemas may be written over many lines. Of two of one id, and of
// two registries, the first is taken: a replay puts what is right before what was.
func newAvroSchemas(header string) *avroSchemas {
	s := &avroSchemas{byFingerprint: map[uint64]*canopusPlan{}, byID: map[int32]*canopusPlan{}}
	var before []string
	for rest := trim(header); rest != "" && s.err == nil; rest = trim(rest) {
		if text, ok := strings.CutPrefix(rest, registryLine); ok {
			line := firstLine(text)
			rest = text[len(line):]
			s.err = s.readRegistry(line)
			continue
		}
		id, schema, after, err := nextSchema(rest)
		if err != nil {
			s.err = err
			break
		}
		s.err = s.add(id, schema, before)
		before, rest = append(before, schema), after
	}
	return s
}

func (s *avroSchemas) readRegistry(text string) error {
	var r schemaregistry.Registry
	if json.Unmarshal([]byte(text), &r) != nil {
		return errors.New("the line of the registry is no JSON")
	}
	c, err := schemaregistry.Open(r)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if s.registry == nil {
		s.registry = c
	}
	return nil
}

// nextSchema takes a schema, with its id, from the text.
func nextSchema(text string) (id int32, schema, rest string, err error) {
	n := 0
	for n < len(text) && text[n]-'0' <= 9 {
		n++
	}
	if n > 0 {
		v, err := strconv.ParseInt(text[:n], 10, 32)
		if err != nil || v == 0 {
			return 0, "", "", fmt.Errorf("%s is no id of a schema", quoted(text[:n]))
		}
		id = int32(v)
	}
	d := jsontext.NewDecoder(strings.NewReader(text[n:]))
	v, err := d.ReadValue()
	if err != nil {
		return 0, "", "", errors.New("neither a registry nor an Avro schema as JSON: " + quoted(text))
	}
	return id, string(v), text[n+int(d.InputOffset()):], nil
}

func (s *avroSchemas) add(id int32, text string, before []string) error {
	schema, err := avrodata.Parse(text)
	if err != nil && len(before) > 0 {
		schema, err = avrodata.Parse(text, before...)
	}
	if err != nil {
		return fmt.Errorf("schema %s: %w", quoted(text), err)
	}
	p := newCanopusPlan(schema)
	s.plans = append(s.plans, p)
	if s.byFingerprint[schema.Fingerprint] == nil {
		s.byFingerprint[schema.Fingerprint] = p
	}
	if s.byFingerprint[schema.Other] == nil {
		s.byFingerprint[schema.Other] = p
	}
	if id != 0 && s.byID[id] == nil {
		s.byID[id] = p
	}
	return nil
}
