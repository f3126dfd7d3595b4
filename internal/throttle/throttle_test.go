package throttle

import (
	"fmt"
	"testing"
	"time"
)

func TestThrottle_Window(t *testing.T) {
	t.Parallel()
	var l Throttle
	now := time.Unix(1e9, 0)
	allow := func(key string, want bool, wantSuppressed int) {
		t.Helper()
		if suppressed, ok := l.allow(key, now); ok != want || suppressed != wantSuppressed {
			t.Errorf("%s: %v, %d suppressed; want %v, %d", key, ok, suppressed, want, wantSuppressed)
		}
	}
	allow("a", true, 0)
	allow("a", false, 0)
	allow("b", true, 1)
	for i := range 2 * maxKeys {
		allow(fmt.Sprint(i), i < maxKeys-2, 0)
	}
	if len(l.allowed) != maxKeys {
		t.Errorf("%d keys are kept, want %d", len(l.allowed), maxKeys)
	}
	now = now.Add(window - 1)
	allow("a", false, 0)
	now = now.Add(1)
	allow("a", true, maxKeys+2+1)
	if len(l.allowed) != 1 {
		t.Errorf("%d keys are kept in a new window, want 1", len(l.allowed))
	}
}

func TestThrottle_Once(t *testing.T) {
	t.Parallel()
	l := Throttle{Once: true}
	now := time.Unix(1e9, 0)
	allowed := 0
	for i := range 2 * onceKeys {
		if _, ok := l.allow(fmt.Sprint(i), now); ok {
			allowed++
		}
	}
	if _, ok := l.allow("0", now.Add(time.Hour)); ok {
		t.Error("a key is allowed again after an hour")
	}
	if allowed != onceKeys {
		t.Errorf("%d keys are allowed, want %d", allowed, onceKeys)
	}
}
