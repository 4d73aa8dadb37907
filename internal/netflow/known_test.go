package netflow

import (
	"strings"
	"testing"
)

// A page is made of what Elements lists: none that has a field may be missing.
func TestElementsListsAllThatHaveAField(t *testing.T) {
	have := map[elementID]Element{}
	for _, e := range Elements() {
		id := elementID{e.Enterprise, e.Number}
		if _, twice := have[id]; twice || e.Name == "" || strings.IndexByte(kindLetters, e.Kind) < 0 {
			t.Errorf("%+v", e)
		}
		have[id] = e
	}
	for n, m := range mappings {
		if _, ok := have[elementID{0, n}]; !ok {
			t.Errorf("%d is not listed", n)
		}
		if _, ok := have[elementID{reversePEN, n}]; ok != (m.reverse.is()) {
			t.Errorf("the reverse of %d: listed %v", n, ok)
		}
	}
	for n := range v9Mappings {
		if !have[elementID{0, n}].V9 {
			t.Errorf("%d is not listed as one of a vendor", n)
		}
	}
	if n := len(OptionElements()); n != len(optionElements) {
		t.Errorf("%d of options records", n)
	}
}
