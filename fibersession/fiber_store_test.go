package fibersession_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// fiberSession returns the request's session from Store.Fiber.
func fiberSession(t testing.TB, s *fibersession.Store, c *fiber.Ctx) *session.Session {
	t.Helper()
	sess, err := s.Fiber().Get(c)
	if err != nil {
		t.Errorf("Fiber().Get: %v", err)
		panic(err)
	}
	return sess
}

// noError reports an error in a handler, whose goroutine must not end as must ends it.
func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// F4: what a method of Fiber's session does to the session, its handles and the browser.
func TestF4_Methods(t *testing.T) {
	t.Parallel()
	type outcome struct {
		lives  bool   // the session, under its handle
		moved  bool   // the browser has another ID
		user   string // in the browser's next request
		cookie bool   // the browser has a session
	}
	tests := map[string]struct {
		do   func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, sess *session.Session)
		want outcome
	}{
		"nothing": {func(*testing.T, *fibersession.Store, *fiber.Ctx, *session.Session) {}, outcome{true, false, "ann", true}},
		"Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Save())
		}, outcome{true, false, "ann", true}},
		"Regenerate": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Regenerate())
		}, outcome{false, false, "", true}},
		"Regenerate, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Regenerate())
			noError(t, sess.Save())
		}, outcome{true, true, "ann", true}},
		"Destroy": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Destroy())
		}, outcome{false, true, "", false}},
		"Destroy, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Destroy())
			noError(t, sess.Save())
		}, outcome{false, true, "", true}},
		"Reset": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Reset())
		}, outcome{false, true, "", false}},
		"Store.Delete": {func(t *testing.T, s *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, s.Fiber().Delete(sess.ID()))
		}, outcome{false, true, "", false}},
		"Store.Delete of ID": {func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, _ *session.Session) {
			noError(t, s.Fiber().Delete(fibersession.FromContext(c).ID()))
		}, outcome{false, false, "", true}},
		"Store.Reset": {func(t *testing.T, s *fibersession.Store, _ *fiber.Ctx, _ *session.Session) {
			noError(t, s.Fiber().Reset())
		}, outcome{false, false, "", true}},
		"Regenerate, Set, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Regenerate())
			sess.Set("user", "bob")
			noError(t, sess.Save())
		}, outcome{true, true, "bob", true}},
		"Regenerate twice, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Regenerate())
			noError(t, sess.Regenerate())
			noError(t, sess.Save())
		}, outcome{true, true, "ann", true}},
		"Regenerate, then a change of the app's": {func(t *testing.T, _ *fibersession.Store, c *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Regenerate())
			fibersession.FromContext(c).Set("user", "bob")
		}, outcome{true, true, "bob", true}},
		"Reset, Set, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Reset())
			sess.Set("user", "bob")
			noError(t, sess.Save())
		}, outcome{false, true, "bob", true}},
		"Destroy, Set, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Destroy())
			sess.Set("user", "bob")
			noError(t, sess.Save())
		}, outcome{false, true, "bob", true}},
		"Destroy, Set of the same value, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Destroy())
			sess.Set("user", "ann")
			noError(t, sess.Save())
		}, outcome{false, true, "ann", true}},
		"Destroy, Get, Set, Save": {func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, sess *session.Session) {
			noError(t, sess.Destroy())
			next := fiberSession(t, s, c)
			if n := len(next.Keys()); n != 0 {
				t.Errorf("after Destroy: got %d keys, want none", n)
			}
			next.Set("user", "bob")
			noError(t, next.Save())
		}, outcome{false, true, "bob", true}},
		"Delete of all keys, Save": {func(t *testing.T, _ *fibersession.Store, _ *fiber.Ctx, sess *session.Session) {
			for _, key := range sess.Keys() {
				sess.Delete(key)
			}
			noError(t, sess.Save())
		}, outcome{true, false, "", true}},
	}
	overStorages(t, func(t *testing.T, st storage.Storage) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
				s.Fiber()
				app := userApp(s)
				app.Get("/do", func(c *fiber.Ctx) error { test.do(t, s, c, fiberSession(t, s, c)); return nil })
				ann := newVisitors(t, app)()
				ann.get("/in?user=ann")
				before := ann.sessionID()
				h := handleOf(t, s, before)
				rec := recordEvents(t, h)
				ann.get("/do")
				after := ann.sessionID()
				got := outcome{user: ann.get("/").body, cookie: after != "", moved: after != before}
				if !test.want.lives {
					rec.nextOfKind(fibersession.Ended)
				}
				got.lives = !hasEnded(h)
				if got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
				if n := s.ExpectedFiberIDs(); n != 0 {
					t.Errorf("after the request: %d new IDs are still expected, want none", n)
				}
				if test.want.moved && sessionIsStored(t, st, s, before) && handleFound(s, before) {
					t.Error("the old ID is still valid")
				}
			})
		}
	})
}

