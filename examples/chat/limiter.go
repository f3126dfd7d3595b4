package main

import (
	"sync"
	"time"
)

const (
	paceBurst = 10          // messages at once
	paceEvery = time.Second // and then one
)

// pace bounds how fast one socket speaks. The zero value is at rest. It is safe for
// concurrent use.
type pace struct {
	mu   sync.Mutex
	free time.Time // when all that was taken will have been earned again
}

// take reports whether one more message is due.
func (p *pace) take(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	if p.free.Sub(now) > (paceBurst-1)*paceEvery {
		return false
	}
	p.free = p.free.Add(paceEvery)
	return true
}
