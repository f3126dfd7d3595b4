// When the browser is sent the cookie of an ID that it has.

package fibersession

import "time"

// renewCookie sends the cookie again if the browser's cookie has another age than it would be
// sent with now: after Remember, or SetExpiry, or if it ends with the idle limit and that
// limit has moved.
func (s *Session) renewCookie(h *Handle) error {
	cur, err := h.current()
	if err != nil || cur.fresh() {
		return nil
	}
	s.mu.Lock()
	due := s.phase == phaseOpen && s.sent != nil &&
		(s.store.cookieAgeDiffers(&s.sent.meta, &cur.meta) || h.state.resolve().cookieLags(&cur.meta))
	s.mu.Unlock()
	if !due {
		return nil
	}
	return s.sendID(true)
}

// cookieAgeDiffers reports whether a cookie of the session as it was then has another age than
// one of the session as it is now.
func (s *Store) cookieAgeDiffers(then, now *meta) bool {
	at := time.Now()
	change := s.layout.cookieAge(now, at) - s.layout.cookieAge(then, at)
	return change.Abs() >= time.Second // Max-Age counts seconds
}

// cookieLags reports whether the browser's cookie ends with the idle limit, and that limit has
// moved since the browser was sent it. A socket of this node may have moved the limit.
func (s *state) cookieLags(m *meta) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.layout.cookieEndsWhenIdle(m) && m.expiry.After(s.cookieExpiry)
}

// sentCookie records that a response carries the session's cookie.
func (s *state) sentCookie(expiry time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cookieExpiry = expiry
}
