package main

import (
	"net/netip"
	"sync"
	"time"
)

// Limiter allows Limit attempts per key within Window. It is safe for concurrent use.
// It counts in this process only: several nodes would allow Limit each.
type Limiter struct {
	Limit  int
	Window time.Duration

	mu   sync.Mutex
	keys map[string]attempts
}

type attempts struct {
	count int
	until time.Time // end of the window
}

// maxKeys bounds the memory of a Limiter.
const maxKeys = 10_000

// Allow counts an attempt and reports whether it is within the limit.
func (l *Limiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	made, known := l.keys[key]
	if !known || now.After(made.until) {
		l.makeRoom(now)
		made = attempts{until: now.Add(l.Window)}
	}
	made.count = min(made.count+1, l.Limit+1)
	l.keys[key] = made
	return made.count <= l.Limit
}

// Reset forgets the attempts of key. Call it after one that succeeded.
func (l *Limiter) Reset(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
}

// makeRoom makes room for one more key. It removes expired keys first, then any.
func (l *Limiter) makeRoom(now time.Time) {
	if l.keys == nil {
		l.keys = make(map[string]attempts)
	}
	if len(l.keys) < maxKeys {
		return
	}
	for key, made := range l.keys {
		if now.After(made.until) {
			delete(l.keys, key)
		}
	}
	for key := range l.keys {
		if len(l.keys) < maxKeys {
			return
		}
		delete(l.keys, key)
	}
}

// network returns the smallest address range that one client controls: an IPv4
// address, or the /64 prefix of an IPv6 address.
func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.String()
}
