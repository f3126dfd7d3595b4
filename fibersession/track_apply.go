package fibersession

import (
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// apply applies what was heard, unless somebody leads a round, who does it then.
func (s *state) apply() {
	s.mu.Lock()
	if s.track.heard == nil || s.busy {
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.absorb()
	s.appoint()
	s.mu.Unlock()
	s.tell()
}

// absorb applies what was heard. It is called with the state locked, by who leads,
// and unlocks it meanwhile.
func (s *state) absorb() {
	for s.track.heard != nil {
		c, at, cur := *s.track.heard, s.at, s.cur
		s.track.heard = nil
		if s.ended != nil || c.Key != at.key || cur == nil || cur.fresh() || s.forward.Load() != nil {
			return
		}
		s.track.taking = true
		s.unlocked(func() { s.take(c, at, cur) })
		s.track.taking = false
	}
}

// take makes a change that another node, or another store, has made known here.
func (s *state) take(c storage.Change, at place, cur *snapshot) {
	defer func() {
		if p := recover(); p != nil { // of a codec: the state must not stay busy for ever
			s.ask()
		}
	}()
	sealed := s.store.layout.slides()
	switch {
	case c.Kind == storage.Removed && sealed:
		s.store.stats.heard.Add(1)
		s.end(whyRemoved(cur))
		return
	case c.Kind == storage.Written && c.Item.Revision == cur.rev:
		return
	case !sealed: // it has no order that would tell old news
		s.ask()
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
		s.ask() // not what can be there
	case m.revision > cur.revision:
		s.store.stats.heard.Add(1)
		s.publish(&snapshot{meta: m, values: values, rev: c.Item.Revision}, differing(cur.values, values))
	}
}

// ask has the session read again.
func (s *state) ask() {
	s.markStale()
	s.store.tracker.enqueue(s)
}

// skew is how far the clocks of two nodes may be apart before one of them takes the
// other's sweeping up of an expired session for a logout.
const skew = time.Second

// whyRemoved says why a session is gone that somebody removed.
func whyRemoved(cur *snapshot) error {
	if cur.expired(time.Now().Add(skew)) {
		return ErrExpired
	}
	return ErrDestroyed
}
