package volume

import (
	"context"
	"fmt"
	"slices"
)

// blameCommand is who broke a command's promise, as far as the disk shows it:
// by the round in which it was made, and by what the faults since then can have
// taken away.
func (v *Volume) blameCommand(why suspects) string {
	rounds := v.promised.rounds()
	switch {
	case v.disk == nil || len(rounds) == 0:
		return ""
	case v.lying():
		return v.blame()
	case !slices.ContainsFunc(rounds[why.since:], func(r promisedRound) bool { return r.Cut }):
		return "the application or the file system: no power was cut since the promise, and the end of a process takes nothing that was written, synced or not"
	case !why.known && len(rounds) > 1:
		return "the application or the file system: the disk kept its word; in which round the promise was made the reader does not show"
	}
	r, to := rounds[why.since], v.promised.count()
	if why.since+1 < len(rounds) {
		to = rounds[why.since+1].From
	}
	lines := to - r.From
	if r.Flushes < lines {
		return fmt.Sprintf("the application: it promised %d lines in round %d, and the disk did %d flushes, by whatever process: not each line was synced, unless one flush was for several", lines, r.Round+1, r.Flushes)
	}
	return fmt.Sprintf("the application or the file system: the disk kept its word, and did %d flushes for %d lines in round %d; whose they were it cannot see, so the file in question may never have been synced", r.Flushes, lines, r.Round+1)
}

// noteFlushes remembers how many flushes the disks had done.
func (v *Volume) noteFlushes(ctx context.Context) {
	if n, ok := v.flushes(ctx); ok {
		v.mu.Lock()
		v.flushedBefore = n
		v.mu.Unlock()
	}
}

// countFlushes notes how many flushes the round had, and whether a power cut
// ends it: for every volume of the plan, as a command may use several.
func (v *Volume) countFlushes(ctx context.Context, cut bool) {
	n, _ := v.flushes(ctx)
	for _, o := range v.all {
		o.mu.Lock()
		before := o.flushedBefore
		o.mu.Unlock()
		o.promised.ended(n-before, cut)
	}
}

// flushes are those of all disks of the plan: a command may use several.
func (v *Volume) flushes(ctx context.Context) (n int64, ok bool) {
	for _, o := range v.all {
		if o.disk == nil {
			continue
		}
		st, err := o.disk.Stats(ctx)
		if err != nil {
			return 0, false
		}
		n += st.Flushes
	}
	return n, true
}
