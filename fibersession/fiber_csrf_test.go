package fibersession_test

import (
	"compress/gzip"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

// csrfApp returns an app behind Handler and Fiber's csrf middleware. "/" responds with the
// token, POST "/" and "/login" need it.
func csrfApp(s *fibersession.Store, cfg csrf.Config) *fiber.App {
	cfg.KeyLookup, cfg.ContextKey = "form:token", "token"
	app := fiber.New()
	app.Use(s.Handler(), csrf.New(cfg))
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString(c.Locals("token").(string)) })
	app.Get("/user", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
	app.Post("/", func(c *fiber.Ctx) error { return c.SendString("accepted") })
	app.Post("/login", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login(c.FormValue("user")) })
	return app
}

func withToken(value string) url.Values { return url.Values{"token": {value}} }

// The ways in which Fiber's csrf middleware can keep its tokens.
func csrfConfigs(s *fibersession.Store) map[string]csrf.Config {
	return map[string]csrf.Config{
		"by session":            {Session: s.Fiber()},
		"by session, used once": {Session: s.Fiber(), SingleUseToken: true},
		"by storage":            {Storage: s.Storage},
	}
}

// F4: the first form of a new visitor is accepted, and a token of another visitor is not.
func TestF4_CSRFFirstForm(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
		for name, cfg := range csrfConfigs(s) {
			t.Run(name, func(t *testing.T) {
				newVisitor := newVisitors(t, csrfApp(s, cfg))
				ann, bob := newVisitor(), newVisitor()
				first := ann.get("/")
				if n := setCookies(first, "session"); cfg.Session != nil && n != 1 {
					t.Errorf("the first response sets the session cookie %d times, want once", n)
				}
				bobs := bob.get("/").body
				for step, c := range []struct {
					token  string
					status int
				}{{"", 403}, {"forged", 403}, {bobs, 403}, {first.body, 200}} {
					if res := ann.post("/", withToken(c.token)); res.status != c.status {
						t.Errorf("step %d: got status %d, want %d", step, res.status, c.status)
					}
				}
				if res := bob.post("/", withToken(bobs)); res.body != "accepted" {
					t.Errorf("bob's form: got status %d, want it to be accepted", res.status)
				}
				if again := ann.get("/"); setCookies(again, "session") > 0 {
					t.Error("a later response sets the session cookie again")
				}
			})
		}
	})
}

// setCookies returns how many Set-Cookie headers have this name.
func setCookies(res response, name string) (n int) {
	for _, c := range res.set {
		if c.Name == name {
			n++
		}
	}
	return n
}

// F4: a login gives the session a new ID, forms work before and after it, and ending the user's
// sessions ends this one.
func TestF4_CSRFLogin(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
		for name, cfg := range csrfConfigs(s) {
			t.Run(name, func(t *testing.T) {
				ann := newVisitors(t, csrfApp(s, cfg))()
				form := ann.get("/").body
				before := ann.sessionID()
				if res := ann.post("/login", url.Values{"token": {form}, "user": {name}}); res.status != 200 {
					t.Fatalf("login: got status %d, want 200", res.status)
				}
				after := ann.sessionID()
				if after == before || after == "" {
					t.Error("the login did not change the session's ID")
				}
				if res := ann.get("/user"); res.body != name {
					t.Errorf("got the user %q, want %q", res.body, name)
				}
				if res := ann.post("/", withToken(ann.get("/").body)); res.body != "accepted" {
					t.Errorf("a form after the login: got status %d, want it to be accepted", res.status)
				}
				h := handleOf(t, s, after)
				if list, err := h.Devices(ctx); err != nil || len(list) != 1 || !list[0].Current {
					t.Errorf("got the devices %+v, %v; want one, the current", list, err)
				}
				form = ann.get("/").body
				if n, err := s.EndAll(ctx, name); err != nil || n != 1 {
					t.Errorf("EndAll: got %d, %v; want 1 session", n, err)
				}
				if res := ann.post("/", withToken(form)); cfg.Session != nil && res.status != 403 {
					t.Errorf("a form of the ended session: got status %d, want 403", res.status)
				}
				if res := ann.get("/user"); res.body != "" {
					t.Errorf("after EndAll: got the user %q, want none", res.body)
				}
				if res := ann.post("/", withToken(ann.get("/").body)); res.body != "accepted" {
					t.Errorf("a form of the next session: got status %d, want it to be accepted", res.status)
				}
			})
		}
	})
}

