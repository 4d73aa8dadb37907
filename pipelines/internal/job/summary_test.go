package job

import (
	"strings"
	"testing"
)

// balanced is a summary that adds up: of 100 records read 90 were written, of which the
// sink refused 2, and 1 of 5 rollup rows was refused too.
func balanced() *Summary {
	return &Summary{
		Read: 100, Written: 90, Duplicates: 4, Gaps: 3, Late: 7,
		DeadLetters: DeadLetters{Total: 3, ByReason: map[string]int64{"syntax": 3}},
		RollupRows:  map[string]int64{"1m": 5},
		Sinks: map[string]SinkCount{
			"files":              {New: 80, AlreadyThere: 8, Rejected: 2},
			"files_rollup_1m":    {New: 3, AlreadyThere: 1, Rejected: 1},
			"files_dead_letters": {New: 5, AlreadyThere: 1},
		},
	}
}

func TestCheckTellsWhatDoesNotAddUp(t *testing.T) {
	sink := func(name string, change func(*SinkCount)) func(*Summary) {
		return func(s *Summary) { c := s.Sinks[name]; change(&c); s.Sinks[name] = c }
	}
	for _, c := range []struct {
		name   string
		change func(*Summary)
		want   []string // of each problem, a part
	}{
		{"all adds up", func(*Summary) {}, nil},
		{"late counts within written", func(s *Summary) { s.Late = 0 }, nil},
		{"an empty run", func(s *Summary) { *s = Summary{} }, nil},
		{"a record is lost", func(s *Summary) { s.Read++ }, []string{"1 records are not accounted for"}},
		{"a record is doubled before the sink", func(s *Summary) { s.Read-- }, []string{"-1 records are not accounted for"}},
		{"a gap is lost", func(s *Summary) { s.Gaps-- }, []string{"not accounted for"}},
		{"a duplicate is lost", func(s *Summary) { s.Duplicates-- }, []string{"not accounted for"}},
		{"a dead letter is lost on its way to the sink", sink("files_dead_letters", func(c *SinkCount) { c.New-- }), []string{"sink files_dead_letters was given 6"}},
		{"a dead letter is lost before", func(s *Summary) { s.DeadLetters.Total-- }, []string{"not accounted for", "sink files_dead_letters was given 5"}},
		{"the sink loses a record", sink("files", func(c *SinkCount) { c.New-- }), []string{"sink files was given 90"}},
		{"the sink doubles a record", sink("files", func(c *SinkCount) { c.AlreadyThere++ }), []string{"sink files was given 90"}},
		{"a rollup row is lost", sink("files_rollup_1m", func(c *SinkCount) { c.New-- }), []string{"sink files_rollup_1m was given 5"}},
		{"a rollup has no sink", func(s *Summary) { s.RollupRows["1h"] = 1 }, []string{"sink files_rollup_1h was given 1"}},
		{"what a sink refused is no dead letter", func(s *Summary) {
			sink("files", func(c *SinkCount) { c.Rejected++; c.New-- })(s)
		}, []string{"sink files_dead_letters was given 7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := balanced()
			c.change(s)
			problems := s.Check()
			if len(problems) != len(c.want) {
				t.Fatalf("problems %v, want %d", problems, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(problems[i].Error(), want) {
					t.Errorf("problem %q does not say %q", problems[i], want)
				}
			}
		})
	}
}
