package memory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for interval, valid := range map[time.Duration]bool{
		0:                      true,
		time.Second:            true,
		time.Hour:              true,
		-1:                     false,
		-time.Hour:             false,
		1:                      false, // gofiber counts whole seconds
		999 * time.Millisecond: false,
	} {
		t.Run(interval.String(), func(t *testing.T) {
			t.Parallel()
			defer func() {
				p := recover()
				if (p == nil) != valid {
					t.Errorf("New panicked with %v, want valid: %v", p, valid)
				}
				if text := fmt.Sprint(p); !valid && !(strings.Contains(text, "Config.GCInterval is "+interval.String()) && strings.Contains(text, "at least 1s")) {
					t.Errorf("panic %q, want the field, its value and what is allowed", text)
				}
			}()
			_ = memory.New(memory.Config{GCInterval: interval}).Close()
		})
	}
}
