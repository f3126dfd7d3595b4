package engineio

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fiberbridge/fiberbridge/internal/clientaddr"
)

func TestConnLimiter(t *testing.T) {
	ip := func(s string) netip.Addr { return limitedNetwork(clientaddr.Plain(netip.MustParseAddr(s))) }
	now := time.Unix(1000, 0)
	admitN := func(a *connLimiter, addr string, n int) (admitted int, last *Error) {
		for range n {
			if last = a.acquire(ip(addr), now); last == nil {
				admitted++
			}
		}
		return admitted, last
	}
	tests := []struct {
		name string
		a    *connLimiter
		addr string
		want int // how many of 100 connections are admitted
		err  *Error
	}{
		{"no limits", &connLimiter{maxPerIP: -1, rate: -1}, "192.0.2.1", 100, nil},
		{"in total", &connLimiter{maxConns: 10, maxPerIP: -1, rate: -1}, "192.0.2.1", 10, errFull},
		{"of an address", &connLimiter{maxPerIP: 7, rate: -1}, "192.0.2.1", 7, errTooMany},
		{"of an IPv6 network", &connLimiter{maxPerIP: 7, rate: -1}, "2001:db8::1", 7, errTooMany},
		{"in a second", &connLimiter{maxPerIP: -1, rate: 5}, "192.0.2.1", 5, errTooMany},
		{"no connections at all", &connLimiter{maxPerIP: 0, rate: -1}, "192.0.2.1", 0, errTooMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, last := admitN(tt.a, tt.addr, 100)
			if got != tt.want || last != tt.err {
				t.Errorf("%d were admitted and the last one returned %v, want %d and %v", got, last, tt.want, tt.err)
			}
			for range got {
				tt.a.release(ip(tt.addr), now.Add(time.Minute))
			}
			if tt.a.conns.Load() != 0 || tt.a.len() != 0 {
				t.Errorf("%d connections and %d networks are left", tt.a.conns.Load(), tt.a.len())
			}
		})
	}
	t.Run("a peer on this machine counts in total only", func(t *testing.T) {
		a := connLimiter{maxConns: 10, maxPerIP: 7, rate: 5}
		for i := range 11 {
			if err := a.acquire(netip.Addr{}, now); (err == nil) != (i < 10) {
				t.Errorf("connection %d: %v", i+1, err)
			}
		}
		for range 10 {
			a.release(netip.Addr{}, now)
		}
		if a.conns.Load() != 0 || a.len() != 0 {
			t.Errorf("%d connections and %d networks are left", a.conns.Load(), a.len())
		}
	})
	t.Run("a /64 is one network, and its neighbor another", func(t *testing.T) {
		a := connLimiter{maxPerIP: 1, rate: -1}
		if a.acquire(ip("2001:db8:0:1::1"), now) != nil || a.acquire(ip("2001:db8:0:1:ffff::2"), now) == nil || a.acquire(ip("2001:db8:0:2::1"), now) != nil {
			t.Error("/64 networks are not counted separately")
		}
	})
	t.Run("an address counts as the same in both notations", func(t *testing.T) {
		a := connLimiter{maxPerIP: 1, rate: -1}
		if a.acquire(ip("192.0.2.1"), now) != nil || a.acquire(ip("::ffff:192.0.2.1"), now) == nil || a.acquire(ip("::ffff:192.0.2.2"), now) != nil {
			t.Error("an IPv4 address in IPv6 notation is counted wrongly")
		}
	})
	t.Run("the rate recovers over time", func(t *testing.T) {
		a := connLimiter{maxPerIP: -1, rate: 10}
		if n, _ := admitN(&a, "192.0.2.1", 100); n != 10 {
			t.Fatalf("a burst of %d was admitted", n)
		}
		now = now.Add(300 * time.Millisecond)
		if n, _ := admitN(&a, "192.0.2.1", 100); n != 3 {
			t.Errorf("after 0.3 s, %d more were admitted", n)
		}
	})
	t.Run("idle networks are evicted", func(t *testing.T) {
		a := connLimiter{maxPerIP: 10, rate: 10}
		addr := ip("10.0.0.0")
		for range 10_000 {
			addr = addr.Next()
			now = now.Add(10 * time.Millisecond)
			if err := a.acquire(addr, now); err != nil {
				t.Fatal(err)
			}
			a.release(addr, now)
		}
		if n := a.len(); n > 100 {
			t.Errorf("%d networks are kept", n)
		}
	})
}

// The counts are exact after any sequence of acquire and release.
func TestConnLimiter_CountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := connLimiter{maxConns: 20, maxPerIP: 4, rate: -1}
		open := map[string][]netip.Addr{}
		total := 0
		now := time.Unix(1000, 0)
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(0, 5).Draw(t, "host"))})
				mine := len(open[addr.String()])
				err := a.acquire(addr, now)
				if want := total < 20 && mine < 4; (err == nil) != want {
					t.Fatalf("with %d in total and %d of this address, acquire returned %v", total, mine, err)
				}
				if err == nil {
					open[addr.String()] = append(open[addr.String()], addr)
					total++
				}
			},
			"go": func(t *rapid.T) {
				for k, addrs := range open {
					a.release(addrs[0], now)
					total--
					if open[k] = addrs[1:]; len(open[k]) == 0 {
						delete(open, k)
					}
					return
				}
			},
			"": func(t *rapid.T) {
				if a.conns.Load() != int64(total) || a.len() != len(open) {
					t.Fatalf("%d connections and %d networks, want %d and %d", a.conns.Load(), a.len(), total, len(open))
				}
			},
		})
	})
}

// After a flood of addresses, the limiter does not keep a map of the flood's size: going
// through one takes as long as it once was large, under the lock of all handshakes.
func TestS5_ConnLimiterShrinks(t *testing.T) {
	a := connLimiter{maxPerIP: 10, rate: 10}
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("10.0.0.0")
	for range 1 << 16 {
		addr = addr.Next()
		if err := a.acquire(addr, now); err != nil {
			t.Fatal(err)
		}
		a.release(addr, now)
	}
	if a.len() != 1<<16 {
		t.Fatalf("%d networks within one moment, want all", a.len())
	}
	now = now.Add(time.Minute)
	for range 1 << 16 {
		if err := a.acquire(addr, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		a.release(addr, now)
	}
	peak, moved := 0, 0
	for i := range a.shards {
		peak, moved = max(peak, a.shards[i].peak), max(moved, a.shards[i].moved)
	}
	if a.len() > 2*limiterShards || peak > minShrink {
		t.Errorf("%d networks are left, in a map made for %d", a.len(), peak)
	}
	// What one handshake does under a lock, and so what others wait for.
	if moved == 0 || moved > (1<<16)/limiterShards {
		t.Errorf("up to %d networks were moved at once, want at most %d", moved, (1<<16)/limiterShards)
	}
}
