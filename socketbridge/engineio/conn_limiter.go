package engineio

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// connLimiter counts connections, in total and per network, before anything is allocated
// for them.
type connLimiter struct {
	maxConns int // 0: no limit
	maxPerIP int // negative: no limit
	rate     int // per second and network; negative: no limit

	mu       sync.Mutex
	conns    int
	networks map[netip.Prefix]*networkUsage
}

// networkUsage is the usage of one network. It is deleted when the network has no
// connection and its rate allows a full burst again.
type networkUsage struct {
	conns int
	next  time.Time // when the recent connections would be due at the allowed rate
}

// acquire counts a connection from addr. If it returns nil, the caller must call release
// once, when the connection has ended or could not be created.
func (l *connLimiter) acquire(addr netip.Addr, now time.Time) *Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.maxConns > 0 && l.conns >= l.maxConns {
		return errFull
	}
	if network, ok := limitedNetwork(addr); ok && (l.maxPerIP >= 0 || l.rate > 0) {
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
			l.networks = make(map[netip.Prefix]*networkUsage)
		}
		l.networks[network] = u
	}
	l.conns++
	return nil
}

// release undoes one acquire.
func (l *connLimiter) release(addr netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns--
	network, ok := limitedNetwork(addr)
	if u := l.networks[network]; ok && u != nil {
		u.conns--
		if u.conns == 0 && !u.next.After(now) {
			delete(l.networks, network)
		}
	}
}

// evictIdle checks up to two networks and deletes the idle ones. Since at most one is added
// per call, the map stays about as small as the number of networks of the last second.
func (l *connLimiter) evictIdle(now time.Time) {
	n := 0
	for network, u := range l.networks {
		if u.conns == 0 && !u.next.After(now) {
			delete(l.networks, network)
		}
		if n++; n == 2 {
			return
		}
	}
}

// limitedNetwork returns the network that addr is counted under. It returns false for an
// address that is not counted: loopback addresses belong to a proxy on the same machine.
func limitedNetwork(addr netip.Addr) (netip.Prefix, bool) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsLoopback() || addr.IsUnspecified() {
		return netip.Prefix{}, false
	}
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	network, err := addr.Prefix(bits)
	return network, err == nil
}

// parseAddr parses the result of fiber.Ctx.IP, which can be the whole list of a proxy's
// header.
func parseAddr(ip string) netip.Addr {
	first, _, _ := strings.Cut(ip, ",")
	addr, _ := netip.ParseAddr(strings.TrimSpace(first))
	return addr
}
