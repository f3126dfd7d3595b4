package fibersession_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// fiberValues encodes values as Fiber's middleware/session does.
func fiberValues(t testing.TB, values map[string]any) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, gob.NewEncoder(&b).Encode(&values))
	return b.Bytes()
}

func decodeFiberValues(t testing.TB, data []byte) (values map[string]any) {
	t.Helper()
	must(t, gob.NewDecoder(bytes.NewReader(data)).Decode(&values))
	return values
}

// F1: Store.Storage finds sessions by their IDs, as Fiber's does.
func TestF1_StorageOfSessions(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st})
		t.Run("Get", func(t *testing.T) {
			h := storedSession(t, s, map[string]any{"user": "ann", "n": 1})
			data, err := s.Storage.Get(h.ID())
			must(t, err)
			if got := decodeFiberValues(t, data); len(got) != 2 || got["user"] != "ann" || got["n"] != 1 {
				t.Errorf("got %v, want the session's values", got)
			}
		})
		t.Run("Set", func(t *testing.T) {
			h := storedSession(t, s, map[string]any{"user": "ann", "n": 1, "hidden": nil, "same": "a"})
			rec := recordEvents(t, h)
			must(t, s.Storage.Set(h.ID(), fiberValues(t, map[string]any{"n": 2, "same": "a"}), 48*time.Hour))
			changed := slices.Sorted(slices.Values(rec.nextOfKind(fibersession.Changed).Keys))
			if strings.Join(changed, " ") != "n user" {
				t.Errorf("got a change of %q, want n and user", changed)
			}
			if got := strings.Join(h.Keys(), " "); got != "hidden n same" || h.Get("n") != 2 {
				t.Errorf("got the keys %q and n = %v, want hidden n same, and 2", got, h.Get("n"))
			}
			if left := time.Until(h.Deadline()); left < 47*time.Hour {
				t.Errorf("the session ends in %v, want 48h", left)
			}
			must(t, s.Storage.Set(h.ID(), fiberValues(t, nil), s.Expiration))
			if left := time.Until(h.Deadline()); left < 47*time.Hour {
				t.Errorf("Set with the default expiration: the session ends in %v, want 48h", left)
			}
			if err := s.Storage.Set(h.ID(), []byte("not gob"), 0); err == nil {
				t.Error("Set of other bytes: got nil, want an error")
			}
		})
		t.Run("Delete", func(t *testing.T) {
			h := storedSession(t, s, nil)
			rec := recordEvents(t, h)
			id := h.ID()
			must(t, st.Set(id, []byte("of an old layout"), 0))
			must(t, s.Storage.Delete(id))
			rec.nextOfKind(fibersession.Ended)
			if handleFound(s, id) {
				t.Error("the session can still be found")
			}
			if v, err := st.Get(id); err != nil || v != nil {
				t.Errorf("the key of this name: got %q, %v; want none", v, err)
			}
			if data, err := s.Storage.Get(id); err != nil || data != nil {
				t.Errorf("Get: got %q, %v; want nil", data, err)
			}
		})
	})
}

// F1: keys that are no session's are the app's own, and the store's own keys are not.
func TestF1_StorageOfOtherKeys(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]fibersession.Config{
		"default IDs": {},
		"own IDs":     {KeyGenerator: func() string { return strings.Repeat("b", 20) }, Prefix: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			defer func() { _ = st.Close() }()
			cfg.Storage = st
			s := newStore(t, cfg)
			for _, key := range []string{"k", strings.Repeat("a", 43), "b5c9a6ee-8a1b-4f6e-9d55-111111111111", "fiberbridge:mine"} {
				must(t, s.Storage.Set(key, []byte("value"), time.Hour))
				if v, err := st.Get(key); err != nil || string(v) != "value" {
					t.Errorf("%q in the app's storage: got %q, %v; want the value", key, v, err)
				}
				if v, err := s.Storage.Get(key); err != nil || string(v) != "value" {
					t.Errorf("%q: got %q, %v; want the value", key, v, err)
				}
				must(t, s.Storage.Delete(key))
				if v, err := st.Get(key); err != nil || v != nil {
					t.Errorf("%q after Delete: got %q, %v; want none", key, v, err)
				}
			}
			h := storedSession(t, s, nil)
			key := s.StoreKey(h.ID())
			_, err := s.Storage.Get(key)
			for call, err := range map[string]error{"Get": err, "Set": s.Storage.Set(key, []byte("x"), 0), "Delete": s.Storage.Delete(key)} {
				if !errors.Is(err, storage.ErrInvalid) {
					t.Errorf("%s of the store's key: got %v, want ErrInvalid", call, err)
				}
			}
			if hasEnded(h) {
				t.Error("the session has ended")
			}
		})
	}
}