// F4: csrf's handler can remove the token of a session.
func TestF4_CSRFDeleteToken(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := csrfApp(s, csrf.Config{Session: s.Fiber()})
	app.Get("/forget", func(c *fiber.Ctx) error {
		return c.Locals("fiber.csrf.handler").(*csrf.CSRFHandler).DeleteToken(c)
	})
	ann := newVisitors(t, app)()
	old := ann.get("/").body
	ann.get("/forget")
	if res := ann.post("/", withToken(old)); res.status != 403 {
		t.Errorf("got status %d, want 403", res.status)
	}
}

// The calls that goth_fiber makes of its SessionStore.
type goth struct{ *session.Store }

func (g goth) storeInSession(c *fiber.Ctx, key, value string) error {
	sess, err := g.Get(c)
	if err != nil {
		return err
	}
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, value); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	sess.Set(key, b.String())
	return sess.Save()
}

func (g goth) getFromSession(c *fiber.Ctx, key string) (string, error) {
	sess, err := g.Get(c)
	if err != nil {
		return "", err
	}
	value, _ := sess.Get(key).(string)
	r, err := gzip.NewReader(strings.NewReader(value))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func (g goth) logout(c *fiber.Ctx) error {
	sess, err := g.Get(c)
	if err != nil {
		return err
	}
	return sess.Destroy()
}

// F4: a login through another site works as goth_fiber does it: with its default, which ends the
// session before the app begins its own, and without.
func TestF4_Goth(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		logout bool
		login  func(s *fibersession.Store, c *fiber.Ctx) error
	}{
		"by default": {logout: true, login: func(_ *fibersession.Store, c *fiber.Ctx) error {
			return fibersession.FromContext(c).Login("ann")
		}},
		"in the drop-in style": {logout: true, login: func(s *fibersession.Store, c *fiber.Ctx) error {
			sess, err := s.Get(c)
			if err != nil {
				return err
			}
			sess.Set("user", "ann")
			return sess.Save()
		}},
		"over Fiber's store": {logout: true, login: func(s *fibersession.Store, c *fiber.Ctx) error {
			sess, err := s.Fiber().Get(c)
			if err != nil {
				return err
			}
			sess.Set("user", "ann")
			return sess.Save()
		}},
		"in the same session": {login: func(_ *fibersession.Store, c *fiber.Ctx) error {
			if fibersession.FromContext(c).Get("cart") == nil {
				return errors.New("the session is another one")
			}
			return fibersession.FromContext(c).Login("ann")
		}},
	}
	overStorages(t, func(t *testing.T, st storage.Storage) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
				g := goth{s.Fiber()}
				app := csrfApp(s, csrf.Config{Session: s.Fiber()})
				app.Get("/auth", func(c *fiber.Ctx) error {
					fibersession.FromContext(c).Set("cart", 1)
					return g.storeInSession(c, "site", "state")
				})
				app.Get("/callback", func(c *fiber.Ctx) error {
					state, err := g.getFromSession(c, "site")
					if err != nil || state != "state" {
						return errors.Join(err, errors.New("got the state "+state))
					}
					if err := g.storeInSession(c, "site", "done"); err != nil {
						return err
					}
					if test.logout {
						if err := g.logout(c); err != nil {
							return err
						}
					}
					return test.login(s, c)
				})
				ann := newVisitors(t, app)()
				if res := ann.get("/auth"); res.status != 200 {
					t.Fatalf("begin: got status %d, %s", res.status, res.body)
				}
				before := ann.sessionID()
				if res := ann.get("/callback"); res.status != 200 {
					t.Fatalf("callback: got status %d, %s", res.status, res.body)
				}
				if after := ann.sessionID(); after == before || after == "" {
					t.Error("the login did not change the session's ID")
				}
				if res := ann.get("/user"); res.body != "ann" {
					t.Errorf("got the user %q, want ann", res.body)
				}
				if res := ann.post("/", withToken(ann.get("/").body)); res.body != "accepted" {
					t.Errorf("a form after the login: got status %d, want it to be accepted", res.status)
				}
			})
		}
	})
}
