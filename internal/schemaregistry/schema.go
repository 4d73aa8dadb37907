package schemaregistry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Schema is what a registry said of an id.
type Schema struct {
	ID   int32
	Text string // the schema as JSON
	// References are the texts of the schemas whose types it uses, each after those that it uses.
	References []string
	// Problem says why there is none that can be used: the registry knows no such id, it is no
	// Avro, or what it refers to is not there. "" where there is one.
	Problem string

	asked    time.Time
	once     sync.Once
	compiled any
}

// Compiled is what compile makes of the schema, made once.
func (s *Schema) Compiled(compile func(*Schema) any) any {
	s.once.Do(func() { s.compiled = compile(s) })
	return s.compiled
}

const (
	// problemAge is how long an answer that there is none stands: the schema may be registered
	// at any time.
	problemAge = 30 * time.Second
	// problemKept is how long it is kept for those who prepared by it.
	problemKept = time.Hour
	// maxReferences and maxReferenceDepth bound what one schema can ask for.
	maxReferences     = 100
	maxReferenceDepth = 16
)

// now is the clock; tests have their own.
var now = time.Now

// Known returns what the registry said of an id, nil where it was not asked. It asks nothing.
func (c *Client) Known(id int32) *Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id]
}

// call is a request on its way, for any number of askers.
type call struct {
	done   chan struct{}
	schema *Schema
	err    error
	askers int
	giveUp context.CancelFunc
}

// Schema returns what the registry says of an id; of concurrent askers one asks. That it does not
// know the id is an answer, see [Schema]. An error says that there is no answer: the registry
// can't be reached, fails, is busy or refuses the credentials, after it was tried again for as
// long as sinks try. Nothing of a secret is in it.
func (c *Client) Schema(ctx context.Context, id int32) (*Schema, error) {
	c.mu.Lock()
	if s := c.known[id]; s != nil && (s.Problem == "" || now().Sub(s.asked) < problemAge) {
		c.mu.Unlock()
		return s, nil
	}
	k := c.calls[id]
	if k == nil {
		// It belongs to all who ask: it ends when the last of them has gone.
		asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
		k = &call{done: make(chan struct{}), giveUp: cancel}
		c.calls[id] = k
		go func() {
			defer cancel()
			k.schema, k.err = c.fetch(asking, id)
			c.mu.Lock()
			if k.err == nil {
				c.keep(k.schema)
			}
			if c.calls[id] == k {
				delete(c.calls, id)
			}
			c.mu.Unlock()
			close(k.done)
		}()
	}
	k.askers++
	c.mu.Unlock()
	select {
	case <-k.done:
		return k.schema, k.err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		if k.askers--; k.askers == 0 {
			k.giveUp()
			if c.calls[id] == k {
				delete(c.calls, id)
			}
		}
		return nil, fmt.Errorf("schema registry: id %d: %w", id, context.Cause(ctx))
	}
}

// keep remembers an answer, and forgets old ones that there is none: ids may be of messages that
// are something else. The caller has the lock.
func (c *Client) keep(s *Schema) {
	if now().Sub(c.swept) > problemKept/4 {
		c.swept = now()
		for id, old := range c.known {
			if old.Problem != "" && now().Sub(old.asked) > problemKept {
				delete(c.known, id)
			}
		}
	}
	c.known[s.ID] = s
}

// fetch asks for a schema and all that it refers to.
func (c *Client) fetch(ctx context.Context, id int32) (*Schema, error) {
	s := &Schema{ID: id, asked: now()}
	if id <= 0 {
		s.Problem = fmt.Sprintf("%d is no id of a schema", id)
		return s, nil
	}
	r, err := c.get(ctx, schemaPath(id))
	if err == nil {
		if r.Type != "" && r.Type != "AVRO" {
			s.Problem = fmt.Sprintf("it is a schema of type %s, not of Avro", c.auth.Now().OneLine(r.Type, maxText))
			return s, nil
		}
		s.Text = r.Schema
		err = c.references(ctx, s, r.References, map[reference]bool{}, 0)
	}
	var none *errNotThere
	var bad *badReference
	switch {
	case errors.As(err, &none):
		s.Problem = "the registry has none: " + none.text
	case errors.As(err, &bad):
		s.Problem = bad.text
	case err != nil:
		return nil, err
	}
	s.asked = now()
	return s, nil
}

// badReference is a reference that no registry can mend.
type badReference struct{ text string }

func (e *badReference) Error() string { return e.text }

func (c *Client) references(ctx context.Context, s *Schema, refs []reference, seen map[reference]bool, depth int) error {
	for _, ref := range refs {
		at := reference{Subject: ref.Subject, Version: ref.Version}
		if seen[at] {
			continue
		}
		if seen[at] = true; len(seen) > maxReferences || depth >= maxReferenceDepth {
			return &badReference{fmt.Sprintf("its references are more than %d, or deeper than %d", maxReferences, maxReferenceDepth)}
		}
		r, err := c.get(ctx, versionPath(ref))
		if err != nil {
			return err
		}
		if err := c.references(ctx, s, r.References, seen, depth+1); err != nil {
			return err
		}
		s.References = append(s.References, r.Schema)
	}
	return nil
}
