package fibersession_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

var ctx = context.Background()

var discardLogger = slog.New(slog.DiscardHandler)

// newStore returns a store that is closed when the test ends. It fails the test if states
// or handles are left then.
func newStore(t testing.TB, cfg fibersession.Config) *fibersession.Store {
	t.Helper()
	if cfg.Storage == nil {
		st := memory.New()
		t.Cleanup(func() { _ = st.Close() })
		cfg.Storage = st
	}
	if cfg.Logger == nil {
		cfg.Logger = discardLogger
	}
	s := fibersession.New(cfg)
	t.Cleanup(func() {
		if stats := s.Stats(); stats.States != 0 || stats.Handles != 0 {
			t.Errorf("after the test: %d states and %d handles are left, want none", stats.States, stats.Handles)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// overStorages runs test on the storage in memory and on a Redis server.
func overStorages(t *testing.T, test func(t *testing.T, st storage.Storage)) {
	t.Run("memory", func(t *testing.T) {
		st := memory.New()
		defer func() { _ = st.Close() }()
		test(t, st)
	})
	t.Run("redis", func(t *testing.T) {
		st, err := storage.Open(redistest.Start(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		test(t, st)
	})
}

// storedSession stores a new session with these values and returns a handle of it.
func storedSession(t testing.TB, s *fibersession.Store, values map[string]any) *fibersession.Handle {
	t.Helper()
	h := newSession(t, s)
	for k, v := range values {
		h.Set(k, v)
	}
	if len(values) == 0 {
		h.Set("nothing", nil)
	}
	must(t, h.Save(ctx))
	return h
}

// newSession returns a handle of a new session, which is not stored yet.
func newSession(t testing.TB, s *fibersession.Store) *fibersession.Handle {
	t.Helper()
	var h *fibersession.Handle
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) (err error) {
		h, err = s.Lift(c)
		return err
	})
	if res := newBrowser(t, app).get("/"); res.status != 200 {
		t.Fatalf("Lift failed with status %d: %s", res.status, res.body)
	}
	t.Cleanup(h.Release)
	return h
}

// handleOf returns a new handle of the stored session with this ID.
func handleOf(t testing.TB, s *fibersession.Store, id string) *fibersession.Handle {
	t.Helper()
	h, err := s.GetByID(ctx, id)
	must(t, err)
	t.Cleanup(h.Release)
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// withFakeClock runs test in a synctest bubble, with a store in memory. It fails the test if
// states are left at its end.
func withFakeClock(t *testing.T, cfg fibersession.Config, test func(t *testing.T, s *fibersession.Store)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		cfg.Storage, cfg.Logger = st, discardLogger
		s := fibersession.New(cfg)
		test(t, s)
		if n := s.Stats().States; n != 0 {
			t.Errorf("after the test: %d states are left, want none", n)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// sessionIsStored reports whether the storage holds the session with this ID.
func sessionIsStored(t *testing.T, st storage.Storage, s *fibersession.Store, id string) bool {
	t.Helper()
	_, err := st.Load(ctx, s.StoreKey(id))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// loggedIn returns a handle of a new session in which user is logged in.
func loggedIn(t testing.TB, s *fibersession.Store, user string) *fibersession.Handle {
	t.Helper()
	h := newSession(t, s)
	must(t, h.Login(ctx, user))
	return h
}

// hasEnded reloads h and reports whether its session has ended.
func hasEnded(h *fibersession.Handle) bool {
	return errors.Is(h.Reload(ctx), fibersession.ErrSessionGone)
}

// storedValue returns the value that the storage holds under key.
func storedValue(t testing.TB, st storage.Storage, key string) []byte {
	t.Helper()
	v, err := st.Get(key)
	must(t, err)
	if v == nil {
		t.Fatal("the storage holds no value under this key")
	}
	return v
}

// increment is an Update function that adds 1 to "n".
func increment(tx *fibersession.Tx) error {
	tx.Set("n", valueOf[int](tx, "n")+1)
	return nil
}

// valueOf returns the value of key, or T's zero value if there is none or the session is gone. It
// panics if the value has another type.
func valueOf[T any](g fibersession.Getter, key string) T {
	v, err := fibersession.Value[T](g, key)
	if errors.Is(err, fibersession.ErrType) {
		panic(err)
	}
	return v
}
