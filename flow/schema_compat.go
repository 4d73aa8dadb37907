package flow

import "fmt"

// ColumnContract is what a store's data hold of a column: it may never change.
type ColumnContract struct {
	Name     string `json:"name"`
	Num      int    `json:"num,omitempty"` // 0 for a derived column, which is not on the wire
	Kind     string `json:"kind"`
	Required bool   `json:"required,omitempty"`
}

// Contract is the table's columns as a baseline file keeps them.
func (t *Table[T]) Contract() []ColumnContract {
	out := make([]ColumnContract, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		out[i] = ColumnContract{c.Name, c.Num, c.Kind.String(), c.Required}
	}
	return out
}

// Incompatible lists what the step from one contract to the next would break in a store
// that holds data, or on the wire of a running job: a column removed, renamed, retyped,
// renumbered or made required, and a new one that is required. To add a column that may
// be absent breaks nothing, nor does making a required one optional for readers; writers
// of the older schema would refuse that, so it is refused here too.
func Incompatible(baseline, now []ColumnContract) (problems []string) {
	byName, numbers := map[string]ColumnContract{}, map[int]string{}
	for _, c := range now {
		if _, ok := byName[c.Name]; ok {
			problems = append(problems, fmt.Sprintf("column %s is there twice", c.Name))
		}
		byName[c.Name] = c
		if other, ok := numbers[c.Num]; ok && c.Num != 0 {
			problems = append(problems, fmt.Sprintf("columns %s and %s have the number %d", other, c.Name, c.Num))
		}
		numbers[c.Num] = c.Name
	}
	known, used := map[string]bool{}, map[int]string{}
	for _, b := range baseline {
		known[b.Name] = true
		used[b.Num] = b.Name
		c, ok := byName[b.Name]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("column %s is removed or renamed", b.Name))
		case c.Kind != b.Kind:
			problems = append(problems, fmt.Sprintf("column %s changes its type from %s to %s", b.Name, b.Kind, c.Kind))
		case c.Num != b.Num:
			problems = append(problems, fmt.Sprintf("column %s changes its number from %d to %d", b.Name, b.Num, c.Num))
		case c.Required != b.Required:
			problems = append(problems, fmt.Sprintf("column %s changes required from %v to %v", b.Name, b.Required, c.Required))
		}
	}
	for _, c := range now {
		if known[c.Name] {
			continue
		}
		if c.Required {
			problems = append(problems, fmt.Sprintf("new column %s is required: rows that are stored lack it", c.Name))
		}
		if old, ok := used[c.Num]; ok && c.Num != 0 {
			problems = append(problems, fmt.Sprintf("new column %s takes the number %d of %s", c.Name, c.Num, old))
		}
	}
	return problems
}
