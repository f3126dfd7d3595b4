package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestA4_ReloadAndSave(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here := newStore(t, fibersession.Config{Storage: st})
	there := newStore(t, fibersession.Config{Storage: st}) // another node

	h := stored(t, here, map[string]any{"n": 1})
	other := again(t, there, h.ID())
	other.Set("n", 2)
	must(t, other.Save(ctx))

	if got := h.Get("n"); got != 1 {
		t.Fatalf("before Reload n is %v", got)
	}
	h.Set("draft", true)
	must(t, h.Reload(ctx))
	if got := fibersession.Value[int](h, "n"); got != 2 {
		t.Errorf("after Reload n is %d, want 2", got)
	}
	if h.Get("draft") != nil || h.Changed() {
		t.Error("Reload kept an unsaved change")
	}
}

// Every variable that holds the session sees what any of them saved or reloaded.
func TestB7_NoStaleHandle(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	a := stored(t, s, map[string]any{"n": 1})
	b, c := again(t, s, a.ID()), a.Fork()
	defer c.Release()

	a.Set("n", 2)
	if b.Get("n") != 1 || a.Get("n") != 2 {
		t.Error("an unsaved change is its handle's own")
	}
	must(t, a.Save(ctx))
	if b.Get("n") != 2 || c.Get("n") != 2 {
		t.Errorf("after Save the others see %v and %v, want 2", b.Get("n"), c.Get("n"))
	}
	if a.Revision() != b.Revision() || a.Revision() < 2 {
		t.Errorf("revisions are %d and %d", a.Revision(), b.Revision())
	}
}

func TestReload_DecodesOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, map[string]any{"n": 1})
	before := s.Stats()
	for range 10 {
		must(t, h.Reload(ctx))
	}
	after := s.Stats()
	if loads := after.Loads - before.Loads; loads != 10 {
		t.Errorf("10 reloads made %d loads", loads)
	}
	if decodes := after.Decodes - before.Decodes; decodes != 0 {
		t.Errorf("10 reloads of one revision decoded %d times", decodes)
	}
}

// Reloads that wait for one another share a load, which began after each was asked for.
func TestReload_IsSharedByThoseWhoWait(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gated{Storage: memory.New(), load: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := stored(t, s, map[string]any{"n": 1})
	before := s.Stats().Loads

	var wg sync.WaitGroup
	st.on.Store(true)
	first := st.waiting()
	wg.Go(func() { must(t, h.Reload(ctx)) })
	<-first // is in the store
	for range 20 {
		wg.Go(func() { must(t, h.Reload(ctx)) })
	}
	eventually(t, func() bool { return fibersession.Queued(h) == 20 })
	st.on.Store(false)
	close(gate)
	wg.Wait()
	if loads := s.Stats().Loads - before; loads != 2 {
		t.Errorf("1 and then 20 reloads made %d loads, want 2", loads)
	}
}

func TestHandle_AfterRelease(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, map[string]any{"n": 1})
	h.Release()
	h.Release() // a second time changes nothing

	h.Set("n", 2)
	if h.Get("n") != nil || h.ID() != "" || h.Keys() != nil || h.Fresh() || h.Changed() || h.Revision() != 0 || !h.Deadline().IsZero() || h.Pseudonym("x") != "" {
		t.Error("a released handle still tells of its session")
	}
	for name, err := range map[string]error{
		"Err":        h.Err(),
		"Save":       h.Save(ctx),
		"Reload":     h.Reload(ctx),
		"Touch":      h.Touch(ctx),
		"Regenerate": h.Regenerate(ctx),
		"Destroy":    h.Destroy(ctx),
		"Update":     h.Update(ctx, func(*fibersession.Tx) error { t.Error("fn ran"); return nil }),
		"Fork":       h.Fork().Err(),
	} {
		if !errors.Is(err, fibersession.ErrReleased) {
			t.Errorf("%s: %v, want ErrReleased", name, err)
		}
	}
	if _, err := h.Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrReleased) {
		t.Errorf("Incr: %v, want ErrReleased", err)
	}
}

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
	h := again(t, s, known.session())
	f := again(t, s, known.session())
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

func TestGetByID(t *testing.T) {
	t.Parallel()
	spy := faulty.New(memory.New(), nil)
	defer func() { _ = spy.Close() }()
	s := newStore(t, fibersession.Config{Storage: spy})
	h := stored(t, s, map[string]any{"user": "eve"})

	if got := fibersession.Value[string](again(t, s, h.ID()), "user"); got != "eve" {
		t.Errorf("user is %q", got)
	}
	unknown := h.ID()[:42] + "_"
	if h.ID() == unknown {
		unknown = h.ID()[:42] + "-"
	}
	if _, err := s.GetByID(ctx, unknown); !errors.Is(err, fibersession.ErrNotFound) {
		t.Errorf("unknown ID: %v, want ErrNotFound", err)
	}
	before := spy.Calls()
	for _, id := range badIDs(h.ID()) {
		if _, err := s.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("bad ID: %v, want ErrNotFound", err)
		}
		if id != "" {
			must(t, s.Delete(id))
		}
	}
	if calls := spy.Calls() - before; calls != 0 {
		t.Errorf("bad IDs reached the store %d times", calls)
	}
}

func TestStore_Delete(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, nil)
	id := h.ID()
	must(t, s.Delete(id))
	must(t, s.Delete(id))
	if err := h.Save(ctx); !errors.Is(h.Err(), fibersession.ErrDestroyed) || err == nil {
		t.Errorf("after Delete the handle says %v", h.Err())
	}
	if err := s.Delete(""); !errors.Is(err, fibersession.ErrEmptySessionID) {
		t.Errorf("Delete of nothing: %v", err)
	}
}

