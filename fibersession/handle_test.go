package fibersession_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestA4_ReloadAndSave(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here := newStore(t, fibersession.Config{Storage: st})
	there := newStore(t, fibersession.Config{Storage: st}) // stands for another node

	h := storedSession(t, here, map[string]any{"n": 1})
	other := handleOf(t, there, h.ID())
	other.Set("n", 2)
	must(t, other.Save(ctx))

	if got := h.Get("n"); got != 1 {
		t.Fatalf("before Reload: got n = %v, want 1", got)
	}
	h.Set("draft", true)
	must(t, h.Reload(ctx))
	if got := valueOf[int](h, "n"); got != 2 {
		t.Errorf("after Reload: got n = %d, want 2", got)
	}
	if h.Get("draft") != nil || h.Changed() {
		t.Error("Reload kept an unsaved change, want it discarded")
	}
}

// All handles of a session see what any of them saved or reloaded.
func TestB7_NoStaleHandle(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	a := storedSession(t, s, map[string]any{"n": 1})
	b, c := handleOf(t, s, a.ID()), a.Fork()
	defer c.Release()

	a.Set("n", 2)
	if b.Get("n") != 1 || a.Get("n") != 2 {
		t.Errorf("before Save: got n = %v in the other handle and %v in its own, want 1 and 2", b.Get("n"), a.Get("n"))
	}
	must(t, a.Save(ctx))
	if b.Get("n") != 2 || c.Get("n") != 2 {
		t.Errorf("after Save the other handles have n = %v and %v, want 2", b.Get("n"), c.Get("n"))
	}
	if a.Revision() != b.Revision() || a.Revision() < 2 {
		t.Errorf("got the revisions %d and %d, want them equal and at least 2", a.Revision(), b.Revision())
	}
}

func TestReload_DecodesOnlyNewRevisions(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"n": 1})
	before := s.Stats()
	for range 10 {
		must(t, h.Reload(ctx))
	}
	after := s.Stats()
	if loads := after.Loads - before.Loads; loads != 10 {
		t.Errorf("10 reloads made %d loads, want 10", loads)
	}
	if decodes := after.Decodes - before.Decodes; decodes != 0 {
		t.Errorf("10 reloads of one revision made %d decodes, want none", decodes)
	}
}

func TestHandle_AfterRelease(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"n": 1})
	h.Release()
	h.Release() // a second Release does nothing

	h.Set("n", 2)
	if h.Get("n") != nil || h.ID() != "" || h.Keys() != nil || h.Fresh() || h.Changed() || h.Revision() != 0 || !h.Deadline().IsZero() || h.Pseudonym("x") != "" {
		t.Error("a released handle still returns data of its session")
	}
	for name, err := range map[string]error{
		"Err":        h.Err(),
		"Save":       h.Save(ctx),
		"Reload":     h.Reload(ctx),
		"Touch":      h.Touch(ctx),
		"Regenerate": h.Regenerate(ctx),
		"Destroy":    h.Destroy(ctx),
		"Update":     h.Update(ctx, func(*fibersession.Tx) error { t.Error("Update called its function on a released handle"); return nil }),
		"Fork":       h.Fork().Err(),
	} {
		if !errors.Is(err, fibersession.ErrReleased) {
			t.Errorf("%s: got %v, want ErrReleased", name, err)
		}
	}
	if _, err := h.Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrReleased) {
		t.Errorf("Incr: got %v, want ErrReleased", err)
	}
}

// A detached handle outlives the handle, or the fork, that it was made from.
func TestHandle_Detach(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	for _, name := range []string{"of a handle", "of a fork", "of a fork of a fork"} {
		h := storedSession(t, s, map[string]any{"n": 1})
		id := h.ID()
		from := h
		for range strings.Count(name, "fork") {
			from = from.Fork()
		}
		from.Set("unsaved", 1)
		job := from.Detach()
		h.Retire("its socket has disconnected")
		if err := from.Save(ctx); !errors.Is(err, fibersession.ErrReleased) || !strings.Contains(err.Error(), "its socket has disconnected") {
			t.Errorf("%s: Save of the retired handle: got %v, want ErrReleased with the reason", name, err)
		}
		if err := from.Detach().Err(); !errors.Is(err, fibersession.ErrReleased) {
			t.Errorf("%s: Detach of the retired handle: got Err %v, want ErrReleased", name, err)
		}
		if job.Get("unsaved") != nil {
			t.Errorf("%s: the detached handle has the unsaved changes", name)
		}
		job.Set("n", 2)
		must(t, job.Save(ctx))
		if got := handleOf(t, s, id).Get("n"); got != 2 {
			t.Errorf("%s: got n = %v, want 2", name, got)
		}
		job.Release()
		if err := job.Err(); !errors.Is(err, fibersession.ErrReleased) || !strings.Contains(err.Error(), "Release was called") {
			t.Errorf("%s: after Release: got Err %v, want ErrReleased with the reason", name, err)
		}
	}
}

// Get returns copies: a change of a value by one request is not visible to another. (Run
// with -race.)
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
	h := storedSession(t, s, given)
	given["list"].([]string)[0] = "changed after Set"

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f := h.Fork()
			defer f.Release()
			for range 50 {
				valueOf[[]string](f, "list")[0] += "!"
				valueOf[map[string]any](f, "map")["in"].([]any)[1].(map[string]int)["x"]++
				valueOf[[]byte](f, "bytes")[0]++
				valueOf[shape](f, "shape").Points[0].X++
			}
		})
	}
	wg.Wait()
	if got := valueOf[[]string](h, "list"); got[0] != "a" {
		t.Errorf("the shared list was changed to %q", got)
	}
	if got := valueOf[map[string]any](h, "map")["in"].([]any)[1].(map[string]int)["x"]; got != 1 {
		t.Errorf("the shared map was changed: got %d, want 1", got)
	}
	if got := string(valueOf[[]byte](h, "bytes")); got != "abc" {
		t.Errorf("the shared bytes were changed to %q", got)
	}
	if got := valueOf[shape](h, "shape").Points[0].X; got != 1 {
		t.Errorf("the shared struct was changed: got %d, want 1", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"b": 1, "a": 1, "c": 1})
	h.Set("d", 1)
	h.Set("a", 2)
	h.Delete("b")
	h.Delete("never")
	if got, want := h.Keys(), []string{"a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("Keys: got %q, want %q", got, want)
	}
	must(t, h.Save(ctx))
	if got, want := h.Keys(), []string{"a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("Keys after Save: got %q, want %q", got, want)
	}
}

func TestPseudonym(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, here, nil)
	p := h.Pseudonym("room")
	if len(p) != 22 || p == h.Pseudonym("log") || p == storedSession(t, here, nil).Pseudonym("room") {
		t.Errorf("got a pseudonym of %d characters, or equal ones for different labels or sessions; want 22 characters, all different", len(p))
	}
	if handleOf(t, there, h.ID()).Pseudonym("room") != p {
		t.Error("another node has another pseudonym for the session")
	}
	must(t, h.Regenerate(ctx))
	if h.Pseudonym("room") != p {
		t.Error("Regenerate changed the pseudonym")
	}
	if handleOf(t, there, h.ID()).Pseudonym("room") != p {
		t.Error("after Regenerate another node has another pseudonym for the session")
	}
}
