package fibersession_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// provoked are the kinds that TestS6_Notices provokes. Each case causes its kind twice.
var provoked = map[string]func(t *testing.T, s *fibersession.Store, st *faulty.Storage){
	"request_refused": func(t *testing.T, s *fibersession.Store, st *faulty.Storage) { failRequests(t, s, st) },
	"storage_failed":  func(t *testing.T, s *fibersession.Store, st *faulty.Storage) { failRequests(t, s, st) },
	"request_session_error": func(t *testing.T, s *fibersession.Store, _ *faulty.Storage) {
		app := newApp(s, map[string]fiber.Handler{"/": func(*fiber.Ctx) error { return fmt.Errorf("account: %w", fibersession.ErrExpired) }})
		for range 2 {
			if res := newBrowser(t, app).get("/"); res.status != 401 {
				t.Errorf("got status %d, want 401", res.status)
			}
		}
	},
	"session_used_too_late": func(t *testing.T, s *fibersession.Store, _ *faulty.Storage) {
		var sess *fibersession.Session
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error { sess = fibersession.FromContext(c); return nil }})
		newBrowser(t, app).get("/")
		h := storedSession(t, s, nil)
		h.Release()
		for range 2 {
			sess.Set("lost", 1)
			h.Set("lost", 1)
			if sess.Get("lost") != nil || h.Get("lost") != nil || len(sess.Keys())+len(h.Keys()) != 0 {
				t.Error("a value was kept")
			}
			sess.Delete("lost")
			h.Delete("lost")
			sess.SetExpiry(1)
			sess.Remember(true)
		}
		if got := s.Stats().Notices["session_used_too_late"]; got != 20 {
			t.Errorf("counted %d times, want 20", got)
		}
	},
	"session_value_hidden": func(t *testing.T, s *fibersession.Store, _ *faulty.Storage) {
		s.Fiber()
		h := storedSession(t, s, map[string]any{"list": []map[int]string{{1: "a"}}})
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error { fiberSession(t, s, c); return nil }})
		b := newBrowser(t, app)
		b.cookies["__Host-session"] = h.ID()
		b.get("/")
		b.get("/")
	},
}

// failRequests makes requests whose session cannot be loaded.
func failRequests(t *testing.T, s *fibersession.Store, st *faulty.Storage) {
	t.Helper()
	b := newBrowser(t, userApp(s))
	b.get("/in")
	st.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
	for range 2 {
		if res := b.get("/"); res.status != 503 {
			t.Errorf("got status %d, want 503", res.status)
		}
	}
}

func TestS6_Notices(t *testing.T) {
	t.Parallel()
	kinds := noticetest.Declared(t, ".")
	for name, provoke := range provoked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := faulty.New(memory.New(), nil)
			t.Cleanup(func() { _ = st.Close() })
			var log noticetest.Log
			s := newStore(t, fibersession.Config{Storage: st, Logger: log.Logger(), Freshness: fibersession.Strict})
			id := storedSession(t, s, nil).ID()
			provoke(t, s, st)
			log.Check(t, kinds[name], s.Stats().Notices, id)
		})
	}
}

// The log names the line of the app that uses a session too late.
func TestS6_LateUseIsNamed(t *testing.T) {
	t.Parallel()
	var log noticetest.Log
	s := newStore(t, fibersession.Config{Logger: log.Logger()})
	h := storedSession(t, s, nil)
	h.Release()
	h.Set("lost", 1)
	if lines := log.Lines("session_used_too_late"); len(lines) != 1 || !log.Has("notices_test.go:") || !log.Has("Release was called") {
		t.Errorf("the log does not name the line and the reason:\n%s", log.String())
	}
}

func TestS6_EveryNoticeIsProvoked(t *testing.T) {
	t.Parallel()
	var names []string
	for name := range provoked {
		names = append(names, name)
	}
	noticetest.Asserted(t, ".", names...)
}
