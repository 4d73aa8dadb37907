// Package flowtest helps to test code that is built on flowbeam: one's own Steps, DoFns
// and pipelines.
//
//   - [Record] and [Records] build records with sensible, deterministic values.
//   - [Equal], [EqualFailures] and [EqualCounts] assert what a pipeline gives, however
//     its batches were cut and ordered.
//   - [NewHarness] runs the bundles of one DoFn without a runner, with fake state, timers
//     and emitters: once, tried again, dropped before FinishBundle, or two copies at
//     once. [EveryWay] compares what these leave behind. Local runners never retry, so
//     this is where a DoFn shows that a retry changes nothing.
package flowtest
