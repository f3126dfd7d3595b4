package fibersession

import (
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// apply applies what was heard, unless somebody leads a round, who does it then.
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

// absorb applies what was heard. It is called with the state locked, by who leads,
// and unlocks it meanwhile.
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

// take makes a change that another node, or another store, has made known here.
func (s *state) applyChange(c storage.Change, at place, cur *snapshot) {
	defer func() {
		if p := recover(); p != nil { // of a codec: the state must not stay busy for ever
			s.requestReload()
		}
	}()
	sealed := s.store.layout.slides()
	switch {
	case c.Kind == storage.Removed && sealed:
		s.store.stats.heard.Add(1)
		s.end(removalCause(cur))
		return
	case c.Kind == storage.Written && c.Item.Revision == cur.rev:
		return
	case !sealed: // it has no order that would tell old news
		s.requestReload()
		return
	}
	m, values, err := s.store.layout.open(at, c.Item.Value)
	s.store.stats.decodes.Add(1)
	var moved *movedError
	switch {
	case errors.As(err, &moved) && moved.lineage == cur.lineage:
		s.store.stats.heard.Add(1)
		s.moveTo(s.store.layout.destination(moved.to))
		s.markStale() // the new place was not read yet
	case err != nil || m.lineage != cur.lineage || m.revision == cur.revision:
		s.requestReload() // not what can be there
	case m.revision > cur.revision:
		s.store.stats.heard.Add(1)
		s.publish(&snapshot{meta: m, values: values, rev: c.Item.Revision}, changedKeys(cur.values, values))
	}
}

// ask has the session read again.
func (s *state) requestReload() {
	s.markStale()
	s.store.tracker.enqueue(s)
}

// skew is how far the clocks of two nodes may be apart before one of them takes the
// other's sweeping up of an expired session for a logout.
const clockSkew = time.Second

// whyRemoved says why a session is gone that somebody removed.
func removalCause(cur *snapshot) error {
	if cur.expired(time.Now().Add(clockSkew)) {
		return ErrExpired
	}
	return ErrDestroyed
}
