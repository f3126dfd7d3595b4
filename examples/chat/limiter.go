package main

import (
	"sync"
	"time"
)

const (
	limitBurst = 10          // messages at once
	limitEvery = time.Second // then one message per limitEvery
)

// limiter limits the messages of one socket. The zero value is ready to use. It is safe for
// concurrent use.
type limiter struct {
	mu   sync.Mutex
	full time.Time // when the whole burst is available again
}

// allow counts a message and reports whether it is within the limit.
func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full.Before(now) {
		l.full = now
	}
	if l.full.Sub(now) > (limitBurst-1)*limitEvery {
		return false
	}
	l.full = l.full.Add(limitEvery)
	return true
}
