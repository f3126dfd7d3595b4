// Applying changes that the storage's feed has delivered.

package fibersession

import (
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// applyPending applies the pending change. If a commit is running, its leader does it.
func (s *state) applyPending() {
	s.mu.Lock()
	if s.track.pending == nil || s.busy {
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.applyPendingLocked()
	s.promote()
	s.mu.Unlock()
	s.notify()
}

// applyPendingLocked applies pending changes until there is none. The caller holds s.mu,
// which is released meanwhile, and leads (s.busy).
func (s *state) applyPendingLocked() {
	for s.track.pending != nil {
		c, at, cur := *s.track.pending, s.at, s.cur
		s.track.pending = nil
		if s.ended != nil || c.Key != at.key || cur == nil || cur.fresh() || s.forward.Load() != nil {
			return
		}
		s.track.applying = true
		s.unlocked(func() { s.applyChange(c, at, cur) })
		s.track.applying = false
	}
}

// applyChange applies a change made by another node or another Store.
func (s *state) applyChange(c storage.Change, at place, cur *snapshot) {
	defer func() {
		if p := recover(); p != nil { // a codec panicked: the state must not stay busy
			s.requestReload()
		}
	}()
	ordered := s.store.layout.carriesRevision()
	switch {
	case c.Kind == storage.Removed && ordered:
		s.store.stats.notifications.Add(1)
		s.end(removalCause(cur))
		return
	case c.Kind == storage.Written && c.Item.Revision == cur.rev:
		return
	case !ordered: // without a revision number in the value, an old change cannot be told from a new one
		s.requestReload()
		return
	}
	m, values, err := s.store.decode(at, c.Item.Value)
	s.store.stats.decodes.Add(1)
	var moved *movedError
	switch {
	case errors.As(err, &moved) && moved.lineage == cur.lineage:
		s.store.stats.notifications.Add(1)
		s.moveTo(s.store.layout.placeByFingerprint(moved.to))
		s.markStale() // the new place has not been read
	case err != nil || m.lineage != cur.lineage || m.revision == cur.revision:
		s.requestReload() // unexpected content: let a read decide
	case m.revision > cur.revision:
		s.store.stats.notifications.Add(1)
		s.publish(&snapshot{meta: m, values: values, rev: c.Item.Revision}, changedKeys(cur.values, values))
	}
}

// requestReload marks the state stale and has a worker reload it.
func (s *state) requestReload() {
	s.markStale()
	s.store.tracker.enqueue(s)
}

// clockSkew is the tolerated difference between two nodes' clocks. Within it, a removed
// session counts as expired, not as logged out.
const clockSkew = time.Second

// removalCause returns why another node removed the session.
func removalCause(cur *snapshot) error {
	if cur.expired(time.Now().Add(clockSkew)) {
		return ErrExpired
	}
	return ErrDestroyed
}
