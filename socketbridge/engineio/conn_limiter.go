package engineio

import (
	"net/netip"
	"sync"
	"time"
)

// connLimiter counts connections, in total and per network, before anything is allocated
// for them. A network is given by its first address; see limitedNetwork.
type connLimiter struct {
	maxConns int // 0: no limit
	maxPerIP int // negative: no limit
	rate     int // per second and network; negative: no limit

	mu       sync.Mutex
	conns    int
	networks map[netip.Addr]*networkUsage
	peak     int // the most networks since the map was made
}

// networkUsage is the usage of one network. It is deleted when the network has no
// connection and its rate allows a full burst again.
type networkUsage struct {
	conns int
	next  time.Time // when the recent connections would be due at the allowed rate
}

// acquire counts a connection from a network; the zero Addr counts in total only. If it
// returns nil, the caller must call release once, when the connection has ended or could not
// be created.
func (l *connLimiter) acquire(network netip.Addr, now time.Time) *Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.maxConns > 0 && l.conns >= l.maxConns {
		return errFull
	}
	if network.IsValid() && (l.maxPerIP >= 0 || l.rate > 0) {
		l.evictIdle(now)
		u := l.networks[network]
		if u == nil {
			u = &networkUsage{}
		}
		if l.maxPerIP >= 0 && u.conns >= l.maxPerIP {
			return errTooMany
		}
		if l.rate > 0 {
			if u.next.Before(now) {
				u.next = now
			}
			next := u.next.Add(time.Second / time.Duration(l.rate))
			if next.After(now.Add(time.Second)) { // a burst may have one second's worth
				return errTooMany
			}
			u.next = next
		}
		u.conns++
		if l.networks == nil {
			l.networks = make(map[netip.Addr]*networkUsage)
		}
		l.networks[network] = u
		l.peak = max(l.peak, len(l.networks))
	}
	l.conns++
	return nil
}

// release undoes one acquire.
func (l *connLimiter) release(network netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns--
	if u := l.networks[network]; u != nil {
		u.conns--
		if u.conns == 0 && !u.next.After(now) {
			l.remove(network)
		}
	}
}

// evictIdle checks up to two networks and deletes the idle ones. Since at most one is added
// per call, the map stays about as small as the number of networks of the last second.
func (l *connLimiter) evictIdle(now time.Time) {
	n := 0
	for network, u := range l.networks {
		if u.conns == 0 && !u.next.After(now) {
			l.remove(network)
		}
		if n++; n == 2 {
			return
		}
	}
}

// minShrink is the size from which a map of networks is replaced when it is nearly empty.
const minShrink = 1024

// remove deletes a network. A map keeps the memory of its largest size, and going through it
// takes as long as then. So a map that was large and is nearly empty is replaced.
func (l *connLimiter) remove(network netip.Addr) {
	delete(l.networks, network)
	if l.peak < minShrink || len(l.networks) > l.peak/8 {
		return
	}
	smaller := make(map[netip.Addr]*networkUsage, len(l.networks))
	for network, u := range l.networks {
		smaller[network] = u
	}
	l.networks, l.peak = smaller, len(smaller)
}

// limitedNetwork returns the first address of the network that addr is counted under: the
// address itself, or for IPv6 its /64.
func limitedNetwork(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return addr
	}
	network, _ := addr.Prefix(64)
	return network.Addr()
}
