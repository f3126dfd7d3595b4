package main

import (
	"net/netip"
	"sync"
	"time"
)

// Attempts bounds how often something may be tried under a key: Limit times in
// Window. It is safe for concurrent use, and for one node: with several, each
// allows Limit.
type Attempts struct {
	Limit  int
	Window time.Duration

	mu   sync.Mutex
	seen map[string]attempt
}

type attempt struct {
	count int
	until time.Time
}

// maxKeys bounds the memory of an Attempts.
const maxKeys = 10_000

// Take counts an attempt, and says whether it may be made.
func (a *Attempts) Take(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	tried, known := a.seen[key]
	if !known || now.After(tried.until) {
		a.room(now)
		tried = attempt{until: now.Add(a.Window)}
	}
	tried.count = min(tried.count+1, a.Limit+1)
	a.seen[key] = tried
	return tried.count <= a.Limit
}

// Forget forgets the attempts under key: the last one has succeeded.
func (a *Attempts) Forget(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.seen, key)
}

// room makes room for one more key: what is over goes first, then anything.
func (a *Attempts) room(now time.Time) {
	if a.seen == nil {
		a.seen = make(map[string]attempt)
	}
	if len(a.seen) < maxKeys {
		return
	}
	for key, tried := range a.seen {
		if now.After(tried.until) {
			delete(a.seen, key)
		}
	}
	for key := range a.seen {
		if len(a.seen) < maxKeys {
			return
		}
		delete(a.seen, key)
	}
}

// network is what one household or attacker has at least: an IPv4 address, or the
// /64 around an IPv6 one.
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
