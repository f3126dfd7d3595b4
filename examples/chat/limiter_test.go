package main

import (
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	var l limiter
	now := time.Unix(1e9, 0)
	burst := func() (n int) {
		for l.allow(now) {
			n++
		}
		return n
	}
	if n := burst(); n != limitBurst {
		t.Errorf("%d messages at once, want %d", n, limitBurst)
	}
	now = now.Add(3 * limitEvery)
	if n := burst(); n != 3 {
		t.Errorf("%d messages after three seconds, want 3", n)
	}
	now = now.Add(time.Hour)
	if n := burst(); n != limitBurst {
		t.Errorf("%d messages after an hour, want %d", n, limitBurst)
	}
}