func handleFound(s *fibersession.Store, id string) bool {
	h, err := s.GetByID(ctx, id)
	if err == nil {
		h.Release()
	}
	return err == nil
}

// F4: Save of Fiber's session stores what that session changed and nothing else.
func TestF4_SaveMerges(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, elsewhere *fibersession.Handle){
		"another request": func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, elsewhere *fibersession.Handle) {
			sess := fiberSession(t, s, c)
			elsewhere.Set("b", "theirs")
			elsewhere.Delete("c")
			noError(t, elsewhere.Save(ctx))
			sess.Set("a", "mine")
			noError(t, sess.Save())
		},
		"another session of Fiber's in the request": func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, _ *fibersession.Handle) {
			outer, inner := fiberSession(t, s, c), fiberSession(t, s, c)
			inner.Set("b", "theirs")
			inner.Delete("c")
			noError(t, inner.Save())
			outer.Set("a", "mine")
			noError(t, outer.Save())
		},
		"the app's session in the request": func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, _ *fibersession.Handle) {
			sess := fiberSession(t, s, c)
			fibersession.FromContext(c).Set("b", "theirs")
			fibersession.FromContext(c).Delete("c")
			sess.Set("a", "mine")
			noError(t, sess.Save())
		},
		"the app's session before": func(t *testing.T, s *fibersession.Store, c *fiber.Ctx, _ *fibersession.Handle) {
			fibersession.FromContext(c).Set("a", "older")
			fibersession.FromContext(c).Set("b", "theirs")
			sess := fiberSession(t, s, c)
			if sess.Get("b") != "theirs" {
				t.Error("the session of Fiber does not see the app's unsaved change")
			}
			sess.Set("a", "mine")
			sess.Delete("c")
			noError(t, sess.Save())
			if got := fibersession.FromContext(c).Get("a"); got != "mine" {
				t.Errorf("after Save: got the value %v in the app's session, want mine", got)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{})
			h := storedSession(t, s, map[string]any{"a": "old", "b": "old", "c": "old", "d": "old"})
			s.Fiber()
			app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error { test(t, s, c, h); return nil }})
			b := newBrowser(t, app)
			b.cookies["__Host-session"] = h.ID()
			if res := b.get("/"); res.status != 200 {
				t.Fatalf("got status %d: %s", res.status, res.body)
			}
			must(t, h.Reload(ctx))
			for key, want := range map[string]any{"a": "mine", "b": "theirs", "c": nil, "d": "old"} {
				if got := h.Get(key); got != want {
					t.Errorf("%s: got %v, want %v", key, got, want)
				}
			}
		})
	}
}

// F4: changes that the app makes in place are seen, and the value that was saved later stays.
func TestF4_ChangesInPlace(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"list": []string{"old"}})
	s.Fiber()
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		list := fibersession.FromContext(c).Get("list").([]string)
		list[0] = "app"
		sess := fiberSession(t, s, c)
		if got := sess.Get("list").([]string)[0]; got != "app" {
			t.Errorf("got %q in the session of Fiber, want app", got)
		}
		list[0] = "app again"
		sess.Set("list", []string{"fiber"})
		return sess.Save()
	}})
	b := newBrowser(t, app)
	b.cookies["__Host-session"] = h.ID()
	b.get("/")
	must(t, h.Reload(ctx))
	if got := h.Get("list").([]string)[0]; got != "fiber" {
		t.Errorf("got %q, want fiber", got)
	}
}

// F4: a panic saves what Fiber's session saved, but not the app's unsaved changes.
func TestF4_SaveKeepsUnsavedChanges(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, nil)
	s.Fiber()
	app := fiber.New()
	app.Use(recover.New(), s.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("app", 1)
		sess := fiberSession(t, s, c)
		sess.Set("fiber", 1)
		noError(t, sess.Save())
		panic("expected")
	})
	b := newBrowser(t, app)
	b.cookies["__Host-session"] = h.ID()
	res := b.get("/")
	must(t, h.Reload(ctx))
	if h.Get("app") != nil || h.Get("fiber") != 1 {
		t.Errorf("got app %v and fiber %v, want nil and 1", h.Get("app"), h.Get("fiber"))
	}
	if name := privateName(s); res.header.Get(name) != "" {
		t.Error("the response to a request that panicked has the private header")
	}
}

