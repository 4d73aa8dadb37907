package parse

import "strings"

// jsonNames are the names of members that a stream's objects had so far. The objects of one
// stream mostly have the same members in the same order: what came after a name the last time is
// compared first, and so reading a name mostly is one comparison, without a look at each
// other name of its object. Which names are known changes how long reading takes and nothing
// else.
type jsonNames struct {
	prefix string // of all paths, "" or with a dot at its end
	// field numbers the members at the top that a format knows, for a switch or a table. nil:
	// all are 0, as those are which are in another.
	field func(name string) int16

	known  []jsonName // known[0] is the object itself
	index  map[jsonNameKey]int32
	bytes  int
	object uint64 // how many objects were read
}

type jsonName struct {
	name   string
	path   string // made when it is asked for
	within int32  // of known: the object, or the array of objects, around it
	next   int32  // of known: what came after it the last time; 0: nothing
	first  int32  // of known: what came first in it the last time
	field  int16
	seen   uint64 // the last object that had it
}

type jsonNameKey struct {
	within int32
	name   string
}

// What a stream of ever new names may keep: with more, the next object begins anew.
const (
	maxJSONNames     = 1024
	maxJSONNameBytes = 64 << 10
)

// begin begins an object.
func (n *jsonNames) begin() {
	if n.index == nil || len(n.known) > maxJSONNames || n.bytes > maxJSONNameBytes {
		n.index = make(map[jsonNameKey]int32)
		n.known = append(n.known[:0:0], jsonName{})
		n.bytes = 0
	}
}

// id is that of a name in an object or array.
func (n *jsonNames) id(within int32, name string) int32 {
	if id, ok := n.index[jsonNameKey{within, name}]; ok {
		return id
	}
	name = strings.Clone(name)
	e := jsonName{name: name, within: within}
	if n.field != nil && within == 0 {
		e.field = n.field(name)
	}
	id := int32(len(n.known))
	n.known = append(n.known, e)
	n.index[jsonNameKey{within, name}] = id
	n.bytes += len(name)
	return id
}

// path is the name of a member below its object's, with dots. Elements of an array have that
// of the array.
func (n *jsonNames) path(id int32) string {
	e := &n.known[id]
	if e.path == "" {
		size := len(n.prefix) - 1
		for i := id; i != 0; i = n.known[i].within {
			size += len(n.known[i].name) + 1
		}
		b := make([]byte, max(size, 0))
		for i := id; i != 0; i = n.known[i].within {
			name := n.known[i].name
			size -= len(name)
			copy(b[size:], name)
			if size > 0 {
				size--
				b[size] = '.'
			}
		}
		copy(b, n.prefix)
		e.path = string(b)
		n.bytes += len(b)
	}
	return e.path
}
