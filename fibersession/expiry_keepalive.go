// Writes that only extend a session's life. They must not fail what was asked for.

package fibersession

import (
	"context"
	"errors"
	"time"
)

// keepAliveRetry is how long KeepAlive leaves a session alone after a write failed, so that
// a storage that refuses writes is not asked again by every request.
const keepAliveRetry = time.Second

// KeepAlive is Touch for work that does not depend on it, such as a page that only reads:
// Handler calls it after the request's handlers, and a socket before each event. If the
// storage refuses the write, does not answer, or does not confirm it, KeepAlive logs that
// and returns nil. The values are the same whether or not such a write happened; the session
// only ends earlier than Config.Expiration after this use, unless a later use extends it.
// KeepAlive returns ErrSessionGone if the session has ended, and ErrReleased.
func (h *Handle) KeepAlive(ctx context.Context) error {
	st := h.state
	if st == nil {
		return h.Err()
	}
	if st = st.resolve(); st.keepAliveFailed() {
		return h.Err()
	}
	return h.tolerate(ctx, h.Touch(ctx))
}

// KeepAliveDue reports whether KeepAlive would do anything at that time: it is cheap, and false
// for most calls. It is also false for a session that has ended.
func (h *Handle) KeepAliveDue(now time.Time) bool {
	cur, err := h.current()
	return err == nil && !cur.fresh() && h.store.touchDue(&cur.meta, now)
}

// saveOrExtend is Save for a caller that asked for it by hand: it also stores a new session
// that is empty, and extends the life of a stored one without changes.
func (h *Handle) saveOrExtend(ctx context.Context) error {
	switch {
	case h.Changed(), h.Fresh():
		return h.save(ctx, true)
	case h.store.layout.carriesExpiry():
		return h.KeepAlive(ctx)
	default:
		return h.tolerate(ctx, h.save(ctx, true))
	}
}

// tolerate logs an error of a write that only extends the session's life. It returns the
// error if the session itself cannot be used.
func (h *Handle) tolerate(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil && h.Err() == nil:
		return nil
	case errors.Is(err, ErrSessionGone), errors.Is(err, ErrReleased):
		return err
	}
	h.state.resolve().setKeepAliveFailed()
	h.store.logNotExtended(err)
	return nil
}

func (s *Store) logNotExtended(err error) {
	if failed := (*storageError)(nil); errors.As(err, &failed) {
		err = failed // which is logged with its cause
	}
	s.notices.Report(&notExtendedNotice, "", "cause", err)
}

// keepAliveFailed reports whether a KeepAlive failed within keepAliveRetry.
func (s *state) keepAliveFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.notExtendedAt.IsZero() && time.Since(s.notExtendedAt) < keepAliveRetry
}

func (s *state) setKeepAliveFailed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notExtendedAt = time.Now()
}
