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

// When no randomness can be had, no ID is issued, and the request is refused.
func TestRandom_Fails(t *testing.T) {
	t.Parallel()
	tests := map[string]io.Reader{
		"an error":      iotest.ErrReader(errBroken),
		"nothing":       strings.NewReader(""),
		"too little":    bytes.NewReader(make([]byte, 31)),
		"an ID only":    bytes.NewReader(make([]byte, 32)),
		"then an error": io.MultiReader(bytes.NewReader(make([]byte, 40)), iotest.ErrReader(errBroken)),
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
						t.Errorf("%v, and an ID: %v", err, sess.ID() != "")
					}
					sess.Set("n", 1)
					return sess.Save()
				},
				"/get": func(c *fiber.Ctx) error {
					if _, err := s.Get(c); !errors.Is(err, fibersession.ErrRandom) {
						t.Errorf("Get: %v", err)
					}
					if _, err := s.Lift(c); !errors.Is(err, fibersession.ErrRandom) {
						t.Errorf("Lift: %v", err)
					}
					return nil
				},
			})
			for _, path := range []string{"/", "/get"} {
				if res := newBrowser(t, app).get(path); res.status != 500 || len(res.set) != 0 {
					t.Errorf("%s: %d with %d cookies", path, res.status, len(res.set))
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
			t.Fatalf("an ID of %d characters, or twice", len(id))
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
		"a UUID":      {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", true},
		"16":          {strings.Repeat("a", 16), true},
		"128":         {strings.Repeat("a", 128), true},
		"15":          {strings.Repeat("a", 15), false},
		"129":         {strings.Repeat("a", 129), false},
		"empty":       {"", false},
		"a slash":     {strings.Repeat("a", 16) + "/", false},
		"a semicolon": {strings.Repeat("a", 16) + ";", false},
		"CRLF":        {strings.Repeat("a", 16) + "\r\n", false},
		"all allowed": {"azAZ09_.~-azAZ09", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{KeyGenerator: func() string { return tt.id }})
			app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
				fibersession.FromContext(c).Set("n", 1)
				return nil
			}})
			b := newBrowser(t, app)
			if res := b.get("/"); (res.status == 200) != tt.ok || tt.ok && b.session() != tt.id {
				t.Errorf("status %d, the ID is %q", res.status, b.session())
			}
		})
	}
	t.Run("one that repeats itself", func(t *testing.T) {
		t.Parallel()
		s := newStore(t, fibersession.Config{KeyGenerator: func() string { return "the-same-id-again" }})
		h := storedSession(t, s, map[string]any{"user": "alice"})
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("user", "bob")
			return nil
		}})
		if res := newBrowser(t, app).get("/"); res.status == 200 || h.Get("user") != "alice" {
			t.Errorf("a second session entered the first: %d, user %v", res.status, h.Get("user"))
		}
		h.Release() // it is in the store alone now
		if res := newBrowser(t, app).get("/"); res.status == 200 || len(res.set) != 0 {
			t.Errorf("a second session entered the stored one: %d", res.status)
		}
	})
	t.Run("one that repeats itself at a new ID", func(t *testing.T) {
		t.Parallel()
		const taken = "the-same-id-again"
		ids := []string{taken, "another-id-in-use", taken}
		s := newStore(t, fibersession.Config{KeyGenerator: func() (id string) {
			id, ids = ids[0], ids[1:]
			return id
		}})
		storedSession(t, s, map[string]any{"user": "alice"}).Release() // it is in the store alone now
		bob := storedSession(t, s, map[string]any{"user": "bob"})
		if err := bob.Regenerate(ctx); !errors.Is(err, fibersession.ErrRandom) {
			t.Errorf("it got the other session's ID: %v", err)
		}
		for id, user := range map[string]string{taken: "alice", "another-id-in-use": "bob"} {
			if got := handleOf(t, s, id).Get("user"); got != user {
				t.Errorf("the session of %s is that of %v", user, got)
			}
		}
	})
}
