package flow

import "math/bits"

// Columns is a set of columns of a table, by their index.
type Columns struct {
	set bitset
}

// Next takes the lowest column out of the set and returns it, or -1 where none is left.
func (c *Columns) Next() int {
	for w := range c.set {
		if m := c.set[w]; m != 0 {
			c.set[w] = m & (m - 1)
			return w<<6 | bits.TrailingZeros64(m)
		}
	}
	return -1
}

// Present returns the columns that may have a value in the row: those that have one, and
// the derived ones, which only Derive can tell. An encoder that asks these alone does a
// fraction of the work of one that asks all.
func (t *Table[T]) Present(row *T) Columns {
	var c Columns
	t.plan().present(rowOf(row), &c.set)
	return c
}
