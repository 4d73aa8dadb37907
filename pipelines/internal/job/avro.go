package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/internal/avrodata"
	"github.com/flowbeam/flowbeam/internal/filesystem"
	"github.com/flowbeam/flowbeam/transforms/parse"
)

// avroFormat is the format whose messages may be in Avro.
const avroFormat = "canopus"

// readsAvro says that the options name schemas of messages in Avro.
func (o *Options) readsAvro() bool { return len(o.AvroSchema) > 0 || o.SchemaRegistry != "" }

// header is what is declared of input that has no header of its own. Schemas are read from their
// files here, at the launch: workers and replays need none of these.
func (o *Options) header() (string, error) {
	if !o.readsAvro() {
		return o.Header, nil
	}
	schemas, err := o.avroSchemas()
	if err != nil {
		return "", err
	}
	h := o.avroRegistry()
	h.Schemas = schemas
	return h.Text()
}

func (o *Options) avroRegistry() parse.AvroHeader {
	return parse.AvroHeader{
		Registry: o.SchemaRegistry, User: o.SchemaRegistryUser, Password: o.SchemaRegistryPassword,
		Token: o.SchemaRegistryToken, CA: o.SchemaRegistryCA,
	}
}

// avroSchemas reads the files of the schemas, each as PATH or ID=PATH.
func (o *Options) avroSchemas() (out []parse.AvroSchema, err error) {
	var errs []error
	for _, named := range o.AvroSchema {
		s := parse.AvroSchema{}
		path := named
		if id, rest, ok := strings.Cut(named, "="); ok {
			if v, err := strconv.ParseInt(id, 10, 32); err == nil {
				if v <= 0 {
					errs = append(errs, fmt.Errorf("%s: %d is no id of a registry", named, v))
				}
				s.ID, path = int32(v), rest
			}
		}
		if s.JSON, err = readWhole(path); err != nil {
			errs = append(errs, err)
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// maxSchemaFile is the longest file of a schema that is read, in bytes.
const maxSchemaFile = avrodata.MaxSchemaBytes

// readWhole reads a small file of any storage.
func readWhole(path string) (string, error) {
	fsys, err := filesystem.For(path)
	if err != nil {
		return "", err
	}
	r, err := fsys.Open(context.Background(), path, 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxSchemaFile+1))
	if err == nil && len(b) > maxSchemaFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxSchemaFile)
	}
	return string(b), err
}

// validateAvro says what is wrong with where schemas come from.
func (o *Options) validateAvro(add func(string, error)) {
	registry := o.avroRegistry()
	if _, err := registry.Text(); err != nil {
		add("schema_registry", err)
	}
	if schemas, err := o.avroSchemas(); err != nil {
		add("avro_schema", err)
	} else if _, err := (parse.AvroHeader{Schemas: schemas}).Text(); err != nil {
		add("avro_schema", err)
	}
	if !o.readsAvro() {
		return
	}
	flag := "schema_registry"
	if len(o.AvroSchema) > 0 {
		flag = "avro_schema"
	}
	if o.Header != "" {
		add(flag, errors.New("is a header too: give it or --header"))
	}
	switch {
	case o.Format != "" && o.Format != avroFormat:
		add(flag, fmt.Errorf("is for --format=%s, not %s", avroFormat, o.Format))
	case o.Format == "" && (o.readsKafka() || o.readsPubSub()):
		add(flag, fmt.Errorf("needs --format=%s: messages in Confluent's wire format begin as others do", avroFormat))
	}
}

// schemas is the part of the header that a replay adds to those which records have.
func (o *Options) schemas() (string, error) {
	if !o.readsAvro() {
		return "", nil
	}
	return o.header()
}

// withSchemas puts the schemas that a replay declares before those which records of the format
// have with them: what was not known then may be known now.
func withSchemas(header, format, schemas string) string {
	if schemas == "" || format != avroFormat || strings.HasPrefix(header, schemas) {
		return header
	}
	return schemas + header
}
