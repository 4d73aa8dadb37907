package job

import (
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/inflight"
)

// boundInFlight bounds what is between the sources and the sinks, on the local runner, until
// done is called. A store that loads what the file sink has written has nothing of it in
// memory.
func (o *Options) boundInFlight() (done func()) {
	if !o.local() || o.MaxInFlight == 0 {
		return func() {}
	}
	sinks := []string{sinkStage("files")}
	for _, st := range o.stores() {
		if !st.loadsFiles() {
			sinks = append(sinks, stage(st, ""))
		}
	}
	if o.RawBackup {
		sinks = append(sinks, inflight.Raw)
	}
	inflight.Begin(int64(o.MaxInFlight), sinks...)
	return inflight.End
}

// tellInFlight tells what a bundle that has ended did with records: the same identity that
// [Summary.Check] holds in the end. What waits for a timer is no more on its way than a
// window of a rollup is: only reading on can let it go.
func tellInFlight(c flow.Count) {
	if c.Stage == "dead_letters" { // the name is a reason
		inflight.Gone(c.N)
		return
	}
	switch c.Name {
	case "new", "already_there", "rejected":
		if c.Stage == sinkStage("files_raw") {
			inflight.Done(inflight.Raw, c.N)
		} else if strings.HasPrefix(c.Stage, sinkStage("")) {
			inflight.Done(c.Stage, c.N)
		}
	case "duplicates", "gaps", "skipped", "filtered", "held":
		inflight.Gone(c.N)
	case "read": // what could not be read is a dead letter, too
		if c.Stage != "parse" {
			inflight.Gone(-c.N)
		}
	}
}
