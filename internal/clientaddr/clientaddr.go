// Package clientaddr finds the address of the client behind proxies.
package clientaddr

import (
	"net/netip"
	"strings"
)

// Find returns the address of the client whose request came from peer, and the values of the
// header in which proxies name it, such as X-Forwarded-For. trusted are the addresses and
// networks of the proxies.
//
// Each proxy appends the address that it saw, so the list is read from its right end: the
// first address that is not a proxy's is the client's. Everything to the left of it is what
// the client sent, and can be forged. If all are proxies', the leftmost is the client's.
//
// readable is false if the header does not tell the address. Find then returns the peer's.
func Find(peer netip.Addr, header []string, trusted []string) (client netip.Addr, readable bool) {
	for i := len(header) - 1; i >= 0; i-- {
		list := header[i]
		for more := true; more; {
			var entry string
			if comma := strings.LastIndexByte(list, ','); comma >= 0 {
				list, entry = list[:comma], list[comma+1:]
			} else {
				entry, more = list, false
			}
			if entry = strings.TrimSpace(entry); entry == "" {
				continue // empty elements of a list do not count (RFC 9110, section 5.6.1)
			}
			addr, ok := parse(entry)
			switch {
			case !ok && !client.IsValid():
				return peer, false
			case !ok:
				return client, true // a proxy wrote the address right of it
			}
			if client = addr; !isTrusted(addr, trusted) {
				return client, true
			}
		}
	}
	if !client.IsValid() {
		return peer, false
	}
	return client, true
}

// parse parses an address as proxies write it: with or without a port, and IPv6 with or
// without brackets.
func parse(s string) (netip.Addr, bool) {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		if withPort, err := netip.ParseAddrPort(s); err == nil {
			addr = withPort.Addr()
		} else if inner, ok := strings.CutPrefix(s, "["); ok {
			if inner, ok = strings.CutSuffix(inner, "]"); ok {
				if addr, err = netip.ParseAddr(inner); err != nil || !addr.Is6() {
					return netip.Addr{}, false
				}
			}
		}
	}
	return Plain(addr), addr.IsValid()
}

// Plain returns addr without a zone, and as IPv4 if it is an IPv4 address in IPv6 notation.
func Plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// isTrusted reports whether addr is one of the proxies or in one of their networks.
func isTrusted(addr netip.Addr, trusted []string) bool {
	for _, t := range trusted {
		if network, err := netip.ParsePrefix(t); err == nil {
			if network.Contains(addr) {
				return true
			}
		} else if proxy, err := netip.ParseAddr(t); err == nil && Plain(proxy) == addr {
			return true
		}
	}
	return false
}
