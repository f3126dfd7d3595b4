package fibersession_test

import (
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestGetByID(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"user": "eve"})

	if got := valueOf[string](handleOf(t, s, h.ID()), "user"); got != "eve" {
		t.Errorf("got user %q, want eve", got)
	}
	unknown := h.ID()[:42] + "_"
	if h.ID() == unknown {
		unknown = h.ID()[:42] + "-"
	}
	if _, err := s.GetByID(ctx, unknown); !errors.Is(err, fibersession.ErrNotFound) {
		t.Errorf("an unknown ID: got %v, want ErrNotFound", err)
	}
	before := st.Calls()
	for _, id := range badIDs(h.ID()) {
		if _, err := s.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("a malformed ID: got %v, want ErrNotFound", err)
		}
		if id != "" {
			must(t, s.Delete(id))
		}
	}
	if calls := st.Calls() - before; calls != 0 {
		t.Errorf("malformed IDs caused %d storage calls, want none", calls)
	}
}

func TestStore_Delete(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, nil)
	id := h.ID()
	must(t, s.Delete(id))
	must(t, s.Delete(id))
	if err := h.Save(ctx); !errors.Is(h.Err(), fibersession.ErrDestroyed) || err == nil {
		t.Errorf("after Delete: got Save error %v and Err %v, want ErrDestroyed", err, h.Err())
	}
	if err := s.Delete(""); !errors.Is(err, fibersession.ErrEmptySessionID) {
		t.Errorf("Delete of an empty ID: got %v, want ErrEmptySessionID", err)
	}
}

// Reset ends the sessions under the store's prefix and changes nothing else in the storage.
func TestN15_ResetClearsItsPrefixAlone(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	shop := newStore(t, fibersession.Config{Storage: st, Prefix: "shop:"})
	blog := newStore(t, fibersession.Config{Storage: st, Prefix: "blog:"})
	must(t, st.Set("shop:other", []byte("x"), 0))
	a, b := storedSession(t, shop, nil), storedSession(t, blog, nil)

	must(t, shop.Reset())
	if err := a.Reload(ctx); !errors.Is(err, fibersession.ErrSessionGone) {
		t.Errorf("after Reset: got %v, want ErrSessionGone", err)
	}
	must(t, b.Reload(ctx))
	if v, _ := st.Get("shop:other"); string(v) != "x" {
		t.Error("Reset removed a key that is no session")
	}
}
