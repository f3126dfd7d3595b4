package fibersession

import (
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// lifetime asks the store how long a session has left that was read past the limit
// that its value tells, as Express moves that without writing it down. Of a store that
// cannot tell, no more is known than that it was there; the next use moves the limit.
func (r *round) lifetime(at place) {
	s := r.s
	if _, ok := s.store.layout.(*express); !ok {
		return
	}
	now := time.Now()
	cur, ended := s.look()
	if ended != nil || cur.fresh() || !cur.expired(now) {
		return
	}
	l, ok := s.store.base.(storage.Lifetime)
	if !ok {
		return
	}
	left, err := l.TTL(r.ctx, at.key)
	if err != nil || left == 0 {
		return
	}
	next := *cur
	next.expiry = now.Add(left)
	s.publish(&next, nil)
}
