package fibersession

import "sync/atomic"

// Stats counts what a Store did since New. States, Handles, ExpiryTimers and
// Tracked are current numbers.
type Stats struct {
	States  int // sessions in use by a request or handle of this node
	Handles int // handles that were not released
	// ExpiryTimers is the number of watched sessions (Handle.Watch) with an expiry timer:
	// one for each session, regardless of its number of watchers.
	ExpiryTimers int
	// Tracked is the number of sessions whose changes by other nodes are followed: the
	// watched ones.
	Tracked int

	Loads     uint64 // values read from the store
	Decodes   uint64 // values that were read and decoded because their revision was new to this node
	Writes    uint64 // values written to the store
	Touches   uint64 // writes that only extended an idle limit
	Conflicts uint64 // writes that failed because of a newer revision, and were merged and retried
	Reruns    uint64 // repeated runs of an Update's function
	Corrupt   uint64 // stored sessions that could not be decoded
	Unknown   uint64 // values in decoded sessions that could not be decoded, and are kept as they are
	Failures  uint64 // failed calls of the store
	Forged    uint64 // session cookies with an invalid signature or format
	Crossed   uint64 // session cookies refused because the session began on the other of https and plain http
	TakenOver uint64 // sessions of Fiber's middleware/session that became sessions of this package (see OldLogins)
	// Duplicates counts requests with two session cookies of one name and different values,
	// which the response removed.
	Duplicates uint64

	Notifications uint64 // notices of changes by other nodes that arrived through the storage's feed
	Gaps          uint64 // gaps in the feed, after which changes may have been missed
	Rereads       uint64 // reloads of sessions that the feed could not keep up to date
	SkippedReads  uint64 // reads avoided by Tracked
	StaleReads    uint64 // failed reads that Config.Tracking.OutageGrace served from the last known copy

	// Notices counts what the store also writes to its log, by the names in
	// docs/troubleshooting.md. The log is bounded, the counts are not.
	Notices map[string]uint64
}

type counters struct {
	handles                                                      atomic.Int64
	loads, decodes, writes, touches, conflicts, reruns, failures atomic.Uint64
	notifications, gaps, rereads, skippedReads, staleReads       atomic.Uint64
}

// Stats returns the store's current statistics. It is safe for concurrent use.
func (s *Store) Stats() Stats {
	s.start()
	return Stats{
		States:        s.table.len(),
		Handles:       int(s.stats.handles.Load()),
		ExpiryTimers:  s.timers.len(),
		Tracked:       s.tracker.len(),
		Loads:         s.stats.loads.Load(),
		Decodes:       s.stats.decodes.Load(),
		Writes:        s.stats.writes.Load(),
		Touches:       s.stats.touches.Load(),
		Conflicts:     s.stats.conflicts.Load(),
		Reruns:        s.stats.reruns.Load(),
		Corrupt:       s.notices.Count(&sessionCorruptNotice),
		Unknown:       s.notices.Count(&valueUnknownNotice),
		Failures:      s.stats.failures.Load(),
		Forged:        s.notices.Count(&cookieForgedNotice),
		Duplicates:    s.notices.Count(&cookieDuplicateNotice),
		Crossed:       s.notices.Count(&cookieCrossedNotice),
		TakenOver:     s.notices.Count(&takenOverNotice),
		Notifications: s.stats.notifications.Load(),
		Gaps:          s.stats.gaps.Load(),
		Rereads:       s.stats.rereads.Load(),
		SkippedReads:  s.stats.skippedReads.Load(),
		StaleReads:    s.stats.staleReads.Load(),
		Notices:       s.notices.Counts(),
	}
}