// privateName returns the name of the cookie and header that Store.Fiber uses.
func privateName(s *fibersession.Store) string {
	return strings.TrimPrefix(s.Fiber().KeyLookup, "header:")
}

// F4: a client cannot choose the session of Store.Fiber, and learns nothing from it.
func TestF4_PrivateName(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	name := privateName(s)
	var seen string // in the request of another client, while it runs
	inside, leave := make(chan struct{}), make(chan struct{})
	app := fiber.New()
	echo := func(c *fiber.Ctx) error {
		sess, err := s.Fiber().Get(c)
		if err != nil {
			return err
		}
		return c.SendString(sess.ID() + " " + strings.Join(sess.Keys(), " "))
	}
	app.Get("/bare", echo) // without Handler
	app.Use(s.Handler())
	app.Get("/", echo)
	app.Get("/victim", func(c *fiber.Ctx) error {
		sess := fiberSession(t, s, c)
		sess.Set("secret", "of the victim")
		noError(t, sess.Save())
		for _, carried := range []string{c.Get(name), c.Cookies(name), sess.ID()} {
			if strings.Contains(carried, fibersession.FromContext(c).ID()) {
				t.Error("the private name carries the session's ID")
			}
		}
		seen = strings.Clone(c.Cookies(name))
		close(inside)
		<-leave
		return nil
	})
	newVisitor := newVisitors(t, app)
	done := make(chan response)
	go func() { done <- newVisitor().get("/victim") }() // the test waits for it
	<-inside
	for _, value := range []string{"", "x", seen, strings.Repeat("a", 43), strings.Replace(seen, ".1", ".0", 1)} {
		for _, headers := range [][]string{{name, value}, {"Cookie", name + "=" + value}, {name, value, "Cookie", name + "=" + value + "; " + name + "=" + value}} {
			for _, path := range []string{"/", "/bare"} {
				if path == "/bare" && strings.HasPrefix(value, "request.") {
					continue // the ID of a running request is as secret as a session's
				}
				res := newVisitor().do(http.MethodGet, path, nil, headers...)
				if strings.Contains(res.body, "secret") || path == "/bare" && res.status != 500 && value != "" {
					t.Errorf("%s with %q: got %d %q", path, headers, res.status, res.body)
				}
				if value != "" && strings.HasPrefix(res.body, value+" ") {
					t.Errorf("%s with %q: the client chose the ID", path, headers)
				}
				if res.header.Get(name) != "" || len(res.set) > 0 {
					t.Errorf("%s with %q: got the header %q and %d cookies, want none", path, headers, res.header.Get(name), len(res.set))
				}
			}
		}
	}
	close(leave)
	if res := <-done; res.header.Get(name) != "" || res.status != 200 {
		t.Errorf("the victim: got status %d and the header %q, want none", res.status, res.header.Get(name))
	}
	if res := newVisitor().do(http.MethodGet, "/bare", nil, name, seen); res.status != 500 {
		t.Errorf("the ID of a request that is over: got status %d, want 500", res.status)
	}
}

// F4: without Handler, the error and the log name the line that is missing.
func TestF4_NoHandler(t *testing.T) {
	t.Parallel()
	tests := map[string]func(s *fibersession.Store, app *fiber.App){
		"no Handler":    func(*fibersession.Store, *fiber.App) {},
		"Handler later": func(s *fibersession.Store, app *fiber.App) { app.Get("/", s.Handler()) },
	}
	for name, setup := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			s := newStore(t, fibersession.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			app := fiber.New()
			app.Use(csrf.New(csrf.Config{Session: s.Fiber()}), func(c *fiber.Ctx) error {
				sess, err := s.Fiber().Get(c)
				if err == nil {
					err = sess.Save()
				}
				if !errors.Is(err, fibersession.ErrNoHandler) {
					t.Errorf("got %v, want ErrNoHandler", err)
				}
				return c.Next()
			})
			setup(s, app)
			app.Get("/", func(c *fiber.Ctx) error { return nil })
			b := newBrowser(t, app)
			for range 3 {
				b.get("/")
			}
			if n := strings.Count(log.String(), "app.Use(sessions.Handler())"); n != 1 {
				t.Errorf("got %d log lines that name the missing one, want 1:\n%s", n, log.String())
			}
		})
	}
}

