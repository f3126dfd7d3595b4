// The creation of a session whose outcome is unknown.

package fibersession

import (
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// creation is the write that first stores a session, while its outcome is unknown: the storage
// may hold the session, or may have held it. It is immutable.
//
// The browser and other nodes may know a new session's ID before the storage confirms the
// write. If its outcome is unknown, the session may have been stored, used on another node
// and destroyed there. A node that finds no value afterwards cannot tell that from a write
// that never happened, and must not store the session again. So such a session ends.
type creation struct{ ttl time.Duration }

// create stores a session for the first time.
func (c *commit) create(at place, data []byte, ttl time.Duration) (storage.Revision, error) {
	c.s.setCreation(&creation{ttl}) // before the call: a driver may panic
	rev, err := c.s.store.storage.CompareAndSwap(c.ctx, at.key, storage.Absent, data, ttl)
	if err == nil || !isConflict(err) && !errors.Is(err, storage.ErrUnknownOutcome) {
		c.s.setCreation(nil)
	}
	return rev, err
}

func (s *state) setCreation(to *creation) {
	s.mu.Lock()
	s.creation = to
	s.mu.Unlock()
}

// isUnconfirmed reports whether the outcome of the session's creation is unknown. The caller
// holds s.mu.
func (s *state) isUnconfirmed() bool {
	return s.creation != nil && s.ended == nil && s.cur.fresh() && s.forward.Load() == nil
}

// mustConfirmCreation reports whether the outcome has to be found out now: a watched session
// must not wait for its next use to learn that it has ended. The caller holds s.mu.
func (s *state) mustConfirmCreation() bool {
	return s.cur != nil && s.isUnconfirmed() && s.refs.Load() > 0 && len(s.watch.list) > 0
}

// missingAfterCreation handles a load that did not find a session whose creation is
// unconfirmed. It ends the session.
func (c *commit) missingAfterCreation(at place, made *creation) error {
	s := c.s
	// Touch comes after every write of the key that this process has under way (see
	// storage.From); a Load does not. The TTL is the one that the write has set.
	err := s.store.storage.Touch(c.ctx, at.key, made.ttl)
	switch {
	case err == nil:
		return storage.ErrConflict // the write has happened by now: load again
	case !errors.Is(err, storage.ErrNotFound):
		c.loadErr = s.store.storeError("load", at.key, err)
		return c.loadErr
	}
	s.store.notices.Report(&unconfirmedNotice, "", "session", s)
	s.end(ErrDestroyed)
	return nil
}
