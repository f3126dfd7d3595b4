package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := Attempts{Limit: 2, Window: time.Minute}
		take := func(key string, want bool) {
			t.Helper()
			if got := a.Take(key); got != want {
				t.Errorf("Take(%q) = %v", key, got)
			}
		}
		take("x", true)
		take("x", true)
		take("x", false)
		take("y", true)
		time.Sleep(time.Minute - time.Second)
		take("x", false) // and trying on does not begin the window anew
		time.Sleep(2 * time.Second)
		take("x", true)
		take("x", true)
		a.Forget("x")
		take("x", true)
	})
}

func TestAttemptsMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := Attempts{Limit: 1, Window: time.Minute}
		for i := range maxKeys + 100 {
			a.Take(fmt.Sprint(i))
			if len(a.seen) > maxKeys {
				t.Fatalf("%d keys", len(a.seen))
			}
		}
		time.Sleep(2 * time.Minute)
		a.Take("late")
		if len(a.seen) != 1 {
			t.Errorf("%d keys, of which all but one are over", len(a.seen))
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