// F4: a session.Store of another name in the same request keeps its own sessions.
func TestF4_AnotherFiberStore(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	s.Fiber()
	st := memory.New()
	defer func() { _ = st.Close() }()
	other := session.New(session.Config{Storage: st})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		ours := fiberSession(t, s, c)
		ours.Set("n", 1)
		noError(t, ours.Save())
		theirs, err := other.Get(c)
		if err != nil {
			return err
		}
		if c.Query("again") != "" && theirs.Get("n") != 2 {
			t.Errorf("the other store: got %v, want 2", theirs.Get("n"))
		}
		theirs.Set("n", 2)
		return theirs.Save()
	}})
	b := newBrowser(t, app)
	b.get("/")
	delete(b.cookies, "__Host-session") // our session is new, theirs is not
	if res := b.get("/?again=1"); res.status != 200 {
		t.Errorf("got status %d: %s", res.status, res.body)
	}
}

// F4: errors of the storage come out of Fiber's session.
func TestF4_StorageErrors(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(sess *session.Session) error{
		"Save":       func(sess *session.Session) error { sess.Set("a", 1); return sess.Save() },
		"Destroy":    (*session.Session).Destroy,
		"Regenerate": (*session.Session).Regenerate,
		"Reset":      (*session.Session).Reset,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := faulty.New(memory.New(), nil)
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: st})
			h := storedSession(t, s, nil)
			s.Fiber()
			app := newApp(s, map[string]fiber.Handler{
				"/load": func(c *fiber.Ctx) error {
					_, err := s.Fiber().Get(c)
					if !errors.Is(err, fibersession.ErrUnavailable) {
						t.Errorf("Get: got %v, want ErrUnavailable", err)
					}
					return nil
				},
				"/": func(c *fiber.Ctx) error {
					sess := fiberSession(t, s, c)
					st.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Fail: errBroken} })
					if err := do(sess); !errors.Is(err, fibersession.ErrUnavailable) {
						t.Errorf("got %v, want ErrUnavailable", err)
					}
					return nil
				},
			})
			b := newBrowser(t, app)
			b.cookies["__Host-session"] = h.ID()
			b.get("/")
			if res := b.get("/load"); res.status != 503 {
				t.Errorf("the session cannot be loaded: got status %d, want 503", res.status)
			}
			st.SetPlan(nil)
		})
	}
}

// F4: SetExpiry of Fiber's session sets the session's own idle limit. Save alone does not.
func TestF4_SetExpiry(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		s.Fiber()
		var exp time.Duration
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			sess := fiberSession(t, s, c)
			if exp > 0 {
				sess.SetExpiry(exp)
			}
			sess.Set("n", time.Now().UnixNano())
			return sess.Save()
		}})
		b := newBrowser(t, app)
		deadline := func() time.Duration {
			b.get("/")
			h, err := s.GetByID(ctx, b.session())
			must(t, err)
			defer h.Release()
			return time.Until(h.Deadline())
		}
		for _, step := range []struct{ set, want time.Duration }{{0, time.Hour}, {2 * time.Hour, 2 * time.Hour}, {0, 2 * time.Hour}} {
			exp = step.set
			if got := deadline(); got != step.want {
				t.Errorf("SetExpiry(%v): the session ends in %v, want %v", step.set, got, step.want)
			}
			time.Sleep(time.Second)
		}
	})
}

// F4: a value that gob cannot encode is not visible, and stays.
func TestF4_HiddenValues(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	s := newStore(t, fibersession.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.Fiber()
	h := storedSession(t, s, map[string]any{"nil": nil, "list": []any{1, []map[int]string{{1: "a"}}}, "n": 1})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fiberSession(t, s, c)
		if got := strings.Join(sess.Keys(), " "); got != "n" {
			t.Errorf("got the keys %q, want n", got)
		}
		sess.Set("n", 2)
		return sess.Save()
	}})
	b := newBrowser(t, app)
	b.cookies["__Host-session"] = h.ID()
	b.get("/")
	b.get("/")
	must(t, h.Reload(ctx))
	if got := strings.Join(h.Keys(), " "); got != "list n nil" || h.Get("n") != 2 || h.Get("list") == nil {
		t.Errorf("got the keys %q, n = %v, list = %v; want list n nil, 2 and the list", got, h.Get("n"), h.Get("list"))
	}
	if n := strings.Count(log.String(), "key=list"); n != 1 {
		t.Errorf("got %d log lines that name the key, want 1:\n%s", n, log.String())
	}
}

