package extension

import "github.com/flowbeam/flowbeam/flow"

const listBlock = 256 // extensions

// List hands out the extensions of one record after the other as slices of one block, so that they
// cost no allocation of their own. The zero List is ready; one goroutine at a time uses it.
type List struct {
	list []flow.Extension
	n    int // of the current record
}

// Add adds an extension to the current record.
func (l *List) Add(e flow.Extension) {
	x := l.next()
	x.Name, x.Text, x.Kind = e.Name, e.Text, e.Kind // smaller than copying all at once
}

// Put is Add of an extension in its parts, which are quicker to hand over than the whole.
func (l *List) Put(name, text string, kind flow.ExtensionKind) {
	x := l.next()
	x.Name, x.Text, x.Kind = name, text, kind
}

// next adds an empty one.
func (l *List) next() *flow.Extension {
	if l.n == len(l.list) {
		l.grow(1)
	}
	l.n++
	return &l.list[l.n-1]
}

func (l *List) grow(n int) {
	fresh := make([]flow.Extension, max(listBlock, 2*(l.n+n)))
	copy(fresh, l.list[:l.n])
	l.list = fresh
}

// AddAll adds several, which are copied.
func (l *List) AddAll(all []flow.Extension) {
	if l.n+len(all) > len(l.list) {
		l.grow(len(all))
	}
	l.n += copy(l.list[l.n:], all)
}

// Take ends the current record and returns its extensions, nil where it has none. The
// slice is as long as its capacity: appending copies it.
func (l *List) Take() []flow.Extension {
	if l.n == 0 {
		return nil
	}
	out := l.list[:l.n:l.n]
	l.list, l.n = l.list[l.n:], 0
	return out
}

// Drop forgets what was added for a record that failed.
func (l *List) Drop() { l.n = 0 }

// Len is how many the current record has.
func (l *List) Len() int { return l.n }

// Cut leaves the current record its first n.
func (l *List) Cut(n int) { l.n = min(n, l.n) }

// Current are those of the current record, for a copy: they are valid until the next call.
func (l *List) Current() []flow.Extension { return l.list[:l.n] }
