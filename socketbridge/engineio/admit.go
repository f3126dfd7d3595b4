package engineio

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// admission counts connections, of all and of each address, before anything is
// allocated for them.
type admission struct {
	maxConns int // 0: no limit
	maxPerIP int // negative: no limit
	rate     int // a second and address; negative: no limit

	mu       sync.Mutex
	conns    int
	visitors map[netip.Prefix]*visitor
}

// visitor is what is known of one address. It is forgotten when it has no
// connection and its rate allows a full burst again.
type visitor struct {
	conns int
	next  time.Time // when the connections of late would be due, one after the other
}

// admit counts a connection from addr. The caller must call leave once when the
// connection has ended or did not come about.
func (a *admission) admit(addr netip.Addr, now time.Time) *Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.maxConns > 0 && a.conns >= a.maxConns {
		return errFull
	}
	if network, ok := counted(addr); ok && (a.maxPerIP >= 0 || a.rate > 0) {
		a.sweep(now)
		v := a.visitors[network]
		if v == nil {
			v = &visitor{}
		}
		if a.maxPerIP >= 0 && v.conns >= a.maxPerIP {
			return errTooMany
		}
		if a.rate > 0 {
			if v.next.Before(now) {
				v.next = now
			}
			next := v.next.Add(time.Second / time.Duration(a.rate))
			if next.After(now.Add(time.Second)) { // a burst of one second's worth
				return errTooMany
			}
			v.next = next
		}
		v.conns++
		if a.visitors == nil {
			a.visitors = make(map[netip.Prefix]*visitor)
		}
		a.visitors[network] = v
	}
	a.conns++
	return nil
}

// leave undoes one admit.
func (a *admission) leave(addr netip.Addr, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns--
	network, ok := counted(addr)
	if v := a.visitors[network]; ok && v != nil {
		v.conns--
		if v.conns == 0 && !v.next.After(now) {
			delete(a.visitors, network)
		}
	}
}

// sweep forgets a few visitors that are gone. Two for each that comes keep the
// table as small as the visitors of the last second are many.
func (a *admission) sweep(now time.Time) {
	n := 0
	for network, v := range a.visitors {
		if v.conns == 0 && !v.next.After(now) {
			delete(a.visitors, network)
		}
		if n++; n == 2 {
			return
		}
	}
}

// counted returns the network that an address is counted by, and false for one
// that is not counted: loopback is where a proxy on the same machine comes from.
func counted(addr netip.Addr) (netip.Prefix, bool) {
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

// parseAddr reads the address that Fiber gives, which may be the whole list of a
// proxy's header.
func parseAddr(ip string) netip.Addr {
	first, _, _ := strings.Cut(ip, ",")
	addr, _ := netip.ParseAddr(strings.TrimSpace(first))
	return addr
}
