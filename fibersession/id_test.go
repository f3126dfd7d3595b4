package fibersession_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// If the random source fails, no ID is issued and the request fails.
func TestRandom_Fails(t *testing.T) {
	t.Parallel()
	tests := map[string]io.Reader{
		"an error":                  iotest.ErrReader(errBroken),
		"no bytes":                  strings.NewReader(""),
		"too few bytes":             bytes.NewReader(make([]byte, 31)),
		"enough for the ID alone":   bytes.NewReader(make([]byte, 32)),
		"an error after some bytes": io.MultiReader(bytes.NewReader(make([]byte, 40)), iotest.ErrReader(errBroken)),
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{})
			s.SetRandom(source)
			app := newApp(s, map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error {
					sess := fibersession.FromContext(c)
					if err := sess.Err(); !errors.Is(err, fibersession.ErrRandom) || sess.ID() != "" {
						t.Errorf("got Err %v and an ID: %v; want ErrRandom and none", err, sess.ID() != "")
					}
					sess.Set("n", 1)
					return sess.Save()
				},
				"/get": func(c *fiber.Ctx) error {
					if _, err := s.Get(c); !errors.Is(err, fibersession.ErrRandom) {
						t.Errorf("Get: got %v, want ErrRandom", err)
					}
					if _, err := s.Lift(c); !errors.Is(err, fibersession.ErrRandom) {
						t.Errorf("Lift: got %v, want ErrRandom", err)
					}
					return nil
				},
			})
			for _, path := range []string{"/", "/get"} {
				if res := newBrowser(t, app).get(path); res.status != 500 || len(res.set) != 0 {
					t.Errorf("%s: got status %d with %d cookies, want 500 with none", path, res.status, len(res.set))
				}
			}
		})
	}
}

func TestID_NoDuplicates(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	seen := make(map[string]bool)
	for range 100_000 {
		id, err := s.NewID()
		must(t, err)
		if len(id) != 43 || seen[id] {
			t.Fatalf("got an ID of %d characters, seen before: %v; want 43 characters, never seen", len(id), seen[id])
		}
		seen[id] = true
	}
}

func TestKeyGenerator(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		id string
		ok bool
	}{
		"UUID":                   {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", true},
		"16 characters":          {strings.Repeat("a", 16), true},
		"128 characters":         {strings.Repeat("a", 128), true},
		"15 characters":          {strings.Repeat("a", 15), false},
		"129 characters":         {strings.Repeat("a", 129), false},
		"empty":                  {"", false},
		"slash":                  {strings.Repeat("a", 16) + "/", false},
		"semicolon":              {strings.Repeat("a", 16) + ";", false},
		"CRLF":                   {strings.Repeat("a", 16) + "\r\n", false},
		"all allowed characters": {"azAZ09_.~-azAZ09", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !tt.ok { // F2: refused at start, not on each request
				defer func() {
					if text, _ := recover().(string); !strings.Contains(text, "Config.KeyGenerator") {
						t.Errorf("New: got the panic %q, want one that names Config.KeyGenerator", text)
					}
				}()
				_ = fibersession.New(fibersession.Config{KeyGenerator: func() string { return tt.id }}).Close()
			}
			s := newStore(t, fibersession.Config{KeyGenerator: func() string { return tt.id }})
			app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
				fibersession.FromContext(c).Set("n", 1)
				return nil
			}})
			b := newBrowser(t, app)
			if res := b.get("/"); res.status != 200 || b.session() != tt.id {
				t.Errorf("got status %d and the ID %q, want 200 and the generated one", res.status, b.session())
			}
		})
	}
	t.Run("F2 an ID that is refused later", func(t *testing.T) {
		t.Parallel()
		ids := []string{"the-first-id-is-used", "short"}
		s := newStore(t, fibersession.Config{KeyGenerator: func() (id string) {
			id, ids = ids[0], ids[1:]
			return id
		}})
		if id := storedSession(t, s, map[string]any{"n": 1}).ID(); id != "the-first-id-is-used" {
			t.Errorf("the first session has the ID %q, want the first one that KeyGenerator returned", id)
		}
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("n", 1)
			return nil
		}})
		if res := newBrowser(t, app).get("/"); res.status != 500 || len(res.set) != 0 {
			t.Errorf("got status %d with %d cookies, want 500 with none", res.status, len(res.set))
		}
	})
	t.Run("a repeated ID for a new session", func(t *testing.T) {
		t.Parallel()
		s := newStore(t, fibersession.Config{KeyGenerator: func() string { return "the-same-id-again" }})
		h := storedSession(t, s, map[string]any{"user": "alice"})
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("user", "bob")
			return nil
		}})
		if res := newBrowser(t, app).get("/"); res.status == 200 || h.Get("user") != "alice" {
			t.Errorf("the generator repeated an ID in use: got status %d and user %v, want an error and alice", res.status, h.Get("user"))
		}
		h.Release() // from now on only the storage has the session
		if res := newBrowser(t, app).get("/"); res.status == 200 || len(res.set) != 0 {
			t.Errorf("the generator repeated a stored ID: got status %d with %d cookies, want an error with none", res.status, len(res.set))
		}
	})
	t.Run("a repeated ID in Regenerate", func(t *testing.T) {
		t.Parallel()
		const taken = "the-same-id-again"
		ids := []string{taken, "another-id-in-use", taken}
		s := newStore(t, fibersession.Config{KeyGenerator: func() (id string) {
			id, ids = ids[0], ids[1:]
			return id
		}})
		storedSession(t, s, map[string]any{"user": "alice"}).Release() // from now on only the storage has the session
		bob := storedSession(t, s, map[string]any{"user": "bob"})
		if err := bob.Regenerate(ctx); !errors.Is(err, fibersession.ErrRandom) {
			t.Errorf("Regenerate with a repeated ID: got %v, want ErrRandom", err)
		}
		for id, user := range map[string]string{taken: "alice", "another-id-in-use": "bob"} {
			if got := handleOf(t, s, id).Get("user"); got != user {
				t.Errorf("the session %s has user %v, want %v", id, got, user)
			}
		}
	})
}
