package bigquerysink

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/flowbeam/flowbeam/flow"
)

// The pseudocolumns of an upsert.
//
// Source: https://cloud.google.com/bigquery/docs/change-data-capture
const (
	changeType     = "_CHANGE_TYPE"
	changeSequence = "_CHANGE_SEQUENCE_NUMBER"
)

// storageTypes are the types of a table's columns that take what a kind of column is
// written as, the first of them as Install makes it.
var storageTypes = map[flow.Kind][]storagepb.TableFieldSchema_Type{
	flow.KindString: {storagepb.TableFieldSchema_STRING},
	flow.KindInt:    {storagepb.TableFieldSchema_INT64, storagepb.TableFieldSchema_NUMERIC, storagepb.TableFieldSchema_BIGNUMERIC},
	flow.KindFloat:  {storagepb.TableFieldSchema_DOUBLE},
	flow.KindBool:   {storagepb.TableFieldSchema_BOOL},
	flow.KindTime:   {storagepb.TableFieldSchema_TIMESTAMP},
	flow.KindIP:     {storagepb.TableFieldSchema_STRING},
	flow.KindID:     {storagepb.TableFieldSchema_STRING},
	flow.KindObject: {storagepb.TableFieldSchema_JSON, storagepb.TableFieldSchema_STRING},
	flow.KindBytes:  {storagepb.TableFieldSchema_BYTES},
}

// schema is how rows are written to a table as it was known at a time, and the connections
// that were opened with it. All but these is immutable.
type schema struct {
	columns    map[string]bool // of the table, in lower case: BigQuery's names have no case
	fields     []flow.ProtoField
	descriptor []byte // of the rows' message

	mu       sync.Mutex
	idle     []*conn
	sweeping bool
}

// has says whether the table has a column.
func (s *schema) has(column string) bool { return s.columns[strings.ToLower(column)] }

// newSchema fits a table of flow to a table of BigQuery, by the names of the columns.
func newSchema[T any](t *flow.Table[T], have []*storagepb.TableFieldSchema, upsert bool) (*schema, error) {
	s := &schema{columns: map[string]bool{}}
	for _, f := range have {
		s.columns[strings.ToLower(f.Name)] = true
		c, ok := columnOf(t, f.Name)
		if !ok {
			if f.Mode == storagepb.TableFieldSchema_REQUIRED {
				return nil, fmt.Errorf("its column %s is required, and %s has no such column", f.Name, t.Name)
			}
			continue
		}
		if f.Mode == storagepb.TableFieldSchema_REPEATED || !slices.Contains(storageTypes[c.Kind], f.Type) {
			return nil, fmt.Errorf("its column %s is %s %s, and %s has it as %s", f.Name, f.Mode, f.Type, t.Name, storageTypes[c.Kind][0])
		}
	}
	e, err := flow.NewProtoEncoder(t, s.has)
	if err != nil {
		return nil, err
	}
	s.fields = e.Fields()
	d := &descriptorpb.DescriptorProto{Name: proto.String("row")}
	for _, f := range s.fields {
		d.Field = append(d.Field, protoField(f.Name, f.Number, protoType(f.Kind), f.Required))
	}
	if upsert {
		d.Field = append(d.Field,
			protoField(changeType, e.NextNumber(), descriptorpb.FieldDescriptorProto_TYPE_STRING, false),
			protoField(changeSequence, e.NextNumber()+1, descriptorpb.FieldDescriptorProto_TYPE_STRING, false))
	}
	s.descriptor, err = proto.Marshal(d)
	return s, err
}

func columnOf[T any](t *flow.Table[T], name string) (*flow.Column[T], bool) {
	if c, ok := t.Column(name); ok {
		return c, true
	}
	return t.Column(strings.ToLower(name))
}

func protoType(k flow.Kind) descriptorpb.FieldDescriptorProto_Type {
	switch k {
	case flow.KindInt, flow.KindTime:
		return descriptorpb.FieldDescriptorProto_TYPE_INT64
	case flow.KindFloat:
		return descriptorpb.FieldDescriptorProto_TYPE_DOUBLE
	case flow.KindBool:
		return descriptorpb.FieldDescriptorProto_TYPE_BOOL
	case flow.KindBytes:
		return descriptorpb.FieldDescriptorProto_TYPE_BYTES
	}
	return descriptorpb.FieldDescriptorProto_TYPE_STRING
}

func protoField(name string, number int, typ descriptorpb.FieldDescriptorProto_Type, required bool) *descriptorpb.FieldDescriptorProto {
	label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
	if required {
		label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED
	}
	return &descriptorpb.FieldDescriptorProto{Name: &name, Number: proto.Int32(int32(number)), Type: &typ, Label: &label}
}
