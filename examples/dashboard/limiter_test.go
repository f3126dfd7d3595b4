package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := Limiter{Limit: 2, Window: time.Minute}
		allow := func(key string, want bool) {
			t.Helper()
			if got := l.Allow(key); got != want {
				t.Errorf("Allow(%q) = %v, want %v", key, got, want)
			}
		}
		allow("x", true)
		allow("x", true)
		allow("x", false)
		allow("y", true)
		time.Sleep(time.Minute - time.Second)
		allow("x", false) // a rejected attempt does not restart the window
		time.Sleep(2 * time.Second)
		allow("x", true)
		allow("x", true)
		l.Reset("x")
		allow("x", true)
	})
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := Limiter{Limit: 1, Window: time.Minute}
		for i := range maxKeys + 100 {
			l.Allow(fmt.Sprint(i))
			if len(l.keys) > maxKeys {
				t.Fatalf("%d keys, want at most %d", len(l.keys), maxKeys)
			}
		}
		time.Sleep(2 * time.Minute)
		l.Allow("late")
		if len(l.keys) != 1 {
			t.Errorf("%d keys, want 1: all others have expired", len(l.keys))
		}
	})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.7":                   "192.0.2.7",
		"::ffff:192.0.2.7":            "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":        "2001:db8:1:2::/64",
		"2001:db8:1:2::ffff":          "2001:db8:1:2::/64",
		"fe80::1%eth0":                "fe80::/64",
		"not an address, of a header": "not an address, of a header",
	} {
		if got := network(ip); got != want {
			t.Errorf("network(%q) = %q, want %q", ip, got, want)
		}
	}
}
