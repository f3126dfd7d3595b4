package fibersession_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestN12_LogoutSticks(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	late := map[string]func(h *fibersession.Handle) error{
		"Save":       func(h *fibersession.Handle) error { h.Set("user", "alice"); return h.Save(ctx) },
		"Update":     func(h *fibersession.Handle) error { return h.Update(ctx, increment) },
		"Incr":       func(h *fibersession.Handle) error { _, err := h.Incr(ctx, "n", 1); return err },
		"Reload":     func(h *fibersession.Handle) error { return h.Reload(ctx) },
		"Regenerate": func(h *fibersession.Handle) error { return h.Regenerate(ctx) },
	}
	for what, do := range late {
		for where, store := range map[string]*fibersession.Store{"this node": here, "another node": there} {
			t.Run(what+" on "+where, func(t *testing.T) {
				h := storedSession(t, here, map[string]any{"user": "alice", "n": 1})
				id, other := h.ID(), handleOf(t, store, h.ID())
				must(t, h.Destroy(ctx))
				for range 2 { // the second call gets the same error
					if err := do(other); !errors.Is(err, fibersession.ErrSessionGone) || !errors.Is(err, fibersession.ErrDestroyed) {
						t.Errorf("got %v, want ErrSessionGone and ErrDestroyed", err)
					}
				}
				if other.Get("user") != nil || !errors.Is(other.Err(), fibersession.ErrSessionGone) {
					t.Errorf("got user %v and Err %v, want none and ErrSessionGone", other.Get("user"), other.Err())
				}
				if sessionIsStored(t, st, here, id) {
					t.Error("the session is stored again")
				}
				must(t, h.Destroy(ctx)) // a second Destroy is no error
			})
		}
	}
}

// A slow request that only reads began before a logout. It must not bring the session back,
// at whichever of its storage calls the logout happens (CVE-2025-46336).
func TestD4_ReadOnlyRequestAcrossLogout(t *testing.T) {
	t.Parallel()
	for delayed := range 4 {
		t.Run(fmt.Sprint("before call ", delayed+1), func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			slow := faulty.New(st, nil)
			defer func() { _ = slow.Close() }()
			// Every use touches the session, so that reading writes, too.
			cfg := fibersession.Config{Timeouts: fibersession.Timeouts{TouchInterval: 1}}
			cfg.Storage = st
			fast := newStore(t, cfg)
			var calls atomic.Int64
			blocked, release := make(chan struct{}), make(chan struct{})
			slow.SetPlan(func(faulty.Call) faulty.Fault {
				if calls.Add(1) == int64(delayed)+1 {
					close(blocked)
					<-release
				}
				return faulty.Fault{}
			})
			cfg.Storage = slow
			s := newStore(t, cfg)
			app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
				return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
			}})
			h := storedSession(t, fast, map[string]any{"user": "alice"})
			id := h.ID()
			b := newBrowser(t, app)
			b.cookies["__Host-session"] = id
			answer := make(chan response, 1)
			go func() { answer <- b.get("/") }() // the receive below waits for it
			select {
			case <-blocked:
				must(t, h.Destroy(ctx))
				close(release)
			case res := <-answer: // the request made fewer calls
				answer <- res
				must(t, h.Destroy(ctx))
			}
			if res := <-answer; res.status != 200 {
				t.Errorf("the request that only read: got %d %s, want 200", res.status, res.body)
			}
			made := calls.Load()
			slow.SetPlan(nil)
			if sessionIsStored(t, st, s, id) {
				t.Error("the session is stored again")
			}
			if res := b.get("/"); res.body == "alice" {
				t.Error("the next request is logged in")
			}
			if delayed < 2 && made < int64(delayed)+1 {
				t.Errorf("the request made %d calls, too few for this case", made)
			}
		})
	}
}

// A slow request that changes the session and ends after a logout gets a 401.
func TestD4_WritingRequestAcrossLogout(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	reading, loggedOut := make(chan struct{}), make(chan struct{})
	app := newApp(s, map[string]fiber.Handler{
		"/slow": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("seen", true)
			close(reading)
			<-loggedOut
			return c.SendString("done")
		},
		"/logout": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
	})
	h := storedSession(t, s, map[string]any{"user": "alice"})
	id := h.ID()
	slow, other := newBrowser(t, app), newBrowser(t, app)
	slow.cookies["__Host-session"], other.cookies["__Host-session"] = id, id
	answer := make(chan response, 1)
	go func() { answer <- slow.get("/slow") }() // the receive below waits for it
	<-reading
	if res := other.get("/logout"); res.status != 200 || other.session() != "" {
		t.Errorf("logout: got status %d, cookie still set: %v; want 200 and no cookie", res.status, other.session() != "")
	}
	close(loggedOut)
	if res := <-answer; res.status != fiber.StatusUnauthorized || len(res.set) != 0 {
		t.Errorf("the slow request: got status %d with %d cookies, want 401 with none", res.status, len(res.set))
	}
	if sessionIsStored(t, st, s, id) {
		t.Error("the session is stored again")
	}
}

