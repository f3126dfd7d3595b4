// Package throttle limits how often a message is logged, so that a flood of requests
// cannot flood the log.
//
//	if suppressed, ok := t.Allow(origin); ok {
//		log.Warn("request refused", "origin", origin, "others", suppressed)
//	}
package throttle

import (
	"strings"
	"sync"
	"time"
)

const (
	window   = time.Minute
	maxKeys  = 10 // per window
	onceKeys = 64 // of a Throttle whose window does not end
)

// Throttle allows each key once per minute, and at most 10 keys per minute. The zero value
// is ready to use. It is safe for concurrent use.
type Throttle struct {
	// Once allows each key once, without an end of the minute, and at most 64 keys. It must
	// not change after the first call of Allow.
	Once bool

	mu         sync.Mutex
	start      time.Time           // of the current window
	allowed    map[string]struct{} // keys allowed in this window
	suppressed int                 // calls refused since the last one that was allowed
}

// Allow reports whether to log the message with this key. If it does, suppressed is the
// number of calls that were refused since the last allowed one, for all keys. Allow keeps a
// copy of key. Use an empty key if there is only one message.
func (t *Throttle) Allow(key string) (suppressed int, ok bool) {
	return t.allow(key, time.Now())
}

func (t *Throttle) allow(key string, now time.Time) (suppressed int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := maxKeys
	if t.Once {
		limit = onceKeys
	}
	if t.allowed == nil || !t.Once && now.Sub(t.start) >= window {
		t.start, t.allowed = now, make(map[string]struct{})
	}
	if _, again := t.allowed[key]; again || len(t.allowed) >= limit {
		t.suppressed++
		return 0, false
	}
	t.allowed[strings.Clone(key)] = struct{}{} // key may be a request's memory, which is reused
	suppressed, t.suppressed = t.suppressed, 0
	return suppressed, true
}
