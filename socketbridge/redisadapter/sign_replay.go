package redisadapter

import (
	"sync"
	"time"
)

// maxRemembered bounds each of the two sets of a replayMemory, to about 40 MB.
const maxRemembered = 1 << 20

// replayMemory remembers the messages that have arrived for as long as their copies would be
// accepted. Only valid signatures are added, so other clients of Redis cannot fill it. If
// more than maxRemembered messages arrive within 2*maxAge, it forgets earlier. The zero value
// is ready to use. It is safe for concurrent use.
type replayMemory struct {
	mu                sync.Mutex
	current, previous map[uint64]struct{}
	began             time.Time // the time of the first message in current
}

// add remembers a message. It reports whether the message is new. A message is accepted from
// maxAge before its time until maxAge after it, so it is kept for 2*maxAge at least.
func (r *replayMemory) add(id uint64, now time.Time) (isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.began); r.current == nil || age > 2*maxAge || len(r.current) >= maxRemembered {
		r.previous, r.current, r.began = r.current, make(map[uint64]struct{}), now
	}
	_, inCurrent := r.current[id]
	_, inPrevious := r.previous[id]
	r.current[id] = struct{}{}
	return !inCurrent && !inPrevious
}
