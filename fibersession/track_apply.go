// Applying changes that the storage's feed has delivered.

package fibersession

import (
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// applyPending applies the pending change, and reports whether the session has to be read now.
// If a commit is running, its leader does it.
func (s *state) applyPending() (read bool) {
	s.mu.Lock()
	if s.track.pending == nil || s.busy {
		s.mu.Unlock()
		return false
	}
	s.busy = true
	read = s.applyPendingLocked()
	s.promote()
	s.mu.Unlock()
	s.notify()
	return read
}

// applyPendingLocked applies pending changes until there is none, and reports whether the
// session has to be read now. The caller holds s.mu, which is released meanwhile, and leads
// (s.busy).
func (s *state) applyPendingLocked() (read bool) {
	for s.track.pending != nil {
		c, cur := *s.track.pending, s.cur
		s.track.pending = nil
		if s.ended != nil || c.Key != s.at.key || cur == nil || cur.fresh() || s.forward.Load() != nil {
			return read
		}
		s.track.applying = true
		s.unlocked(func() { read = s.applyChange(c, cur) || read })
		s.track.applying = false
	}
	return read
}

// applyChange handles a notice of a change that another node or another Store made. The notice
// only says that there may be something to read: other clients of the storage may be able to
// publish one (any client of Redis that may PUBLISH), so nothing in it is believed. It reports
// whether the session has to be read now.
func (s *state) applyChange(c storage.Change, cur *snapshot) (read bool) {
	if c.Kind == storage.Written && c.Item.Revision == cur.rev {
		return false
	}
	s.store.stats.notifications.Add(1)
	s.traceHeard()
	return s.followNotice()
}

// A session whose notices led to noticeReads reads within noticePeriod that found nothing new
// waits until the end of the period for the next one. A flood of false notices costs no more
// than that, and a true one among them is late by noticePeriod at most. Events of the
// session's sockets do not wait: their reads ask the store while a notice was not followed.
const (
	noticeReads  = 16
	noticePeriod = time.Second
)

// followNotice marks the state stale, and reports whether it has to be read now. Otherwise a
// worker reads it at the end of the period.
func (s *state) followNotice() (read bool) {
	s.mu.Lock()
	t := &s.track
	s.stale, t.unread = true, true
	wait, waiting := t.falseReads.delay(time.Now()), t.waiting
	t.waiting = waiting || wait > 0
	s.mu.Unlock()
	if !waiting && wait > 0 {
		time.AfterFunc(wait, func() { // does not block, and does nothing after close
			s.mu.Lock()
			t.waiting = false
			s.mu.Unlock()
			s.store.tracker.enqueue(s)
		})
	}
	return !waiting && wait <= 0
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
