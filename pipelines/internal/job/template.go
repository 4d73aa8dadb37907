package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"
	dataflow "google.golang.org/api/dataflow/v1b3"

	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Form is one of the two templates that a program has on Dataflow.
type Form string

const (
	Streaming Form = "streaming" // reads topics, subscriptions or a folder, without end
	Backfill  Form = "backfill"  // reads files, or topics up to a time, and ends
)

// Forms are all of them.
var Forms = []Form{Streaming, Backfill}

// Spec is the container spec of a template: what the service reads from a bucket to launch it.
// Source: https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.flexTemplates/launch
func (p *Program) Spec(form Form, image string) *dataflow.ContainerSpec {
	return &dataflow.ContainerSpec{
		Image:    image,
		SdkInfo:  &dataflow.SDKInfo{Language: "GO", Version: core.SdkVersion},
		Metadata: p.metadata(form),
	}
}

func (p *Program) metadata(form Form) *dataflow.TemplateMetadata {
	m := &dataflow.TemplateMetadata{Name: "flowbeam " + p.Name + ", " + string(form), Description: p.About}
	if form == Streaming {
		// Effects are sets or come again under the same ids, so at least once is enough where sinks are
		// sets; the dedupe and the rollups need the exact state.
		m.Streaming, m.SupportsExactlyOnce, m.DefaultStreamingMode = true, true, "EXACTLY_ONCE"
	}
	for _, f := range Defaults().fields() {
		if p.has(f, form) {
			m.Parameters = append(m.Parameters, f.parameter())
		}
	}
	return m
}

// has says whether the template has a parameter for the option.
func (p *Program) has(f field, form Form) bool {
	only := f.tag.Get("template")
	return !slices.Contains(p.Without, f.name) && (only == "" || only == string(form))
}

// parameter describes the option as the service wants it.
func (f field) parameter() *dataflow.ParameterMetadata {
	m := &dataflow.ParameterMetadata{
		Name: f.name, Label: label(f.name), HelpText: f.help, GroupName: f.group,
		DefaultValue: f.def, IsOptional: f.name != "output", ParamType: f.tag.Get("param"),
	}
	if f.name == "output" {
		m.DefaultValue = "" // a folder of this machine
	}
	for _, v := range splitList(f.tag.Get("enum")) {
		m.EnumOptions = append(m.EnumOptions, &dataflow.ParameterMetadataEnumOption{Value: v, Label: v})
	}
	if m.ParamType == "" {
		m.ParamType = f.paramType()
	}
	if r := f.regex(); r != "" {
		m.Regexes = []string{r}
	}
	return m
}

func (f field) paramType() string {
	switch f.value.(optionValue).v.Interface().(type) {
	case bool:
		return "BOOLEAN"
	case int, int64:
		return "NUMBER"
	}
	if f.tag.Get("enum") != "" {
		return "ENUM"
	}
	return "TEXT"
}

// regex is what the whole of a value must match, in egrep's syntax.
func (f field) regex() string {
	if r := f.tag.Get("regex"); r != "" {
		return r
	}
	const duration = `([0-9]+([.][0-9]+)?(ms|s|m|h))+`
	switch fmt.Sprintf("%T", f.value.(optionValue).v.Interface()) {
	case "int", "int64":
		return `^[0-9]+$`
	case "time.Duration":
		return "^" + duration + "$"
	case "[]time.Duration":
		return "^" + duration + "(," + duration + ")*$"
	}
	return ""
}

// label is a name as a title.
func label(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// ParameterTable is the documentation of a template's parameters, in Markdown.
func (p *Program) ParameterTable(form Form) string {
	var b strings.Builder
	group := ""
	for _, m := range p.metadata(form).Parameters {
		if m.GroupName != group {
			group = m.GroupName
			fmt.Fprintf(&b, "\n**%s**\n\n| parameter | type | default | |\n|---|---|---|---|\n", group)
		}
		def := ""
		if m.DefaultValue != "" {
			def = "`" + m.DefaultValue + "`"
		}
		help := m.HelpText
		if !m.IsOptional {
			help = "**required.** " + help
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.ParamType, def, help)
	}
	return b.String()
}

// CheckParameters finds what the service would refuse: unknown parameters, those that are required
// and not given, and values that do not match.
func (p *Program) CheckParameters(form Form, given map[string]string) (problems []error) {
	known := map[string]*dataflow.ParameterMetadata{}
	for _, m := range p.metadata(form).Parameters {
		known[m.Name] = m
		if _, ok := given[m.Name]; !ok && !m.IsOptional {
			problems = append(problems, fmt.Errorf("%s: is required", m.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		m, ok := known[name]
		if !ok {
			problems = append(problems, fmt.Errorf("%s: the %s template has no such parameter", name, form))
			continue
		}
		for _, r := range m.Regexes {
			if ok, err := regexp.MatchString(r, given[name]); err != nil || !ok {
				problems = append(problems, fmt.Errorf("%s: %q does not match %s", name, given[name], r))
			}
		}
		if len(m.EnumOptions) > 0 && !slices.ContainsFunc(m.EnumOptions, func(e *dataflow.ParameterMetadataEnumOption) bool { return e.Value == given[name] }) {
			problems = append(problems, fmt.Errorf("%s: %q is none of its values", name, given[name]))
		}
	}
	return problems
}

// Put writes an object, gs://bucket/name or a file, whose name is new, or whose content is there
// already: what was launched by a name stays what it was.
func Put(ctx context.Context, url string, b []byte) error {
	dir, name, ok := cutLast(url)
	if !ok {
		return fmt.Errorf("%q names no object: give gs://bucket/folder/name.json", url)
	}
	err := dataset.WriteNote(ctx, dir, name, b)
	if !errors.Is(err, dataset.ErrExists) {
		return err
	}
	there, err := dataset.ReadNote(ctx, dir, name)
	if err == nil && !bytes.Equal(there, b) {
		err = fmt.Errorf("%s is there and is another: give it a name of its own, such as the commit's", url)
	}
	return err
}

func cutLast(url string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(url, '/')
	if i < 0 || i == len(url)-1 || strings.HasSuffix(url[:i], "/") {
		return "", "", false
	}
	return url[:i], url[i+1:], true
}
