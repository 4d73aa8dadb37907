package elasticsink

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Installed says what Install did with one policy or template.
type Installed struct {
	Kind string // policy, component template or index template
	Name string
	Did  string // created, updated, unchanged or kept
	Why  string // where it was kept
}

func (i Installed) String() string {
	if i.Why != "" {
		return fmt.Sprintf("%s %s: %s: %s", i.Kind, i.Name, i.Did, i.Why)
	}
	return fmt.Sprintf("%s %s: %s", i.Kind, i.Name, i.Did)
}

// installPolicy is for a person who waits.
var installPolicy = delivery.Policy{Base: 200 * time.Millisecond, Cap: 5 * time.Second, Deadline: time.Minute, Auth: 5 * time.Second}

// Install puts the lifecycle policies, component templates and index templates that the
// sink's documents need, before a pipeline writes the first one. They follow from the field
// table. One that is there is kept where it is newer (by its version) or not flowbeam's
// (by its _meta); it is updated where it is older, or of the same version and made by
// other options. To install twice changes nothing.
//
// The login needs the cluster privileges manage_index_templates and manage_ilm; a pipeline
// needs neither. It tries for a minute, and returns what it did until an error.
func Install(ctx context.Context, c Cluster, t Templates) ([]Installed, error) {
	all, err := t.setups()
	if err != nil {
		return nil, fmt.Errorf("elasticsink.Install: %w", err)
	}
	cl, err := open(ctx, c, 1)
	if err != nil {
		return nil, fmt.Errorf("elasticsink.Install: %w", err)
	}
	defer cl.close()
	var done []Installed
	for _, s := range all {
		i, err := cl.install(ctx, s)
		if err != nil {
			return done, fmt.Errorf("elasticsink.Install: %s %s: %w", s.kind, s.name, err)
		}
		done = append(done, i)
	}
	return done, nil
}

func (c *client) install(ctx context.Context, s setup) (Installed, error) {
	i := Installed{Kind: s.kind, Name: s.name}
	status, reply, err := c.ask(ctx, http.MethodGet, s.path+s.name, nil)
	if err != nil {
		return i, err
	}
	i.Did = "created"
	if status != http.StatusNotFound {
		theirs, ok := metaOf(reply, s)
		if !ok {
			return i, fmt.Errorf("the reply to GET is not understood: %s", c.auth.Now().OneLine(string(reply), 400))
		}
		ours, _ := metaOf(s.body, s)
		switch {
		case theirs.ManagedBy != managedBy:
			i.Did, i.Why = "kept", "it is not flowbeam's"
		case theirs.Version > ours.Version:
			i.Did, i.Why = "kept", fmt.Sprintf("it has version %d, and this is %d", theirs.Version, ours.Version)
		case theirs.Version == ours.Version && theirs.Hash == ours.Hash:
			i.Did = "unchanged"
		default:
			i.Did = "updated"
		}
		if i.Did != "updated" {
			return i, nil
		}
	}
	_, _, err = c.ask(ctx, http.MethodPut, s.path+s.name, s.body)
	return i, err
}

// ask makes a request of the configuration, and again where that may help.
func (c *client) ask(ctx context.Context, method, path string, body []byte) (status int, reply []byte, err error) {
	_, err = installPolicy.Do(ctx, method+" "+path, func(ctx context.Context) error {
		r := call{method: method, path: path, body: body, contentType: "application/json", maxReply: 8 << 20}
		tctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := c.do(tctx, &r); err != nil {
			return err
		}
		status, reply = r.status, r.reply
		if r.status == http.StatusOK || method == http.MethodGet && r.status == http.StatusNotFound {
			return nil
		}
		return c.refused(ctx, &r)
	})
	return status, reply, err
}

// metaOf reads the version and the marks of a policy or template, of a reply to GET or of
// the body of a PUT. The version of a template is the larger one of its own and that in its
// _meta: who edits one by hand may raise either.
func metaOf(b []byte, s setup) (m meta, ok bool) {
	type marked struct {
		Version int
		Meta    json.RawMessage `json:"_meta"`
	}
	var x marked
	switch s.kind {
	case "policy":
		var own struct{ Policy *marked }
		var got map[string]struct{ Policy *marked }
		switch {
		case json.Unmarshal(b, &got) == nil && got[s.name].Policy != nil:
			x = *got[s.name].Policy
		case json.Unmarshal(b, &own) == nil && own.Policy != nil:
			x = *own.Policy
		default:
			return m, false
		}
	default:
		var got struct {
			Components []struct {
				Name     string
				Template marked `json:"component_template"`
			} `json:"component_templates"`
			Templates []struct {
				Name     string
				Template marked `json:"index_template"`
			} `json:"index_templates"`
		}
		if err := json.Unmarshal(b, &got); err != nil {
			return m, false
		}
		switch {
		case len(got.Components) == 1:
			x = got.Components[0].Template
		case len(got.Templates) == 1:
			x = got.Templates[0].Template
		case json.Unmarshal(b, &x) != nil || x.Version == 0:
			return m, false
		}
	}
	if len(x.Meta) > 0 && json.Unmarshal(x.Meta, &m) != nil {
		m = meta{} // marks of another shape: not ours
	}
	m.Version = max(m.Version, x.Version)
	return m, true
}
