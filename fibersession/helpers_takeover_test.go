package fibersession_test

import (
	"encoding/gob"
	"fmt"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// oldAccount is a type that the old app stores, by value and by pointer.
type oldAccount struct {
	Name  string
	Roles []string
}

// oldPointer is stored by pointer and was registered by pointer.
type oldPointer struct{ N int }

func init() {
	gob.Register(oldAccount{})
	gob.Register(&oldPointer{})
	gob.Register(map[string]int{})
	gob.Register([]int{})
	gob.Register(time.Time{})
}

// oldTime is a time of a certain zone, which the old app stores.
var oldTime = time.Date(2026, 2, 3, 4, 5, 6, 7, time.FixedZone("", 3600))

// oldValues are the values of an old session.
func oldValues() map[string]any {
	return map[string]any{
		"user":    "ada",
		"n":       7,
		"struct":  oldAccount{"Ada", []string{"admin"}},
		"pointer": &oldPointer{5},
		"slice":   []int{1, 2},
		"map":     map[string]int{"a": 1},
		"time":    oldTime,
		"bytes":   []byte{0, 1},
	}
}

// oldLogin makes a session with Fiber's own middleware, in the same storage, and returns its ID.
func oldLogin(t testing.TB, st storage.Storage, cfg session.Config, values map[string]any) (id string) {
	t.Helper()
	return oldLoginFor(t, st, cfg, values, 0)
}

// oldLoginFor is oldLogin with SetExpiry; 0 is without.
func oldLoginFor(t testing.TB, st storage.Storage, cfg session.Config, values map[string]any, exp time.Duration) (id string) {
	t.Helper()
	cfg.Storage = st
	store := session.New(cfg)
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		for key, v := range values {
			sess.Set(key, v)
		}
		if exp > 0 {
			sess.SetExpiry(exp)
		}
		id = sess.ID()
		return sess.Save()
	})
	if res := newBrowser(t, app).get("/"); res.status != 200 {
		t.Fatalf("Fiber's session was not saved: status %d: %s", res.status, res.body)
	}
	return id
}

// oldRead returns what Fiber's own middleware reads from a session.
func oldRead(t testing.TB, st storage.Storage, id string, keys []string) map[string]any {
	t.Helper()
	store := session.New(session.Config{Storage: st})
	values := map[string]any{}
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		for _, key := range keys {
			values[key] = sess.Get(key)
		}
		return nil
	})
	b := newBrowser(t, app)
	b.cookies["session_id"] = id
	if res := b.get("/"); res.status != 200 {
		t.Fatalf("Fiber cannot read its own session: status %d: %s", res.status, res.body)
	}
	return values
}

// newAppOf returns the app after the change. "/" responds with the user, "/keys" with the
// keys, "/out" ends the session, "/new" gives it a new ID, and "/write" changes it.
func newAppOf(s *fibersession.Store) *fiber.App {
	return newApp(s, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error {
			return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
		},
		"/keys": func(c *fiber.Ctx) error {
			return c.SendString(fmt.Sprint(fibersession.FromContext(c).Keys()))
		},
		"/out": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
		"/new": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() },
		"/write": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("seen", true)
			return nil
		},
	})
}

// comesWith returns a browser that has only an old cookie.
func comesWith(t testing.TB, app *fiber.App, oldID string) *browser {
	b := newBrowser(t, app)
	b.cookies["session_id"] = oldID
	return b
}

// wantUser makes a request and compares the user that the app answers with.
func wantUser(t testing.TB, b *browser, path, want string) response {
	t.Helper()
	res := b.get(path)
	if res.status != 200 || res.body != want {
		t.Fatalf("%s: got status %d and user %q, want 200 and %q", path, res.status, res.body, want)
	}
	return res
}

// isOldSession reports whether the storage holds one of Fiber's sessions under an ID.
func isOldSession(t testing.TB, st storage.Storage, id string) bool {
	t.Helper()
	v, err := st.Get(id)
	must(t, err)
	return len(v) > 0 && !fibersession.IsOldIDNote(id, v)
}

// memoryUntil returns a storage in memory that is closed when the test ends.
func memoryUntil(t testing.TB) storage.Storage {
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	return st
}
