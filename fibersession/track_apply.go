// Applying changes that the storage's feed has delivered.

package fibersession

import (
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
		c, cur := *s.track.pending, s.cur
		s.track.pending = nil
		if s.ended != nil || c.Key != s.at.key || cur == nil || cur.fresh() || s.forward.Load() != nil {
			return
		}
		s.track.applying = true
		s.unlocked(func() { s.applyChange(c, cur) })
		s.track.applying = false
	}
}

// applyChange handles a notice of a change that another node or another Store made. The notice
// only says that there may be something to read: other clients of the storage may be able to
// publish one (any client of Redis that may PUBLISH), so nothing in it is believed.
func (s *state) applyChange(c storage.Change, cur *snapshot) {
	if c.Kind == storage.Written && c.Item.Revision == cur.rev {
		return
	}
	s.store.stats.notifications.Add(1)
	s.followNotice()
}

// A session whose notices led to noticeReads reads within noticePeriod that found nothing new
// waits until the end of the period for the next one. A flood of false notices costs no more
// than that, and a true one among them is late by noticePeriod at most. Events of the
// session's sockets do not wait: their reads ask the store while a notice was not followed.
const (
	noticeReads  = 16
	noticePeriod = time.Second
)

// followNotice marks the state stale and has a worker reload it.
func (s *state) followNotice() {
	s.mu.Lock()
	t := &s.track
	s.stale, t.unread = true, true
	wait, waiting := t.falseReads.delay(time.Now()), t.waiting
	t.waiting = waiting || wait > 0
	s.mu.Unlock()
	switch {
	case waiting:
	case wait > 0:
		time.AfterFunc(wait, func() { // does not block, and does nothing after close
			s.mu.Lock()
			t.waiting = false
			s.mu.Unlock()
			s.store.tracker.enqueue(s)
		})
	default:
		s.store.tracker.enqueue(s)
	}
}

// falseReads counts the reads after a notice that found nothing new. A state that has had none
// needs no memory for them.
type falseReads struct {
	began time.Time // the period of the last one
	n     int       // in the period
}

// delay returns how long the next read has to wait.
func (f *falseReads) delay(now time.Time) time.Duration {
	if f == nil || f.n < noticeReads {
		return 0
	}
	return f.began.Add(noticePeriod).Sub(now)
}

// count counts another read.
func (f *falseReads) count(now time.Time) {
	if now.Sub(f.began) >= noticePeriod {
		f.began, f.n = now, 0
	}
	f.n++
}
