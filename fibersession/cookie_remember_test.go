package fibersession_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// "Remember me" is a choice for each session. Later cookies of the session keep it.
func TestF8_Remember(t *testing.T) {
	t.Parallel()
	const week, month = 7 * 24 * time.Hour, 30 * 24 * time.Hour
	remember := func(on bool) func(*fibersession.Session) {
		return func(s *fibersession.Session) { s.Remember(on) }
	}
	tests := map[string]struct {
		cfg  fibersession.Config
		do   func(*fibersession.Session)
		age  time.Duration // of the cookie; 0: until the browser closes
		sent bool          // the choice changes the age, so that the cookie is sent again
	}{
		"the default":                   {fibersession.Config{}, func(*fibersession.Session) {}, week, false},
		"Remember(false)":               {fibersession.Config{}, remember(false), 0, true},
		"Remember(true)":                {fibersession.Config{}, remember(true), week, false},
		"SetExpiry":                     {fibersession.Config{}, func(s *fibersession.Session) { s.SetExpiry(month) }, month, true},
		"Remember(true) and SetExpiry":  {fibersession.Config{CookieSessionOnly: true}, func(s *fibersession.Session) { s.Remember(true); s.SetExpiry(month) }, month, true},
		"CookieSessionOnly":             {fibersession.Config{CookieSessionOnly: true}, func(*fibersession.Session) {}, 0, false},
		"CookieSessionOnly, remembered": {fibersession.Config{CookieSessionOnly: true}, remember(true), week, true},
		"the last call counts":          {fibersession.Config{}, func(s *fibersession.Session) { s.Remember(true); s.Remember(false) }, 0, true},
	}
	for name, tt := range tests {
		for _, handler := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, Handler %t", name, handler), func(t *testing.T) {
				t.Parallel()
				s := newStore(t, tt.cfg)
				app := fiber.New()
				if handler {
					app.Use(s.Handler())
				}
				do := func(change func(*fibersession.Session)) fiber.Handler {
					return func(c *fiber.Ctx) error {
						sess, err := s.Get(c)
						if err != nil {
							return err
						}
						change(sess)
						if handler {
							return nil
						}
						return sess.Save()
					}
				}
				app.Get("/begin", do(func(sess *fibersession.Session) { sess.Set("n", 1) }))
				app.Get("/login", do(tt.do))
				app.Get("/write", do(func(sess *fibersession.Session) { sess.Set("n", 2) }))
				app.Get("/renew", do(func(sess *fibersession.Session) { must(t, sess.Regenerate()) }))
				b := newBrowser(t, app)
				check := func(path string, res response) {
					t.Helper()
					if len(res.set) != 1 {
						t.Fatalf("%s: got %d cookies, want 1", path, len(res.set))
					}
					c := res.set[0]
					if got := time.Duration(c.MaxAge) * time.Second; got != tt.age || !c.Expires.IsZero() && tt.age == 0 {
						t.Errorf("%s: got a cookie of %v (Expires %v), want %v", path, got, c.Expires, tt.age)
					}
				}
				b.get("/begin")
				res := b.get("/login")
				if sent := !handler || tt.sent; sent {
					check("/login", res)
				} else if len(res.set) > 0 {
					t.Errorf("/login: got the cookies %v, want none: the browser has it", res.set)
				}
				b.get("/write")
				check("/renew", b.get("/renew"))
			})
		}
	}
}

// Another node reads the choice from the storage. A choice that another version stored
// beside it stays.
func TestF8_RememberIsStored(t *testing.T) {
	t.Parallel()
	a := newStore(t, fibersession.Config{})
	b := newStore(t, fibersession.Config{Storage: a.Backend()})
	login := newApp(a, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		sess.Remember(false)
		return sess.Save()
	}})
	renew := newApp(b, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() }})
	br := newBrowser(t, login)
	br.get("/")
	br.app = renew
	if res := br.get("/"); len(res.set) != 1 || res.set[0].MaxAge != 0 {
		t.Errorf("the other node: got the cookies %v, want one without Max-Age", res.set)
	}
}
