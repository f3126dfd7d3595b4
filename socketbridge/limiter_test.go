package socketbridge

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	run := func(name string, fn func(t *testing.T, l *limiter)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l limiter
				l.init(newRateLimits(Config{Limits: Limits{EventsPerSecond: 10, BytesPerSecond: 1000}}))
				fn(t, &l)
			})
		})
	}
	count := func(t *testing.T, l *limiter, bytes int) time.Duration {
		t.Helper()
		wait, err := l.count(bytes)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	run("a burst passes, one more waits", func(t *testing.T, l *limiter) {
		for range 20 {
			if wait := count(t, l, 1); wait != 0 {
				t.Fatalf("got a wait of %v within the burst, want 0", wait)
			}
		}
		if wait := count(t, l, 1); wait != 100*time.Millisecond {
			t.Errorf("got a wait of %v, want 100ms, the time of one packet", wait)
		}
	})
	run("the rate itself never waits", func(t *testing.T, l *limiter) {
		for range 100 {
			if wait := count(t, l, 1); wait != 0 {
				t.Fatalf("got a wait of %v at the allowed rate, want 0", wait)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	run("bytes are limited separately", func(t *testing.T, l *limiter) {
		if wait := count(t, l, 1000); wait != 0 {
			t.Fatalf("got a wait of %v within the burst, want 0", wait)
		}
		if wait := count(t, l, 500); wait != 500*time.Millisecond {
			t.Errorf("got a wait of %v, want 500ms", wait)
		}
	})
	run("a flood ends with an error", func(t *testing.T, l *limiter) {
		begin := time.Now()
		for {
			wait, err := l.count(1)
			if err != nil {
				if !errors.Is(err, ErrFlood) {
					t.Fatal(err)
				}
				break
			}
			time.Sleep(wait)
		}
		if d := time.Since(begin); d < floodTimeout || d > floodTimeout+200*time.Millisecond {
			t.Errorf("got ErrFlood after %v, want it after %v", d, floodTimeout)
		}
	})
	run("a pause resets the limit", func(t *testing.T, l *limiter) {
		for range 10 { // each time less than floodTimeout
			for range 40 {
				time.Sleep(count(t, l, 1))
			}
			time.Sleep(2 * time.Second)
			if wait := count(t, l, 1); wait != 0 {
				t.Fatalf("got a wait of %v after a pause, want 0", wait)
			}
		}
	})
	t.Run("the largest message passes, whatever BytesPerSecond is", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cfg := configDefault(Config{Limits: Limits{BytesPerSecond: 100 << 10}})
			var l limiter
			l.init(newRateLimits(cfg))
			if wait := count(t, &l, cfg.Engine.MaxPayload); wait != 0 {
				t.Errorf("got a wait of %v for one message of MaxPayload, want 0", wait)
			}
		})
	})
	t.Run("switched off", func(t *testing.T) {
		var l limiter
		l.init(newRateLimits(Config{Limits: Limits{EventsPerSecond: -1, BytesPerSecond: -1}}))
		for range 100_000 {
			if wait, err := l.count(1 << 20); wait != 0 || err != nil {
				t.Fatalf("got a wait of %v and error %v, want none", wait, err)
			}
		}
	})
}
