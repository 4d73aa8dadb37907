package parse

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
	"github.com/flowbeam/flowbeam/internal/schemaregistry"
)

// canopusField is where a value goes.
type canopusField uint8

const (
	canopusExtension canopusField = iota
	canopusTime
	canopusUser
	canopusClient
	canopusServer
	canopusDownload
	canopusUpload
	canopusInternalRTT
	canopusExternalRTT
	canopusInternalLoss
	canopusExternalLoss
	canopusDataCenter
	canopusTenant
)

var canopusFields = map[string]canopusField{
	"timestamp": canopusTime, "user_id": canopusUser, "client_ip": canopusClient, "server_ip": canopusServer,
	"download_bytes": canopusDownload, "upload_bytes": canopusUpload,
	"internal_rtt": canopusInternalRTT, "external_rtt": canopusExternalRTT,
	"internal_loss": canopusInternalLoss, "external_loss": canopusExternalLoss,
	"data_center": canopusDataCenter, "tenant": canopusTenant,
}

// canopusPlan is what is done with each field of a schema, in their order.
type canopusPlan struct {
	columns []canopusColumn
	time    int    // which of them is the timestamp
	key     string // the fingerprint as it is in single-object encoding: a part of ids
	err     error  // why no record of the schema can be read
}

type canopusColumn struct {
	name string // as the schema has it
	to   canopusField
	node *avrodata.Node
}

// newCanopusPlan compiles a schema. Where two fields have one name of ours, the one whose own
// name it is has it, and then the first.
func newCanopusPlan(s *avrodata.Schema) *canopusPlan {
	p := &canopusPlan{time: -1, key: string(binary.LittleEndian.AppendUint64(nil, s.Fingerprint))}
	refuse := func(format string, args ...any) *canopusPlan {
		name := "of a " + s.Root.String()
		if s.Root.Name != "" {
			name = s.Root.Name
		}
		p.err = flow.Reject(flow.ReasonSchema, "schema %s, fingerprint %s: "+format, append([]any{quoted(name), avrodata.FingerprintText(s.Fingerprint)}, args...)...)
		return p
	}
	if s.Root.Kind != avrodata.Record {
		return refuse("want a record")
	}
	taken := map[canopusField]bool{}
	for _, f := range s.Root.Fields {
		if to := canopusFields[f.Name]; to != canopusExtension {
			taken[to] = true
		}
	}
	for i, f := range s.Root.Fields {
		to := canopusFields[f.Name]
		for _, a := range f.Aliases {
			if alias := canopusFields[a]; to == canopusExtension && alias != canopusExtension && !taken[alias] {
				to = alias
				taken[to] = true
			}
		}
		if to == canopusTime {
			p.time = i
		}
		if !canopusReads(to, f.Node) {
			return refuse("field %s: it is %s: want %s", f.Name, f.Node, canopusWants(to))
		}
		p.columns = append(p.columns, canopusColumn{f.Name, to, f.Node})
	}
	for _, name := range [...]string{"timestamp", "client_ip", "server_ip"} {
		if !taken[canopusFields[name]] {
			return refuse("field %s: missing", name)
		}
	}
	return p
}

// canopusReads says whether a value of the type can be read as the field. Of a union one branch
// is enough: a value of another is refused when it comes.
func canopusReads(to canopusField, n *avrodata.Node) bool {
	if to == canopusExtension {
		return true
	}
	number := n.Kind >= avrodata.Int && n.Kind <= avrodata.Double && n.Logical == avrodata.None
	switch n.Kind {
	case avrodata.Null:
		return to != canopusTime && to != canopusClient && to != canopusServer
	case avrodata.Union:
		null := false
		for _, b := range n.Branches {
			if b.Kind == avrodata.Null {
				null = true
			} else if canopusReads(to, b) {
				return true
			}
		}
		return null && len(n.Branches) == 1 && canopusReads(to, n.Branches[0])
	}
	switch to {
	case canopusTime:
		switch n.Logical {
		case avrodata.Date, avrodata.TimestampMillis, avrodata.TimestampMicros, avrodata.TimestampNanos:
			return true
		}
		return number || n.Kind == avrodata.String && n.Logical == avrodata.None
	case canopusClient, canopusServer:
		return n.Logical == avrodata.None && (n.Kind == avrodata.String || n.Kind == avrodata.Bytes || n.Kind == avrodata.Fixed && (n.Size == 4 || n.Size == 16))
	case canopusUser, canopusDataCenter, canopusTenant:
		return n.Kind >= avrodata.Int && n.Kind <= avrodata.Enum
	case canopusInternalRTT, canopusExternalRTT:
		if n.Logical == avrodata.TimeMillis || n.Logical == avrodata.TimeMicros {
			return true
		}
	}
	return number || n.Logical == avrodata.Decimal || n.Kind == avrodata.String && n.Logical == avrodata.None
}

func canopusWants(to canopusField) string {
	switch to {
	case canopusTime:
		return "a string, a timestamp, a date or a number"
	case canopusClient, canopusServer:
		return "a string, bytes or a fixed of 4 or 16 bytes"
	case canopusUser, canopusDataCenter, canopusTenant:
		return "a string, an enum, a number or bytes"
	}
	return "a number or a string"
}

func planOfRegistry(s *schemaregistry.Schema) any {
	schema, err := avrodata.Parse(s.Text, s.References...)
	if err != nil {
		return &canopusPlan{err: flow.Reject(flow.ReasonSchema, "%w", err)}
	}
	return newCanopusPlan(schema)
}
