package fibersession_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// The state leaves with its last holder, and nothing stays for a session that was
// here once (GHSA-c5qf-v26h-rp5r was such a map).
func TestTable_EmptyAfterManySessions(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("n", 1)
		return nil
	}})
	known := newBrowser(t, app)
	known.get("/")
	for i := range 3000 {
		switch b := newBrowser(t, app); i % 3 {
		case 0:
			b.cookies["__Host-session"] = fmt.Sprintf("%043d", i) // unknown to us
			b.get("/")
		case 1:
			b.get("/")
		case 2:
			known.get("/")
		}
	}
	h := handleOf(t, s, known.session())
	f := handleOf(t, s, known.session())
	fork := f.Fork() // lives and dies with f
	if got := s.Stats(); got.States != 1 || got.Handles != 2 {
		t.Errorf("with two handles of one session there are %d states and %d handles", got.States, got.Handles)
	}
	h.Release()
	if got := s.Stats(); got.States != 1 {
		t.Error("the state left before its last handle")
	}
	if err := fork.Err(); err != nil {
		t.Errorf("the fork of a handle in use: %v", err)
	}
	f.Release()
	if err := fork.Err(); !errors.Is(err, fibersession.ErrReleased) {
		t.Errorf("the fork of a released handle: %v", err)
	}
	if got := s.Stats(); got.States != 0 || got.Handles != 0 {
		t.Errorf("after all there are %d states and %d handles", got.States, got.Handles)
	}
}
