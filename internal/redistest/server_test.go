package redistest_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	before := s.URL()
	s.Kill()
	s.Kill() // a second Kill does nothing
	s.Restart()
	s.Restart() // restarting a running server works too
	if s.URL() != before {
		t.Errorf("URL() = %s after Restart, want %s", s.URL(), before)
	}
}
