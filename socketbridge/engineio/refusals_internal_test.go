package engineio

import (
	"fmt"
	"testing"
	"time"
)

func TestRefusals_Window(t *testing.T) {
	t.Parallel()
	var l refusals
	now := time.Unix(1e9, 0)
	add := func(origin string, wantTell bool, wantMore int) {
		t.Helper()
		if tell, more := l.add(refusedPage{notAllowed, origin}, now); tell != wantTell || more != wantMore {
			t.Errorf("%s: %v, %d", origin, tell, more)
		}
	}
	add("a", true, 0)
	add("a", false, 0)
	add("b", true, 1)
	for i := range 2 * maxRefusals {
		add(fmt.Sprint(i), i < maxRefusals-2, 0)
	}
	if len(l.told) != maxRefusals {
		t.Errorf("%d are remembered", len(l.told))
	}
	now = now.Add(refusalWindow - 1)
	add("a", false, 0)
	now = now.Add(1)
	add("a", true, maxRefusals+2+1)
	if len(l.told) != 1 {
		t.Errorf("%d are remembered", len(l.told))
	}
}
