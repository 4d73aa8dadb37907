// Package pubsubsource reads subscriptions of Google Pub/Sub, on every runner: messages of
// any format that is registered in flow, one restriction a subscription, without end.
//
// Pub/Sub has no offsets to keep: what was acknowledged is gone. So the place of a read is a
// snapshot of the subscription, which holds exactly what was acknowledged when it was made.
// The restriction names the newest one, and the runner checkpoints it with everything else.
// A message is acknowledged when the bundle after its own begins. Where a runner goes back,
// the subscription is sought back to the snapshot that the restriction names: messages come
// again, and stores that are sets take none of them twice; none is lost.
package pubsubsource
