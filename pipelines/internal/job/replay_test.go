package job

import (
	"slices"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/loadgen"
)

// Topics and their raw backup, of which the parser took half for impossible, are read again
// by ranges of time: what is added is what a clean run has.
func TestReplayOfARangeOfTime(t *testing.T) {
	brokers, want := topic(t, 6_000)
	clean := kafkaOptions(t, brokers)
	clean.Stop = "latest"
	expectTruth(t, run(t, flows(), clean), want)

	const middle = "2026-01-15T13:10:00Z" // of the times at which records came
	for name, again := range map[string]func(o *Options){
		"topics":     func(o *Options) { o.KafkaInput, o.KafkaInputTopics = brokers, []string{"flows"} },
		"raw backup": func(o *Options) { o.Raw, o.Format, o.DataCenter = o.dir("raw"), "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			broken := kafkaOptions(t, brokers)
			broken.Stop, broken.RawBackup, broken.MinTime = "latest", true, "2026-01-15T13:00:00Z"
			if s := run(t, flows(), broken); s.DeadLetters.ByReason["time_range"] < 1000 {
				t.Fatalf("dead letters %v", s.DeadLetters)
			}
			replay := *broken
			replay.MinTime, replay.RawBackup, replay.KafkaInput, replay.KafkaInputTopics = clean.MinTime, false, nil, nil
			again(&replay)
			var read int64
			for _, part := range [][2]string{{middle, "latest"}, {"", middle}, {"", "latest"}} {
				replay.Start, replay.Stop = part[0], part[1]
				if problems := slices.Concat(replay.Validate(), replay.checkReplay()); len(problems) > 0 {
					t.Fatal(problems)
				}
				s := run(t, Replay(), &replay)
				if part[0] == part[1] || s.Read == 0 || s.Read == want.Read {
					if s.Read != want.Read || s.Sinks["files"].New != 0 {
						t.Errorf("%v: read %d and %d new, after all was there", part, s.Read, s.Sinks["files"].New)
					}
					continue
				}
				read += s.Read
			}
			if read != want.Read {
				t.Errorf("the two parts are of %d records, want %d", read, want.Read)
			}
			compareRecords(t, clean, broken)
			for _, level := range []string{"1m", "5m", "1h"} {
				compareRollups(t, clean, broken, level)
			}
		})
	}
}

// A backup of lines that were read by the wrong format has all that the right one needs.
func TestReplayOfARawBackupByAnotherFormat(t *testing.T) {
	dir, truth := generate(t, func(*loadgen.Config) {})
	file := onlyFile(t, dir)
	clean := small(t, file)
	run(t, flows(), clean)
	wrong := small(t, file)
	wrong.Format, wrong.RawBackup = flow.FormatRecord, true
	if s := run(t, flows(), wrong); s.Written != 0 {
		t.Fatalf("the wrong format read %d records", s.Written)
	}
	wrong.Raw, wrong.Format, wrong.RawBackup = wrong.dir("raw"), "canopus", false
	if s := run(t, Replay(), wrong); s.Written != truth.Unique || s.Read != truth.Read {
		t.Errorf("read %d, written %d, want %d, %d", s.Read, s.Written, truth.Read, truth.Unique)
	}
	compareRecords(t, clean, wrong)
}

func TestWhatAReplayNeedsIsSaidBeforeTheRun(t *testing.T) {
	expect := func(change func(*Options), parts ...string) {
		t.Helper()
		o := small(t)
		change(o)
		var text strings.Builder
		for _, e := range o.checkReplay() {
			text.WriteString(e.Error() + "\n")
		}
		for _, part := range parts {
			if !strings.Contains(text.String(), part) {
				t.Errorf("%q is missing in %q", part, text.String())
			}
		}
	}
	expect(func(o *Options) {}, "has none")
	expect(func(o *Options) { o.Raw = o.dir("raw"); o.set["tenant"] = true }, "has no raw records of that time", "--tenant: is kept")
	expect(func(o *Options) {
		o.Raw, o.Start, o.Stop = o.dir("raw"), "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"
	}, "is not after the start")
	expect(func(o *Options) { o.Raw, o.Start = o.dir("raw"), "committed" }, `"committed" is none of`)
	expect(func(o *Options) { o.Raw, o.KafkaInput = o.dir("raw"), []string{"localhost:1"} }, "reads one of these", "--stop: a replay of topics ends")
	expect(func(o *Options) { o.PubSubInput = []string{"projects/p/subscriptions/s"} }, "--run_for: a replay of subscriptions ends", "--start: a replay of subscriptions begins")
}
