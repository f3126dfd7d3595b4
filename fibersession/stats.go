package fibersession

import "sync/atomic"

// Stats are counts of a Store since New, but for States and Handles, which are
// those of this moment.
type Stats struct {
	States  int // sessions that a request or a handle of this node holds
	Handles int // handles not yet released
	// Deadlines counts the sessions that are watched (Handle.Watch) and end by
	// themselves: one for each, however many watch it.
	Deadlines int
	// Tracked counts the sessions whose changes by other nodes are listened to: those
	// that are watched.
	Tracked int

	Loads     uint64 // values read from the store
	Decodes   uint64 // of these, values that were new here
	Writes    uint64 // values written to the store
	Touches   uint64 // of these, writes of a new idle limit alone
	Conflicts uint64 // writes that met a newer revision and were merged again
	Reruns    uint64 // functions of Update that ran once more
	Corrupt   uint64 // stored values that could not be understood
	Failures  uint64 // calls of the store that failed
	Forged    uint64 // session cookies with a wrong signature or form

	Heard   uint64 // changes by others that the storage's feed told first
	Gaps    uint64 // times that the feed may have missed changes
	Rereads uint64 // sessions read again because the feed could not answer for them
	Spared  uint64 // reads that tracking made unnecessary (Tracked)
	Graced  uint64 // reads that failed and were served by Config.Tracking.OutageGrace
}

type counters struct {
	handles                                                                       atomic.Int64
	loads, decodes, writes, touches, conflicts, reruns, corrupt, failures, forged atomic.Uint64
	heard, gaps, rereads, spared, graced                                          atomic.Uint64
}

// Stats returns the store's counts. It is safe for concurrent use.
func (s *Store) Stats() Stats {
	return Stats{
		States:    s.table.len(),
		Handles:   int(s.stats.handles.Load()),
		Deadlines: s.timers.len(),
		Tracked:   s.tracker.len(),
		Loads:     s.stats.loads.Load(),
		Decodes:   s.stats.decodes.Load(),
		Writes:    s.stats.writes.Load(),
		Touches:   s.stats.touches.Load(),
		Conflicts: s.stats.conflicts.Load(),
		Reruns:    s.stats.reruns.Load(),
		Corrupt:   s.stats.corrupt.Load(),
		Failures:  s.stats.failures.Load(),
		Forged:    s.stats.forged.Load(),
		Heard:     s.stats.heard.Load(),
		Gaps:      s.stats.gaps.Load(),
		Rereads:   s.stats.rereads.Load(),
		Spared:    s.stats.spared.Load(),
		Graced:    s.stats.graced.Load(),
	}
}
