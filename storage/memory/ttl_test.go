package memory

import (
	"testing"
	"time"
)

// No ttl is too short on gofiber's clock, which truncates to whole seconds and may
// tick right after the value was stored.
func TestRoundUp(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[time.Duration]time.Duration{
		0:                       0, // no expiration
		1:                       2 * time.Second,
		time.Second:             2 * time.Second,
		1500 * time.Millisecond: 3 * time.Second,
		time.Hour:               time.Hour + time.Second,
		1<<63 - 1:               maxTTL,
	} {
		if got := roundUp(ttl); got != want {
			t.Errorf("roundUp(%v) = %v, want %v", ttl, got, want)
		}
	}
	if end := time.Now().Add(maxTTL).Unix(); end > 1<<32-1 {
		t.Errorf("maxTTL ends at %d, after the end of gofiber's 32-bit clock", end)
	}
}
