package main

var runnerGuards = []guard{
	{
		name: "flink/streaming",
		why:  "the sources of a stream end at once in Flink's eyes, and it cannot go on after a failure",
		file: "internal/flink/submit.go",
		old:  `"streaming":              true,`,
		new:  "",
		test: "TestWhatMakesAStreamSurviveIsSent",
	}, {
		name: "flink/finish-before-a-checkpoint",
		why:  "what a bundle gives during a checkpoint is dropped as late where the input ends",
		file: "internal/flink/submit.go",
		old:  `"finish_bundle_before_checkpointing": true,`,
		new:  "",
		test: "TestWhatMakesAStreamSurviveIsSent",
	}, {
		name: "flink/bundle-size",
		why:  "a bundle that sets a hundred timers stands still for ever",
		file: "internal/flink/submit.go",
		old:  `"max_bundle_size":        maxBundleSize,`,
		new:  "",
		test: "TestWhatMakesAStreamSurviveIsSent",
	}, {
		name: "flink/a-worker-of-the-same-id",
		why:  "the workers of a TaskManager that was started again are refused",
		file: "internal/flink/pool.go",
		old:  "	p.workers[r.GetWorkerId()] = cancel",
		new:  "	if p.workers[r.GetWorkerId()] != nil {\n\t\tcancel()\n\t\tp.mu.Unlock()\n\t\treturn &fnpb.StartWorkerResponse{Error: \"there is one\"}, nil\n\t}\n\tp.workers[r.GetWorkerId()] = cancel",
		test: "TestAPoolTakesAWorkerWhoseIDItKnows",
	}, {
		name: "flink/never-drain",
		why:  "a stream that is drained is asked for ever and never ends",
		file: "internal/flink/rest.go",
		old:  `map[string]any{"drain": false}`,
		new:  `map[string]any{"drain": true}`,
		test: "TestAJobIsNeverDrainedWhenItIsStopped",
	}, {
		name: "launch/once-by-name",
		why:  "a launch that is repeated runs a second job",
		file: "pipelines/launch/jobs.go",
		old:  "case running != nil && !update:",
		new:  "case false:",
		test: "TestAJobIsLaunchedReplacedAndEnded",
	}, {
		name: "launch/a-spec-stays",
		why:  "a spec that jobs were launched by becomes another under their feet",
		file: "pipelines/internal/job/template.go",
		old:  "if err == nil && !bytes.Equal(there, b) {",
		new:  "if err == nil && !bytes.Equal(there, b) && false {",
		test: "TestASpecIsWrittenOnce",
	},
}
