package fibersession

import "time"

// broom is how much longer than its session a stored value lives. The envelope's
// own limits are exact; the store's only sweep up.
const ttlMargin = time.Minute

// maxLimit bounds all limits: much longer ones end beyond what Unix nanoseconds can say.
const maxLimit = 100 * 365 * 24 * time.Hour

// begin returns the limits of a session that is stored for the first time.
func (s *Store) initialLimits(now time.Time) meta {
	m := meta{created: now, idle: s.cfg.Expiration, expiry: now.Add(s.cfg.Expiration)}
	if s.cfg.Timeouts.Absolute > 0 {
		m.absolute = now.Add(s.cfg.Timeouts.Absolute)
	}
	return m
}

// used returns the limits of a session that is used at now. A new idle limit of 0
// leaves the old one.
func (s *Store) slideLimits(m meta, now time.Time, idle time.Duration) meta {
	if idle > 0 {
		m.idle = idle
		if asked := m.created.Add(idle); !s.hardLimit && !m.absolute.IsZero() && m.absolute.Before(asked) {
			m.absolute = asked
		}
	}
	m.expiry = now.Add(m.idle)
	m.revision++
	return m
}

// touchDue says whether the idle limit has moved far enough to be worth a write.
func (s *Store) touchDue(m meta, now time.Time) bool {
	every := min(s.cfg.Timeouts.TouchInterval, m.idle/10)
	return !now.Before(m.expiry.Add(every - m.idle))
}

// ttl is how long the store is asked to keep a value.
func (s *Store) ttl(m meta, now time.Time) time.Duration {
	if !s.layout.slides() {
		return m.deadline().Sub(now) // nobody else knows when it ends
	}
	return m.deadline().Sub(now) + ttlMargin
}
