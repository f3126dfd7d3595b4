// Expiry: the idle and the absolute limit of a session, and the TTL of its value.

package fibersession

import "time"

// ttlMargin is how much longer than its session a stored value lives. The limits in the
// value are exact; the TTL only removes what is left over.
const ttlMargin = time.Minute

// maxLimit bounds all limits: the end of longer ones does not fit into Unix nanoseconds.
const maxLimit = 100 * 365 * 24 * time.Hour

// setInitialLimits sets the limits of a session that is stored for the first time, except for
// its expiry: slideLimits sets that.
func (s *Store) setInitialLimits(m *meta, now time.Time) {
	m.created, m.idle, m.absolute = now, s.Config.Expiration, time.Time{}
	if s.Config.Timeouts.Absolute > 0 {
		m.absolute = now.Add(s.Config.Timeouts.Absolute)
	}
}

// slideLimits sets the limits of a session that is used at now. An idle limit of 0
// keeps the current one.
func (s *Store) slideLimits(m *meta, now time.Time, idle time.Duration) {
	if idle > 0 {
		m.idle = idle
		if asked := m.created.Add(idle); !s.hardLimit && !m.absolute.IsZero() && m.absolute.Before(asked) {
			m.absolute = asked
		}
	}
	m.expiry = now.Add(m.idle)
	m.revision++
}

// touchDue reports whether the idle limit has moved far enough to justify a write. A limit
// further ahead than any use can set it comes from another clock, or this one was set back:
// the storage would remove the session before that limit.
func (s *Store) touchDue(m *meta, now time.Time) bool {
	every := min(s.Config.Timeouts.TouchInterval, m.idle/10)
	return !now.Before(m.expiry.Add(every-m.idle)) || m.expiry.Sub(now) > m.idle+every
}

// ttl returns the TTL of a stored value.
func (s *Store) ttl(m *meta, now time.Time) time.Duration {
	if !s.layout.carriesExpiry() {
		return m.deadline().Sub(now) // only the TTL holds this session's expiry
	}
	return m.deadline().Sub(now) + ttlMargin
}
