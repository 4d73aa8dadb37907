package main

var windowingGuards = []guard{
	{
		name: "windowing/too-far-future",
		why:  "one record of a wrong clock opens windows that never close",
		file: "windowing/bounds.go",
		old:  "case d > b.Future:",
		new:  "case false:",
		test: "TestBounds",
	}, {
		name: "windowing/max",
		why:  "as before, in files",
		file: "windowing/bounds.go",
		old:  "case b.Max != 0 && t > b.Max:",
		new:  "case false:",
		test: "TestBounds",
	}, {
		name: "windowing/too-old",
		why:  "records of a clock that was never set make windows and folders of 1970",
		file: "windowing/bounds.go",
		old:  "case b.Min != 0 && t < b.Min:",
		new:  "case false:",
		test: "TestBounds",
	}, {
		name: "windowing/late-rule",
		why:  "records are marked late, and left out, whose window may still be corrected",
		file: "windowing/late.go",
		old:  "BucketEnd(t, smallest).Add(allowed) <= watermark",
		new:  "t.Add(allowed) <= watermark",
		test: "TestMarkLate",
	}, {
		name: "windowing/late-copies",
		why:  "a fused sibling sees the mark on the batch that came in",
		file: "windowing/late.go",
		old:  "b.Records, copied = slices.Clone(b.Records), true",
		new:  "_, copied = slices.Clone(b.Records), true",
		test: "TestMarkLate",
	}, {
		name: "windowing/runner-lateness",
		why:  "the runner drops in silence what was let through, as its watermark goes on meanwhile",
		file: "windowing/window.go",
		old:  "beam.AllowedLateness(o.lateness+o.slack)",
		new:  "beam.AllowedLateness(o.lateness)",
		test: "TestTheRunnerAllowsMoreLatenessThanThePipeline",
	}, {
		name: "windowing/accumulate",
		why:  "a late record's row replaces that of the whole window",
		file: "windowing/window.go",
		old:  "beam.PanesAccumulate()",
		new:  "beam.PanesDiscard()",
		test: "TestPanesAccumulate",
	},
}
