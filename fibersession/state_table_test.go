package fibersession_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// A state is removed with its last handle, and nothing is kept of sessions that have left
// (GHSA-c5qf-v26h-rp5r was a map that was never emptied).
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
			b.cookies["__Host-session"] = fmt.Sprintf("%043d", i) // an ID that the store never issued
			b.get("/")
		case 1:
			b.get("/")
		case 2:
			known.get("/")
		}
	}
	h := handleOf(t, s, known.session())
	f := handleOf(t, s, known.session())
	fork := f.Fork() // ends with f
	if got := s.Stats(); got.States != 1 || got.Handles != 2 {
		t.Errorf("two handles of one session: got %d states and %d handles, want 1 and 2", got.States, got.Handles)
	}
	h.Release()
	if got := s.Stats(); got.States != 1 {
		t.Error("the state was removed before its last handle was released")
	}
	if err := fork.Err(); err != nil {
		t.Errorf("a fork of a handle in use: got Err %v, want nil", err)
	}
	f.Release()
	if err := fork.Err(); !errors.Is(err, fibersession.ErrReleased) {
		t.Errorf("a fork of a released handle: got Err %v, want ErrReleased", err)
	}
	if got := s.Stats(); got.States != 0 || got.Handles != 0 {
		t.Errorf("after the last release: got %d states and %d handles, want none", got.States, got.Handles)
	}
}
