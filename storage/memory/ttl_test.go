package memory

import (
	"testing"
	"time"
)

// Gofiber's clock has 32 bits.
func TestMaxTTL(t *testing.T) {
	t.Parallel()
	if end := time.Now().Add(maxTTL).Unix(); end > 1<<32-1 {
		t.Errorf("maxTTL ends at %d, after the end of gofiber's 32-bit clock", end)
	}
}
