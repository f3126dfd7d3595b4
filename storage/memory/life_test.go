package memory

import (
	"testing"
	"time"
)

// A life is never too short on gofiber's clock, which cuts to whole seconds and
// may move on right after the value was stored.
func TestLife(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[time.Duration]time.Duration{
		0:                       0, // for ever
		1:                       2 * time.Second,
		time.Second:             2 * time.Second,
		1500 * time.Millisecond: 3 * time.Second,
		time.Hour:               time.Hour + time.Second,
		1<<63 - 1:               maxLife,
	} {
		if got := life(ttl); got != want {
			t.Errorf("life(%v) = %v, want %v", ttl, got, want)
		}
	}
	if end := time.Now().Add(maxLife).Unix(); end > 1<<32-1 {
		t.Errorf("maxLife ends at %d, past gofiber's 32-bit clock", end)
	}
}