// Many writers on two nodes race with a logout. After it nothing is stored and no save
// succeeds.
func TestN12_NothingOutlivesDestroy(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	for round := range 150 {
		h := storedSession(t, here, map[string]any{"n": 0})
		id := h.ID()
		var destroyed atomic.Bool
		var wg sync.WaitGroup
		for w := range 4 {
			mine := handleOf(t, []*fibersession.Store{here, there}[w%2], id)
			wg.Go(func() {
				for i := 0; ; i++ {
					after := w%2 == 0 && destroyed.Load()
					var err error
					switch (w + i) % 3 {
					case 0:
						_, err = mine.Incr(ctx, "n", 1)
					case 1:
						mine.Set("k", i)
						err = mine.Save(ctx)
					case 2:
						err = mine.Update(ctx, increment)
					}
					if err == nil && after {
						t.Errorf("round %d: a save on this node succeeded after Destroy had returned", round)
					}
					if errors.Is(err, fibersession.ErrSessionGone) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range rand.IntN(20) {
			runtime.Gosched()
		}
		must(t, h.Destroy(ctx))
		destroyed.Store(true)
		wg.Wait()
		if sessionIsStored(t, st, here, id) {
			t.Fatalf("round %d: the session is stored again", round)
		}
		h.Release()
	}
}

func TestDestroy_ThenANewSessionInTheSameRequest(t *testing.T) {
	t.Parallel()
	for name, withHandler := range map[string]bool{"with Handler": true, "without Handler": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{})
			app := fiber.New()
			if withHandler {
				app.Use(s.Handler())
			}
			app.Get("/", func(c *fiber.Ctx) error {
				sess, err := s.Get(c)
				if err != nil {
					return err
				}
				sess.Set("user", "alice")
				return sess.Save()
			})
			app.Get("/switch", func(c *fiber.Ctx) error {
				old, err := s.Get(c)
				if err != nil {
					return err
				}
				if err := old.Destroy(); err != nil {
					return err
				}
				if err := old.Save(); err != nil {
					t.Errorf("Save after Destroy: got %v, want none, because there is nothing to store", err)
				}
				sess, err := s.Get(c)
				if err != nil {
					return err
				}
				if sess.Get("user") != nil || !sess.Fresh() {
					t.Errorf("the new session: got user %v and Fresh %v, want none and true", sess.Get("user"), sess.Fresh())
				}
				sess.Set("user", "bob")
				if withHandler {
					return nil
				}
				return sess.Save()
			})
			b := newBrowser(t, app)
			b.get("/")
			first := b.session()
			if res := b.get("/switch"); res.status != 200 || len(res.set) != 1 {
				t.Fatalf("got %d %s with %d cookies, want 200 with 1", res.status, res.body, len(res.set))
			}
			if b.session() == first || b.session() == "" {
				t.Error("got no new ID")
			}
			if got := handleOf(t, s, b.session()).Get("user"); got != "bob" {
				t.Errorf("the new session: got user %v, want bob", got)
			}
		})
	}
}

func TestReset_StartsANewSession(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	app := newApp(s, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("a", 1); return nil },
		"/reset": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("unsaved", 1)
			if err := sess.Reset(); err != nil {
				return err
			}
			if len(sess.Keys()) != 0 || !sess.Fresh() || sess.Changed() {
				t.Errorf("after Reset: got the keys %q, Fresh %v and Changed %v; want none, true and false", sess.Keys(), sess.Fresh(), sess.Changed())
			}
			sess.Set("b", 1)
			return nil
		},
	})
	b := newBrowser(t, app)
	b.get("/")
	old := b.session()
	socket := handleOf(t, s, old)
	if res := b.get("/reset"); res.status != 200 || len(res.set) != 1 || b.session() == old {
		t.Errorf("got %d %s with %d cookies, want 200 with a new ID", res.status, res.body, len(res.set))
	}
	if !errors.Is(socket.Err(), fibersession.ErrDestroyed) || sessionIsStored(t, st, s, old) {
		t.Errorf("the old session: got Err %v, want ErrDestroyed and nothing stored", socket.Err())
	}
	if got := handleOf(t, s, b.session()).Keys(); len(got) != 1 || got[0] != "b" {
		t.Errorf("the new session: got the keys %q, want b", got)
	}
}
