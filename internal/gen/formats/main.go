// Formats makes docs/formats.md: of each format which source field becomes which field of the
// record. Run it by `go generate ./transforms/parse`.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
	sections, err := all()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, s := range sections {
		errs = append(errs, s.try())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return page(sections), nil
}

// all are the sections in the page's order.
func all() (sections []*section, err error) {
	for i := range textFormats {
		s, err := textFormats[i].section()
		if err != nil {
			return nil, err
		}
		sections = append(sections, s)
	}
	flows, err := elementSections()
	if err != nil {
		return nil, err
	}
	return append(sections, netflow5(), flows), nil
}