// Reset ends this store's sessions and touches nothing else in the storage.
func TestN15_ResetClearsItsPrefixAlone(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	shop := newStore(t, fibersession.Config{Storage: st, Prefix: "shop:"})
	blog := newStore(t, fibersession.Config{Storage: st, Prefix: "blog:"})
	must(t, st.Set("shop:other", []byte("x"), 0))
	a, b := stored(t, shop, nil), stored(t, blog, nil)

	must(t, shop.Reset())
	if err := a.Reload(ctx); !errors.Is(err, fibersession.ErrSessionGone) {
		t.Errorf("after Reset: %v, want ErrSessionGone", err)
	}
	must(t, b.Reload(ctx))
	if v, _ := st.Get("shop:other"); string(v) != "x" {
		t.Error("Reset removed a key that is no session")
	}
}

// What one request holds, another must not be able to change (run with -race).
func TestGet_GivesCopies(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	type point struct{ X, Y int }
	type shape struct{ Points []*point }
	s.RegisterType(shape{})
	given := map[string]any{
		"list":  []string{"a", "b"},
		"map":   map[string]any{"in": []any{1, map[string]int{"x": 1}}},
		"bytes": []byte("abc"),
		"shape": shape{Points: []*point{{1, 2}}},
	}
	h := stored(t, s, given)
	given["list"].([]string)[0] = "changed after Set"

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f := h.Fork()
			defer f.Release()
			for range 50 {
				fibersession.Value[[]string](f, "list")[0] += "!"
				fibersession.Value[map[string]any](f, "map")["in"].([]any)[1].(map[string]int)["x"]++
				fibersession.Value[[]byte](f, "bytes")[0]++
				fibersession.Value[shape](f, "shape").Points[0].X++
			}
		})
	}
	wg.Wait()
	if got := fibersession.Value[[]string](h, "list"); got[0] != "a" {
		t.Errorf("the shared list is %q", got)
	}
	if got := fibersession.Value[map[string]any](h, "map")["in"].([]any)[1].(map[string]int)["x"]; got != 1 {
		t.Errorf("the shared map has %d", got)
	}
	if got := string(fibersession.Value[[]byte](h, "bytes")); got != "abc" {
		t.Errorf("the shared bytes are %q", got)
	}
	if got := fibersession.Value[shape](h, "shape").Points[0].X; got != 1 {
		t.Errorf("the shared struct has %d", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, map[string]any{"b": 1, "a": 1, "c": 1})
	h.Set("d", 1)
	h.Set("a", 2)
	h.Delete("b")
	h.Delete("never")
	if got, want := h.Keys(), []string{"a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("Keys: %q, want %q", got, want)
	}
	must(t, h.Save(ctx))
	if got, want := h.Keys(), []string{"a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("saved Keys: %q, want %q", got, want)
	}
}

// A change made while an older one is being saved is not lost with it.
func TestSave_KeepsWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gated{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := stored(t, s, map[string]any{"n": 1})
	h.Set("n", 2)
	st.on.Store(true)
	inside := st.waiting()
	saved := make(chan error, 1)
	go func() { saved <- h.Save(ctx) }() // the receive below waits for it
	<-inside
	h.Set("n", 3)
	st.on.Store(false)
	close(gate)
	must(t, <-saved)
	if h.Get("n") != 3 || !h.Changed() {
		t.Errorf("n is %v, changed %v: the later change is gone", h.Get("n"), h.Changed())
	}
	must(t, h.Save(ctx))
	if got := h.Fork(); got.Get("n") != 3 {
		t.Error("the later change was not stored")
	} else {
		got.Release()
	}
}

func TestPseudonym(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := stored(t, here, nil)
	p := h.Pseudonym("room")
	if len(p) != 22 || p == h.Pseudonym("log") || p == stored(t, here, nil).Pseudonym("room") {
		t.Errorf("a pseudonym of %d characters, or the same for different things", len(p))
	}
	if again(t, there, h.ID()).Pseudonym("room") != p {
		t.Error("another node has another pseudonym")
	}
	must(t, h.Regenerate(ctx))
	if h.Pseudonym("room") != p {
		t.Error("Regenerate changed the pseudonym")
	}
	if again(t, there, h.ID()).Pseudonym("room") != p {
		t.Error("after Regenerate another node has another pseudonym")
	}
}

// A waiting call ends with its context, and what it waited to do does not happen.
func TestSave_GivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gated{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
	h := stored(t, s, nil)
	st.on.Store(true)
	inside := st.waiting()
	first, second := h.Fork(), h.Fork()
	defer first.Release()
	defer second.Release()
	first.Set("a", 1)
	second.Set("b", 1)
	saved := make(chan error, 1)
	go func() { saved <- first.Save(ctx) }() // the receive below waits for it
	<-inside

	short, cancel := context.WithCancel(ctx)
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- second.Save(short) }() // the receive below waits for it
	eventually(t, func() bool { return fibersession.Queued(h) == 1 })
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || !errors.Is(err, fibersession.ErrUnavailable) {
		t.Errorf("a canceled Save: %v", err)
	}
	st.on.Store(false)
	close(gate)
	must(t, <-saved)
	must(t, h.Reload(ctx))
	if h.Get("a") != 1 || h.Get("b") != nil {
		t.Errorf("stored are a=%v, b=%v; want 1 and nothing", h.Get("a"), h.Get("b"))
	}
	if err := second.Save(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Save with an ended context: %v", err)
	}
	must(t, second.Save(ctx)) // the change was kept
}
