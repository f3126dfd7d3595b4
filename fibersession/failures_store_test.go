package fibersession_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// D8: each storage call in a session's life fails once. The caller gets an error of this
// package that wraps the cause, a second try succeeds, and the session continues.
func TestD8_EveryCallMayFail(t *testing.T) {
	t.Parallel()
	steps := []struct {
		name string
		do   func(h *fibersession.Handle) error
	}{
		{"save", func(h *fibersession.Handle) error { h.Set("a", 1); return h.Save(ctx) }},
		{"reload", func(h *fibersession.Handle) error { return h.Reload(ctx) }},
		{"incr", func(h *fibersession.Handle) error { _, err := h.Incr(ctx, "n", 1); return err }},
		{"update", func(h *fibersession.Handle) error { return h.Update(ctx, increment) }},
		{"touch", func(h *fibersession.Handle) error { return h.Touch(ctx) }},
		{"renew", func(h *fibersession.Handle) error { return h.Regenerate(ctx) }},
		{"save again", func(h *fibersession.Handle) error { h.Set("b", 1); return h.Save(ctx) }},
		{"destroy", func(h *fibersession.Handle) error { return h.Destroy(ctx) }},
	}
	faults := map[string]faulty.Fault{
		"the call fails":     {Fail: errBroken},
		"the answer is lost": {Lose: errBroken},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				st := faulty.New(memory.New(), faulty.OnCall(n, fault))
				s := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{TouchInterval: 1}})
				h := newSession(t, s)
				failures := 0
				for _, step := range steps {
					err := step.do(h)
					if err == nil {
						continue
					}
					failures++
					switch {
					case !errors.Is(err, fibersession.ErrUnavailable) && !errors.Is(err, fibersession.ErrUnknownOutcome):
						t.Fatalf("call %d, %s: got %v, want ErrUnavailable or ErrUnknownOutcome", n, step.name, err)
					case !errors.Is(err, errBroken):
						t.Fatalf("call %d, %s: got %v, want it to wrap the storage's error", n, step.name, err)
					case fault.Fail != nil && errors.Is(err, fibersession.ErrUnknownOutcome):
						t.Fatalf("call %d, %s: got %v for a call that certainly failed, want ErrUnavailable", n, step.name, err)
					}
					// A second try succeeds.
					if err := step.do(h); err != nil {
						t.Fatalf("call %d, %s, second try: got %v, want success", n, step.name, err)
					}
				}
				if !errors.Is(h.Err(), fibersession.ErrDestroyed) {
					t.Fatalf("call %d: at the end got Err %v, want ErrDestroyed", n, h.Err())
				}
				if failures > 1 {
					t.Fatalf("call %d: %d steps failed, want 1 at most", n, failures)
				}
				done := st.Calls() < n
				h.Release()
				_ = st.Close()
				if done {
					if n < 10 {
						t.Fatalf("got only %d calls in a session's whole life, want at least 10", n)
					}
					return
				}
			}
		})
	}
}

// The same with requests: the request whose storage call fails gets a 503, and the next one
// succeeds.
func TestD8_RequestsWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 4; n++ {
		t.Run(fmt.Sprint("call ", n), func(t *testing.T) {
			t.Parallel()
			st := faulty.New(memory.New(), nil)
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: st})
			app := newApp(s, map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error {
					sess := fibersession.FromContext(c)
					sess.Set("n", valueOf[int](sess, "n")+1)
					return c.SendString("secret of a session that could not be loaded or saved")
				},
				"/none": func(c *fiber.Ctx) error { return c.SendString("hello") },
			})
			b := newBrowser(t, app)
			b.get("/")
			before := st.Calls()
			st.SetPlan(faulty.OnCall(before+n, faulty.Fault{Fail: errBroken}))
			failed := 0
			for range 4 {
				if res := b.get("/none"); res.status != 200 || res.body != "hello" {
					t.Errorf("a request that does not use the session: got status %d %q, want 200 \"hello\"", res.status, res.body)
				}
				switch res := b.get("/"); {
				case res.status == fiber.StatusServiceUnavailable:
					failed++
					if res.body != "Service Unavailable" || len(res.set) != 0 {
						t.Errorf("the 503 has the body %q and %d cookies, want \"Service Unavailable\" and none", res.body, len(res.set))
					}
				case res.status != 200:
					t.Errorf("got status %d, want 200 or 503", res.status)
				}
			}
			if failed != 1 {
				t.Errorf("got %d failed requests, want 1", failed)
			}
			must(t, handleOf(t, s, b.session()).Reload(ctx))
			if got := handleOf(t, s, b.session()).Get("n"); got != 4 {
				t.Errorf("got n = %v, want 4", got)
			}
		})
	}
}

// If the store hangs, no call takes longer than Timeouts.Storage, however many are waiting.
func TestStore_Hangs(t *testing.T) {
	t.Parallel()
	for name, method := range map[string]string{"reading": "Load", "writing": "CompareAndSwap"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := faulty.New(memory.New(), nil)
				s := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: 700 * time.Millisecond}})
				h := storedSession(t, s, map[string]any{"n": 0})
				st.SetPlan(faulty.OnMethod(method, faulty.Fault{Hang: true}))
				start := time.Now()
				var wg sync.WaitGroup
				for w := range 20 {
					wg.Go(func() {
						var err error
						if method == "Load" {
							err = h.Reload(ctx)
						} else {
							_, err = h.Incr(ctx, "n", w)
						}
						if !errors.Is(err, fibersession.ErrUnavailable) && !errors.Is(err, fibersession.ErrUnknownOutcome) {
							t.Errorf("got %v, want ErrUnavailable or ErrUnknownOutcome", err)
						}
						if d := time.Since(start); d > 700*time.Millisecond {
							t.Errorf("the call took %v, want at most 700ms", d)
						}
					})
				}
				wg.Wait()
				st.SetPlan(nil)
				must(t, h.Reload(ctx))
				h.Release()
				_ = st.Close()
			})
		})
	}
}

