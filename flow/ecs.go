package flow

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ECS writes the rows of a table as Elasticsearch documents: nested objects by the
// columns' ECS names, which fit [Table.ElasticMapping]. What JSON or the mapping has in
// another form than a row of NDJSON:
//
//   - latitude and longitude are one geo_point, and left out unless both are there
//   - ip_version is network.type, ipv4 or ipv6
//
// A document is one line: no byte of it is a line feed, whatever the row holds. An ECS is
// made once and used from any number of goroutines.
//
// Source: https://www.elastic.co/docs/reference/ecs
type ECS[T any] struct {
	columns []Column[T]
	plan    *rowPlan
	special []ecsSpecial
	lon     []int // of a latitude, its longitude's column

	open   [][]string // open[i][d]: what leads to column i's value where d objects are open already
	common [][]uint8  // common[i][j]: objects that columns i and j share
	depth  []uint8    // objects around column i
}

type ecsSpecial uint8

const (
	ecsPlain ecsSpecial = iota
	ecsLatitude
	ecsLongitude
	ecsIPVersion
)

// maxECSDepth is how deep the names of columns may nest.
const maxECSDepth = 8

// NewECS makes the encoder of a table. It panics where [Table.ElasticMapping] does, for
// the same reasons.
func NewECS[T any](t *Table[T]) *ECS[T] {
	t.ElasticMapping()
	e := &ECS[T]{columns: slices.Clone(t.Columns)}
	// In the order of their paths, so that what lies in one object comes together.
	slices.SortStableFunc(e.columns, func(a, b Column[T]) int {
		return slices.Compare(strings.Split(a.ECS, "."), strings.Split(b.ECS, "."))
	})
	e.plan = newRowPlan(t.Name+" as ECS", e.columns)
	for i, s := range e.plan.slots { // these have no absent state
		if s.kind == slotInt64 || s.kind == slotBool {
			e.plan.fixed.set(i)
		}
	}
	n := len(e.columns)
	paths := make([][]string, n)
	e.special, e.lon, e.open, e.depth = make([]ecsSpecial, n), make([]int, n), make([][]string, n), make([]uint8, n)
	e.common = make([][]uint8, n)
	for i := range e.columns {
		c := &e.columns[i]
		paths[i] = strings.Split(c.ECS, ".")
		switch last := paths[i][len(paths[i])-1]; {
		case last == "lat" && len(paths[i]) > 1:
			e.special[i], paths[i] = ecsLatitude, paths[i][:len(paths[i])-1]
			e.lon[i] = slices.IndexFunc(e.columns, func(o Column[T]) bool { return o.ECS == strings.TrimSuffix(c.ECS, "lat")+"lon" })
		case last == "lon" && len(paths[i]) > 1:
			e.special[i], paths[i] = ecsLongitude, paths[i][:len(paths[i])-1]
		case c.ECS == "network.type":
			e.special[i] = ecsIPVersion
		}
		if len(paths[i]) > maxECSDepth {
			panic("flow: table " + t.Name + ": ECS name " + c.ECS + " nests too deep")
		}
		e.depth[i] = uint8(len(paths[i]) - 1)
		e.open[i] = make([]string, len(paths[i]))
		for d := range e.open[i] {
			var b []byte
			for k := d; k < len(paths[i]); k++ {
				b = append(AppendJSON(b, paths[i][k]), ':')
				if k < len(paths[i])-1 {
					b = append(b, '{')
				}
			}
			e.open[i][d] = string(b)
		}
	}
	for i := range paths {
		e.common[i] = make([]uint8, n)
		for j := range paths {
			for d := 0; d < int(min(e.depth[i], e.depth[j])) && paths[i][d] == paths[j][d]; d++ {
				e.common[i][j]++
			}
		}
	}
	return e
}

