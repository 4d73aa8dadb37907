package schemaregistry

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/internal/schemaregistry/registrytest"
)

func TestAnUnknownIDIsAnAnswerForAShortWhile(t *testing.T) {
	s := registrytest.New(t, false)
	c := open(t, Registry{URL: s.URL})
	clock := time.Now()
	now = func() time.Time { return clock }
	defer func() { now = time.Now }()
	ask := func() *Schema {
		t.Helper()
		got, err := c.Schema(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask(); !strings.Contains(got.Problem, "40403") || c.Known(7) != got {
		t.Errorf("%+v", got)
	}
	s.Add(7, "flows", `"long"`)
	if clock = clock.Add(problemAge - time.Second); ask().Problem == "" || s.Asked("/schemas/ids/7") != 1 {
		t.Error("asked again at once")
	}
	if clock = clock.Add(2 * time.Second); ask().Text != `"long"` {
		t.Error("what was registered since is not seen")
	}
	if clock = clock.Add(time.Hour); ask().Text != `"long"` || s.Asked("/schemas/ids/7") != 2 {
		t.Error("a schema that is known is asked for again")
	}
	if _, err := c.Schema(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(problemKept + time.Hour)
	if _, err := c.Schema(t.Context(), 9); err != nil || c.Known(8) != nil || c.Known(7) == nil {
		t.Error("what is forgotten")
	}
	if got, err := c.Schema(t.Context(), -5); err != nil || got.Problem == "" || s.Asked("/schemas/ids/-5") != 0 {
		t.Errorf("a negative id: %+v, %v", got, err)
	}
}

func TestReferencesComeBeforeWhatUsesThem(t *testing.T) {
	s := registrytest.New(t, false)
	s.Add(1, "address", `{"name":"Address"}`)
	s.Add(2, "end/point", `{"name":"Endpoint"}`, registrytest.Reference{Name: "Address", Subject: "address", Version: 1})
	s.Add(3, "flows", `{"name":"Flow"}`, registrytest.Reference{Name: "Endpoint", Subject: "end/point", Version: 1}, registrytest.Reference{Name: "Address", Subject: "address", Version: 1})
	s.Add(4, "dangling", `{}`, registrytest.Reference{Name: "Address", Subject: "address", Version: 9})
	s.Add(5, "selfish", `{}`, registrytest.Reference{Name: "Selfish", Subject: "selfish", Version: 1})
	s.AddType(6, "proto", `syntax = "proto3";`, "PROTOBUF")
	c := open(t, Registry{URL: s.URL})
	got, err := c.Schema(t.Context(), 3)
	if err != nil || got.Text != `{"name":"Flow"}` || strings.Join(got.References, "") != `{"name":"Address"}{"name":"Endpoint"}` {
		t.Errorf("%+v, %v", got, err)
	}
	for id, want := range map[int32]string{4: "40402", 6: "PROTOBUF"} {
		if got, err := c.Schema(t.Context(), id); err != nil || !strings.Contains(got.Problem, want) {
			t.Errorf("%d: %+v, %v", id, got, err)
		}
	}
	if got, err := c.Schema(t.Context(), 5); err != nil || len(got.References) != 1 {
		t.Errorf("a schema that refers to itself: %+v, %v", got, err)
	}
	s.Down(500)
	if got, err := c.Schema(t.Context(), 3); err != nil || got.Text == "" {
		t.Errorf("what is known: %v", err)
	}
}

func TestOneAsksForAll(t *testing.T) {
	s := registrytest.New(t, false)
	s.Add(7, "flows", `"long"`)
	c := open(t, Registry{URL: s.URL})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, err := c.Schema(t.Context(), 7); err != nil || got.Compiled(func(s *Schema) any { return s.Text }) != `"long"` {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if n := s.Asked("/schemas/ids/7"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	again, err := Open(Registry{URL: s.URL})
	if err != nil || again != c {
		t.Error("a process has two clients of one registry")
	}
}
