package storage

import (
	"math"
	"testing"
	"time"
)

// A driver may truncate the ttl or the time of expiry to whole seconds: neither makes a
// key expire early, and neither makes it permanent.
func TestF7_RoundUp(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[time.Duration]time.Duration{
		0:                                     0, // no expiration
		1:                                     2 * time.Second,
		time.Second - 1:                       2 * time.Second,
		time.Second:                           2 * time.Second,
		1500 * time.Millisecond:               3 * time.Second,
		time.Hour:                             time.Hour + time.Second,
		math.MaxInt64:                         math.MaxInt64,
		math.MaxInt64 - 1500*time.Millisecond: math.MaxInt64 - 1500*time.Millisecond,
	} {
		got := roundUp(ttl)
		if got != want {
			t.Errorf("roundUp(%v) = %v, want %v", ttl, got, want)
		}
		if ttl == 0 || ttl > math.MaxInt64-time.Hour {
			continue
		}
		if got.Truncate(time.Second) < ttl {
			t.Errorf("%v: a driver that truncates the ttl keeps the key for %v", ttl, got.Truncate(time.Second))
		}
		for _, ns := range []int64{0, 1, 5e8, 1e9 - 1} {
			set := time.Unix(1e9, ns)
			if end := time.Unix(set.Add(got).Unix(), 0); end.Before(set.Add(ttl)) {
				t.Errorf("%v: a driver that truncates the time of expiry removes the key %v early", ttl, set.Add(ttl).Sub(end))
			}
		}
	}
}