// Append appends the row's document to b, without a newline.
func (e *ECS[T]) Append(b []byte, row *T) []byte {
	ptr := rowOf(row)
	var present bitset
	e.plan.present(ptr, &present)
	b = append(b, '{')
	last := -1
	for w := range present {
		for m := present[w]; m != 0; {
			i := next(&m, w)
			if e.special[i] == ecsLongitude {
				continue
			}
			// What leads to the value, and back again where there turns out to be none.
			mark := len(b)
			if last < 0 {
				b = append(b, e.open[i][0]...)
			} else {
				same := e.common[last][i]
				b = append(b, "}}}}}}}}"[:e.depth[last]-same]...)
				b = append(b, ',')
				b = append(b, e.open[i][same]...)
			}
			value := len(b)
			b = e.appendValue(b, i, row, ptr)
			if len(b) == value {
				b = b[:mark]
				continue
			}
			last = i
		}
	}
	if last >= 0 {
		b = append(b, "}}}}}}}}"[:e.depth[last]]...)
	}
	return append(b, '}')
}

// appendValue appends the value of a column, or nothing where it turns out to be absent.
func (e *ECS[T]) appendValue(b []byte, i int, row *T, ptr rowPtr) []byte {
	c := &e.columns[i]
	switch e.special[i] {
	case ecsLatitude:
		return e.appendPoint(b, i, row)
	case ecsIPVersion:
		switch v := c.Get(row); {
		case v.Kind == KindInt && v.Int == 4:
			return append(b, `"ipv4"`...)
		case v.Kind == KindInt && v.Int == 6:
			return append(b, `"ipv6"`...)
		}
		return b
	}
	switch s := e.plan.slots[i]; s.kind {
	case slotDerived:
		return appendValueECS(b, c.Derive(row))
	case slotString:
		return AppendJSON(b, *field[string](ptr, s))
	case slotInt:
		return strconv.AppendInt(b, field[Int](ptr, s).V, 10)
	case slotInt64:
		return strconv.AppendInt(b, *field[int64](ptr, s), 10)
	case slotFloat:
		return appendFloat(b, field[Float](ptr, s).V)
	case slotBool:
		return strconv.AppendBool(b, *field[bool](ptr, s))
	case slotTime:
		return appendTime(b, *field[Time](ptr, s))
	case slotIP:
		b = append(b, '"')
		b = field[IP](ptr, s).Append(b)
		return append(b, '"')
	case slotID:
		b = append(b, '"')
		b = AppendID(b, *field[ID](ptr, s))
		return append(b, '"')
	case slotBytes:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, *field[[]byte](ptr, s))
		return append(b, '"')
	case slotLabels:
		return AppendLabels(b, *field[[]Label](ptr, s))
	case slotExtensions:
		return oneLine(len(b), AppendExtensions(b, *field[[]Extension](ptr, s)))
	}
	return b
}

// appendPoint appends the place that a latitude and its longitude make.
func (e *ECS[T]) appendPoint(b []byte, lat int, row *T) []byte {
	if e.lon[lat] < 0 {
		return b
	}
	y, x := e.columns[lat].Get(row), e.columns[e.lon[lat]].Get(row)
	if y.Kind != KindFloat || x.Kind != KindFloat || !finite(y.Float) || !finite(x.Float) {
		return b
	}
	b = append(b, `{"lat":`...)
	b = appendFloat(b, y.Float)
	b = append(b, `,"lon":`...)
	b = appendFloat(b, x.Float)
	return append(b, '}')
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

func appendValueECS(b []byte, v Value) []byte {
	if v.Kind != KindObject {
		return appendValueJSON(b, v)
	}
	if !json.Valid([]byte(v.Str)) {
		return b
	}
	return oneLine(len(b), append(b, v.Str...))
}

// oneLine takes the line feeds out of the JSON that was appended after from. JSON has them
// between its tokens alone, where they mean nothing.
func oneLine(from int, b []byte) []byte {
	if bytes.IndexByte(b[from:], '\n') < 0 {
		return b
	}
	return append(b[:from], bytes.ReplaceAll(b[from:], []byte{'\n'}, []byte{' '})...)
}
