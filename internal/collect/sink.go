package collect

import "context"

// Sink writes envelopes. One goroutine uses it.
type Sink interface {
	// Write takes an Item over and settles it, then or later. It waits where the sink is busy or
	// in trouble, as long as ctx lasts; the queue fills meanwhile.
	Write(ctx context.Context, it *Item)
	// Idle is called several times a second, also where nothing comes.
	Idle(ctx context.Context)
	// Close writes what is left and settles all Items before it returns. ctx ends when what is not
	// written then is lost.
	Close(ctx context.Context) error
}

// Discard is a Sink for measurements: it takes all and keeps nothing.
type Discard struct{}

func (Discard) Write(_ context.Context, it *Item) { it.Written() }
func (Discard) Idle(context.Context)              {}
func (Discard) Close(context.Context) error       { return nil }
