// Formats makes docs/formats.md: of each format which source field becomes which field of the
// record. Run it by `go generate ./transforms/parse`.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

func main() {
	b, err := made()
	if err == nil {
		_, file, _, _ := runtime.Caller(0)
		err = os.WriteFile(filepath.Join(filepath.Dir(file), "..", "..", "..", "docs", "formats.md"), b, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "formats:", err)
		os.Exit(1)
	}
}

// made is the page.
func made() ([]byte, error) {
	sections, err := tried()
	if err != nil {
		return nil, err
	}
	return page(sections), nil
}

// tried are all sections, tried once.
var tried = sync.OnceValues(func() ([]*section, error) {
	sections, err := all()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, s := range sections {
		errs = append(errs, s.try())
	}
	return sections, errors.Join(errs...)
})

// all are the sections in the page's order.
func all() (sections []*section, err error) {
	makers := []func() (*section, error){sources, shippers}
	for i := range textFormats {
		f := &textFormats[i]
		if _, ok := containers[f.name]; ok {
			makers = append(makers, func() (*section, error) { return withContainer(f) })
		} else {
			makers = append(makers, f.section)
		}
	}
	makers = append(makers, plain(protobuf), plain(own), envelopes, plain(netflow5), elementSections, plain(optionsSection), plain(sflow))
	for _, m := range makers {
		s, err := m()
		if err != nil {
			return nil, err
		}
		sections = append(sections, s)
	}
	return sections, nil
}

func plain(f func() *section) func() (*section, error) {
	return func() (*section, error) { return f(), nil }
}