// ring is a registered type that can contain itself.
type ring map[string]any

// F4: gob would follow an unsaved value that contains itself until the stack is full, which no
// recover catches. It is not visible, and the request's own save says why it is not stored.
func TestF4_ValueThatContainsItself(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Logger: discardLogger})
	s.RegisterType(ring{})
	s.Fiber()
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		loop := ring{}
		loop["loop"] = loop
		own := fibersession.FromContext(c)
		own.Set("loop", loop)
		own.Set("n", 1)
		if got := fiberSession(t, s, c).Keys(); len(got) != 1 || got[0] != "n" {
			t.Errorf("got the keys %q, want n alone", got)
		}
		if err := own.Save(); !errors.Is(err, fibersession.ErrTooLarge) {
			t.Errorf("Save: got %v, want ErrTooLarge", err)
		}
		own.Delete("loop")
		return nil
	}})
	if res := newBrowser(t, app).get("/"); res.status != 200 {
		t.Errorf("got status %d, want 200", res.status)
	}
}

// F4: with a codec that does not keep a value's type, Save fails instead of storing a value that
// the middleware cannot find again.
func TestF4_OtherCodec(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Codec: fibersession.JSON{}})
	s.Fiber().RegisterType(csrf.Token{})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fiberSession(t, s, c)
		sess.Set("text", "a")
		sess.Set("n", 2)
		noError(t, sess.Save())
		sess = fiberSession(t, s, c)
		sess.Set("token", csrf.Token{Key: "a"})
		err := sess.Save()
		if !errors.Is(err, fibersession.ErrUnsupportedType) || !strings.Contains(err.Error(), "csrf.Token") {
			t.Errorf("got %v, want ErrUnsupportedType with the type", err)
		}
		return nil
	}})
	newBrowser(t, app).get("/")
}

// F4: values and identity in other layouts.
func TestF4_Layouts(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]fibersession.Config{
		"builtin": {Builtin: true},
		"express": {Express: &fibersession.Express{Secrets: []string{strings.Repeat("s", 32)}}},
		"signed":  {Cookie: fibersession.Cookie{Secrets: [][]byte{make([]byte, 32)}}},
		"header":  {KeyLookup: "header:X-Session"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, cfg)
			s.Fiber()
			app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
				sess := fiberSession(t, s, c)
				n, _ := sess.Get("n").(int)
				sess.Set("n", n+1)
				if n == 1 {
					noError(t, sess.Regenerate())
				}
				noError(t, sess.Save())
				if got := fibersession.FromContext(c).Get("n"); got != n+1 {
					t.Errorf("got n = %v, want %d", got, n+1)
				}
				return c.SendString(strings.Repeat("+", n+1))
			}})
			b := newBrowser(t, app)
			b.headers = map[string]string{}
			for _, want := range []string{"+", "++", "+++"} {
				res := b.get("/")
				if res.status != 200 || res.body != want {
					t.Errorf("got %d %q, want %q", res.status, res.body, want)
				}
				if id := res.header.Get("X-Session"); id != "" {
					b.headers["X-Session"] = id
				}
			}
		})
	}
}

// F4: a session of Store.Fiber cannot be used after its request.
func TestF4_RequestOver(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	s.Fiber()
	var id string
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error { id = fiberSession(t, s, c).ID(); return nil }})
	newBrowser(t, app).get("/")
	st := s.Fiber().Storage
	_, err := st.Get(id)
	for name, err := range map[string]error{"Get": err, "Set": st.Set(id, nil, 0), "Delete": s.Fiber().Delete(id)} {
		if !errors.Is(err, fibersession.ErrRequestOver) {
			t.Errorf("%s: got %v, want ErrRequestOver", name, err)
		}
	}
}

// F4: watchers see what Fiber's session saved.
func TestF4_Changed(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	s.Fiber()
	h := storedSession(t, s, nil)
	rec := recordEvents(t, h)
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fiberSession(t, s, c)
		sess.Set("role", "admin")
		return sess.Save()
	}})
	b := newBrowser(t, app)
	b.cookies["__Host-session"] = h.ID()
	b.get("/")
	if e := rec.nextOfKind(fibersession.Changed); strings.Join(e.Keys, " ") != "role" {
		t.Errorf("got a change of %q, want role", e.Keys)
	}
}