// If the storage panics, all waiting calls get an error.
func TestStore_Panics(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"n": 0})
	st.SetPlan(func(faulty.Call) faulty.Fault { panic("driver") })
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := h.Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrUnknownOutcome) {
				t.Errorf("got %v, want ErrUnknownOutcome", err)
			}
		})
	}
	wg.Wait()
	st.SetPlan(nil)
	must(t, h.Reload(ctx))
}

// A write whose answer is lost returns ErrUnknownOutcome. Reload shows whether it happened.
func TestR6_UnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{
		"the write happened":                   {Lose: errBroken},
		"the write did not happen":             {Hang: true},
		"the write happened after the timeout": {Hang: true, Lose: errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := faulty.New(memory.New(), nil)
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: 20 * time.Millisecond}})
			h := storedSession(t, s, map[string]any{"n": 1})
			st.SetPlan(faulty.OnMethod("CompareAndSwap", fault))
			h.Set("n", 2)
			if err := h.Save(ctx); !errors.Is(err, fibersession.ErrUnknownOutcome) || !errors.Is(err, storage.ErrUnknownOutcome) {
				t.Fatalf("got %v, want ErrUnknownOutcome", err)
			}
			if !h.Changed() {
				t.Error("the unsaved change was dropped although it may not be stored")
			}
			st.SetPlan(nil)
			other := h.Fork()
			defer other.Release()
			must(t, other.Reload(ctx))
			if want := map[bool]int{true: 2, false: 1}[fault.Lose != nil]; other.Get("n") != want {
				t.Errorf("got n = %v, want %d", other.Get("n"), want)
			}
			must(t, h.Save(ctx))
			if other.Get("n") != 2 {
				t.Errorf("after a second Save: got n = %v, want 2", other.Get("n"))
			}
		})
	}
}

// If the first save of a new session has an unknown outcome, the next save continues in the
// session that it stored. If it stored none, the session ends: see TestN12_UnconfirmedCreation.
func TestR6_UnknownOutcomeOfTheFirstSave(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{"it happened": {Lose: errBroken}, "it did not": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := faulty.New(memory.New(), nil)
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: 20 * time.Millisecond}})
			h := newSession(t, s)
			st.SetPlan(faulty.OnMethod("CompareAndSwap", fault))
			h.Set("n", 1)
			if err := h.Save(ctx); !errors.Is(err, fibersession.ErrUnknownOutcome) {
				t.Fatalf("got %v, want ErrUnknownOutcome", err)
			}
			st.SetPlan(nil)
			h.Set("m", 1)
			err := h.Save(ctx)
			if fault.Hang {
				if !errors.Is(err, fibersession.ErrDestroyed) {
					t.Errorf("got %v, want ErrDestroyed", err)
				}
				return
			}
			must(t, err)
			if got := handleOf(t, s, h.ID()); got.Get("n") != 1 || got.Get("m") != 1 {
				t.Errorf("got n = %v and m = %v, want 1 and 1", got.Get("n"), got.Get("m"))
			}
		})
	}
}

// If Regenerate fails, the old ID stays valid. If its outcome is unknown, the session lives
// under the old or the new ID. A second try gives it a new ID either way.
func TestRegenerate_WhenTheStoreFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{"fails": {Fail: errBroken}, "loses an answer": {Lose: errBroken}} {
		for n := 1; n <= 2; n++ {
			t.Run(fmt.Sprint("call ", n, " ", name), func(t *testing.T) {
				t.Parallel()
				st := faulty.New(memory.New(), nil)
				defer func() { _ = st.Close() }()
				s := newStore(t, fibersession.Config{Storage: st})
				h := storedSession(t, s, map[string]any{"user": "alice"})
				id := h.ID()
				st.SetPlan(faulty.OnCall(st.Calls()+n, fault))
				if err := h.Regenerate(ctx); !errors.Is(err, errBroken) {
					t.Fatalf("got %v, want an error that wraps the storage's", err)
				}
				must(t, h.Reload(ctx))
				if h.Get("user") != "alice" {
					t.Errorf("got user %v, want alice", h.Get("user"))
				}
				if fault.Fail != nil && h.ID() != id {
					t.Error("the ID changed although Regenerate failed")
				}
				must(t, h.Regenerate(ctx))
				if h.ID() == id || h.ID() == "" {
					t.Errorf("second try: got the ID of %d characters, equal to the old one: %v; want a new ID", len(h.ID()), h.ID() == id)
				}
				if _, err := s.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
					t.Errorf("the old ID: got %v, want ErrNotFound", err)
				}
				if got := handleOf(t, s, h.ID()).Get("user"); got != "alice" {
					t.Errorf("the new ID: got user %v, want alice", got)
				}
			})
		}
	}
}