// F1: the ID of an old login finds the session that took it over.
func TestF1_StorageOfOldLogins(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	for name, ended := range map[string]bool{"before the takeover": false, "after the takeover": true} {
		t.Run(name, func(t *testing.T) {
			id := utils.UUIDv4()
			must(t, st.Set(id, fiberValues(t, map[string]any{"user": "ann"}), time.Hour))
			b := newBrowser(t, userApp(s))
			if ended {
				b.cookies["session_id"] = id
				if got := b.get("/").body; got != "ann" {
					t.Fatalf("got the user %q, want ann", got)
				}
			}
			data, err := s.Storage.Get(id)
			must(t, err)
			if got := decodeFiberValues(t, data); got["user"] != "ann" {
				t.Errorf("Get: got %v, want the values", got)
			}
			must(t, s.Storage.Set(id, fiberValues(t, map[string]any{"user": "bob"}), time.Hour))
			b.cookies["session_id"] = id
			if got := b.get("/").body; got != "bob" {
				t.Errorf("after Set: got the user %q, want bob", got)
			}
			must(t, s.Storage.Delete(id))
			if got := b.get("/").body; got != "" {
				t.Errorf("after Delete: got the user %q, want none", got)
			}
		})
	}
}

// F1: Reset empties the storage; Close stops the store and closes the storage.
func TestF1_StorageResetAndClose(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"the app's storage": true, "the default storage": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fibersession.Config{Logger: discardLogger}
			if own {
				cfg.Storage = memory.New()
			}
			s := fibersession.New(cfg)
			h := storedSession(t, s, nil)
			rec := recordEvents(t, h)
			must(t, s.Storage.Set("k", []byte("v"), 0))
			must(t, s.Storage.Reset())
			rec.nextOfKind(fibersession.Ended)
			if v, err := s.Backend().Get("k"); err != nil || v != nil {
				t.Errorf("after Reset: got %q, %v; want none", v, err)
			}
			h.Release()
			must(t, s.Storage.Close())
			if err := s.Backend().Set("k", []byte("v"), 0); !errors.Is(err, storage.ErrClosed) {
				t.Errorf("Set after Close: got %v, want ErrClosed", err)
			}
			must(t, s.Close())
		})
	}
}

// F1: Store.Storage can be the Storage of another Store, and of storage.From.
func TestF1_StorageIsUnwrapped(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	first := newStore(t, fibersession.Config{Storage: st})
	second := newStore(t, first.Config)
	if first.Backend() != st || second.Backend() != st || storage.From(second.Storage) != st {
		t.Error("got another storage than the app's")
	}
	h := storedSession(t, first, map[string]any{"n": 1})
	if data, err := second.Storage.Get(h.ID()); err != nil || decodeFiberValues(t, data)["n"] != 1 {
		t.Errorf("got %q, %v; want the session's values", data, err)
	}
	cfg := first.Config
	cfg.Prefix = "other:"
	if data, err := newStore(t, cfg).Storage.Get(h.ID()); err != nil || data != nil {
		t.Errorf("a store with another prefix: got %q, %v; want nil", data, err)
	}
	builtin := newStore(t, fibersession.Config{Storage: st, Builtin: true})
	if builtin.Storage != fiber.Storage(st) {
		t.Error("with Builtin: got another storage than the app's")
	}
}

// F1: Store.Storage reports that a session cannot be read, instead of missing it.
func TestF1_StorageErrors(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, nil)
	id := h.ID()
	st.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Fail: errBroken} })
	defer st.SetPlan(nil)
	_, err := s.Storage.Get(id)
	for call, err := range map[string]error{"Get": err, "Set": s.Storage.Set(id, fiberValues(t, nil), 0), "Delete": s.Storage.Delete(id)} {
		if !errors.Is(err, fibersession.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", call, err)
		}
	}
}
