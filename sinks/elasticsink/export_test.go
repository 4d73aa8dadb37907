package elasticsink

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"

	"github.com/flowbeam/flowbeam/flowtest/sinktest"
)

// StartServer starts an Elasticsearch for the examples: its address, what prints its
// indices with the number of their documents, and what stops it.
func StartServer() (address string, show, stop func()) {
	f := &fake{limit: 1 << 20, indices: map[string]map[string]stored{}, config: map[string]json.RawMessage{}, faults: map[sinktest.Fault]int{}}
	f.Server = httptest.NewServer(f)
	return f.URL, func() {
		for _, name := range f.names() {
			fmt.Println(name, len(f.indices[name]))
		}
	}, f.Server.Close
}
