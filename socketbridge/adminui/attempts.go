package adminui

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxAttempts   = 10          // failed logins of one address in a window
	attemptWindow = time.Minute // from the first of them
	maxAddresses  = 10_000      // that are counted at the same time; further ones are refused
)

// attempts counts failed logins by address. The zero value is ready to use.
type attempts struct {
	mu     sync.Mutex
	counts map[netip.Prefix]attempt
}

type attempt struct {
	count int
	until time.Time
}

// network returns what is counted as one address: of IPv6, the /64 that a site usually has.
func network(ip string) netip.Prefix {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if addr = addr.Unmap(); addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// begin counts an attempt, and reports whether it may be made. Call succeed after one that
// did not fail.
func (a *attempts) begin(ip string, now time.Time) bool {
	key := network(ip)
	a.mu.Lock()
	defer a.mu.Unlock()
	made, known := a.counts[key]
	if !known || now.After(made.until) {
		if !known && !a.makeRoom(now) {
			return false
		}
		made = attempt{until: now.Add(attemptWindow)}
	}
	made.count++
	a.counts[key] = made
	return made.count <= maxAttempts
}

// succeed forgets the attempts of an address.
func (a *attempts) succeed(ip string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.counts, network(ip))
}

// makeRoom makes room for one more address. It returns false if there is none.
func (a *attempts) makeRoom(now time.Time) bool {
	if a.counts == nil {
		a.counts = make(map[netip.Prefix]attempt)
	}
	if len(a.counts) < maxAddresses {
		return true
	}
	for key, made := range a.counts {
		if now.After(made.until) {
			delete(a.counts, key)
		}
	}
	return len(a.counts) < maxAddresses
}
