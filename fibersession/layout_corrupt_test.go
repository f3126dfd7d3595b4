package fibersession_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// D6, D9: a stored value that does not decode, or that belongs to another session, counts
// as no session. The visitor gets a new ID instead of repeated errors; the value is counted
// and logged once.
func TestD6_D9_StoredValueIsNotTheSession(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, st storage.Storage, s *fibersession.Store, mine, theirs string){
		"garbage": func(t *testing.T, st storage.Storage, s *fibersession.Store, mine, _ string) {
			must(t, st.Set(s.StoreKey(mine), []byte("garbage"), 0))
		},
		"another session's value": func(t *testing.T, st storage.Storage, s *fibersession.Store, mine, theirs string) {
			v, err := st.Get(s.StoreKey(theirs))
			must(t, err)
			must(t, st.Set(s.StoreKey(mine), v, 0))
		},
		"truncated": func(t *testing.T, st storage.Storage, s *fibersession.Store, mine, _ string) {
			v, err := st.Get(s.StoreKey(mine))
			must(t, err)
			must(t, st.Set(s.StoreKey(mine), v[:len(v)-1], 0))
		},
		"a value of another codec": func(t *testing.T, st storage.Storage, s *fibersession.Store, mine, _ string) {
			v, err := st.Get(s.StoreKey(mine))
			must(t, err)
			v[5] = 2
			must(t, st.Set(s.StoreKey(mine), v, 0))
		},
		"a value beyond the size limit": func(t *testing.T, st storage.Storage, _ *fibersession.Store, mine, _ string) {
			large := newStore(t, fibersession.Config{Storage: st, Limits: fibersession.Limits{MaxSize: 1 << 20}})
			h := handleOf(t, large, mine)
			h.Set("large", make([]byte, 64*1024))
			must(t, h.Save(ctx))
		},
	}
	for name, corrupt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			st := memory.New()
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			mine, theirs := storedSession(t, s, map[string]any{"user": "alice"}), storedSession(t, s, map[string]any{"user": "bob"})
			id := mine.ID()
			corrupt(t, st, s, id, theirs.ID())

			if err := mine.Reload(ctx); !errors.Is(err, fibersession.ErrCorrupt) || !errors.Is(err, fibersession.ErrSessionGone) {
				t.Errorf("the handle: got %v, want ErrCorrupt and ErrSessionGone", err)
			}
			b := newBrowser(t, userApp(s))
			b.cookies["__Host-session"] = id
			for range 3 {
				if res := b.get("/"); res.status != 200 || res.body != "" {
					t.Fatalf("got status %d and user %q, want 200 and none", res.status, res.body)
				}
			}
			if res := b.get("/in?user=new"); res.status != 200 || b.session() == id {
				t.Errorf("got status %d, same ID %v; want 200 and a new ID", res.status, b.session() == id)
			}
			if res := b.get("/"); res.body != "new" {
				t.Errorf("the new session: got user %q, want \"new\"", res.body)
			}
			if n := s.Stats().Corrupt; n < 4 {
				t.Errorf("got Corrupt %d, want at least 4", n)
			}
			if n := strings.Count(log.String(), "cannot be decoded"); n != 1 {
				t.Errorf("got %d log lines, want 1", n)
			}
		})
	}
}

// The values of two sessions are swapped in the storage: neither ID gets a session.
func TestD6_SwappedValues(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	a, b := storedSession(t, s, map[string]any{"user": "alice"}), storedSession(t, s, map[string]any{"user": "admin"})
	ka, kb := s.StoreKey(a.ID()), s.StoreKey(b.ID())
	va, err := st.Get(ka)
	must(t, err)
	vb, err := st.Get(kb)
	must(t, err)
	must(t, st.Set(ka, vb, 0))
	must(t, st.Set(kb, va, 0))
	other := newStore(t, fibersession.Config{Storage: st}) // has read neither session yet
	for _, id := range []string{a.ID(), b.ID()} {
		for name, s := range map[string]*fibersession.Store{"this node": s, "another node": other} {
			h := newBrowser(t, userApp(s))
			h.cookies["__Host-session"] = id
			if res := h.get("/"); res.body != "" {
				t.Errorf("%s: got user %q, want none", name, res.body)
			}
		}
	}
}

// A value that another application stored can never become a session.
func TestD6_ForeignKeys(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"user": "admin"})
	v, err := st.Get(s.StoreKey(h.ID()))
	must(t, err)
	foreign := strings.Repeat("f", 43)
	must(t, st.Set("cache_/u/42", v, 0))
	must(t, st.Set(foreign, v, 0))
	must(t, st.Set("fiberbridge:s:"+foreign, v, 0))
	before := s.Stats().Loads
	for _, id := range append(badIDs(h.ID()), "cache_/u/42", foreign) {
		b := newBrowser(t, userApp(s))
		b.cookies["__Host-session"] = strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' || r == ';' {
				return 'x'
			}
			return r
		}, id[:min(len(id), 2000)])
		if res := b.get("/"); res.body == "admin" {
			t.Errorf("the cookie %.50q got the session of another application", id)
		}
	}
	if loads := s.Stats().Loads - before; loads > 4 { // the mapping above turned some of them into valid IDs
		t.Errorf("got %d loads, want at most 4", loads)
	}
}
