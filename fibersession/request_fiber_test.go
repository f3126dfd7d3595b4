package fibersession_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// What a request may do with its session, in the order in which Fiber's apps do it. The
// package internal/dropin compares the same sequences with Fiber's own middleware.
func TestF2_Sequences(t *testing.T) {
	t.Parallel()
	type step func(sess *fibersession.Session) error
	set := func(key string, v any) step {
		return func(sess *fibersession.Session) error { sess.Set(key, v); return nil }
	}
	expiry := func(sess *fibersession.Session) error { sess.SetExpiry(time.Minute); return nil }
	var (
		save    step = (*fibersession.Session).Save
		destroy step = (*fibersession.Session).Destroy
		renew   step = (*fibersession.Session).Regenerate
		reset   step = (*fibersession.Session).Reset
	)
	tests := map[string]struct {
		steps   []step
		handler bool   // the request passes Handler
		next    string // what the next request finds: user and flash
	}{
		"Destroy, Save":                       {[]step{destroy, save}, false, "<nil> <nil>"},
		"Destroy, SetExpiry, Save":            {[]step{destroy, expiry, save}, false, "<nil> <nil>"},
		"Destroy twice, Save":                 {[]step{destroy, destroy, save}, false, "<nil> <nil>"},
		"Set, Destroy, Save":                  {[]step{set("flash", 1), destroy, save}, false, "<nil> <nil>"},
		"Destroy, Set, Save":                  {[]step{destroy, set("flash", 1), save}, false, "<nil> 1"},
		"Destroy, SetExpiry, Set, Save":       {[]step{destroy, expiry, set("flash", 1), save}, false, "<nil> 1"},
		"Destroy, Set":                        {[]step{destroy, set("flash", 1)}, false, "<nil> <nil>"},
		"Destroy, Regenerate, Set, Save":      {[]step{destroy, renew, set("flash", 1), save}, false, "<nil> 1"},
		"Destroy, Reset, Set, Save":           {[]step{destroy, reset, set("flash", 1), save}, false, "<nil> 1"},
		"Destroy, Set, Save, Destroy":         {[]step{destroy, set("flash", 1), save, destroy}, false, "<nil> <nil>"},
		"Regenerate":                          {[]step{renew}, false, "<nil> <nil>"},
		"Regenerate twice":                    {[]step{renew, renew}, false, "<nil> <nil>"},
		"Regenerate, Set":                     {[]step{renew, set("flash", 1)}, false, "<nil> <nil>"},
		"Regenerate, Save":                    {[]step{renew, save}, false, "ada <nil>"},
		"Regenerate, Set, Save":               {[]step{renew, set("flash", 1), save}, false, "ada 1"},
		"Set, Regenerate, Save":               {[]step{set("flash", 1), renew, save}, false, "ada 1"},
		"Regenerate, Save, Regenerate":        {[]step{renew, save, renew}, false, "<nil> <nil>"},
		"Regenerate, Save, Save":              {[]step{renew, save, save}, false, "ada <nil>"},
		"Regenerate, Destroy":                 {[]step{renew, destroy}, false, "<nil> <nil>"},
		"Reset":                               {[]step{reset}, false, "<nil> <nil>"},
		"Reset, Save":                         {[]step{reset, save}, false, "<nil> <nil>"},
		"Reset, Set, Save":                    {[]step{reset, set("flash", 1), save}, false, "<nil> 1"},
		"with Handler: Destroy":               {[]step{destroy}, true, "<nil> <nil>"},
		"with Handler: Destroy, Save":         {[]step{destroy, save}, true, "<nil> <nil>"},
		"with Handler: Destroy, Set":          {[]step{destroy, set("flash", 1)}, true, "<nil> 1"},
		"with Handler: Regenerate":            {[]step{renew}, true, "ada <nil>"},
		"with Handler: Set, Regenerate":       {[]step{set("flash", 1), renew}, true, "ada 1"},
		"with Handler: Reset, Set":            {[]step{reset, set("flash", 1)}, true, "<nil> 1"},
		"with Handler: Destroy, Set, Destroy": {[]step{destroy, set("flash", 1), destroy}, true, "<nil> <nil>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{})
			app := fiber.New()
			if tt.handler {
				app.Use(s.Handler())
			}
			app.Get("/in", func(c *fiber.Ctx) error {
				sess, err := s.Get(c)
				if err != nil {
					return err
				}
				sess.Set("user", "ada")
				return sess.Save()
			})
			app.Get("/steps", func(c *fiber.Ctx) error {
				sess, err := s.Get(c)
				if err != nil {
					return err
				}
				for i, step := range tt.steps {
					if err := step(sess); err != nil {
						return fmt.Errorf("step %d: %w", i, err)
					}
				}
				return c.SendString("done")
			})
			app.Get("/", func(c *fiber.Ctx) error {
				sess, err := s.Get(c)
				if err != nil {
					return err
				}
				return c.SendString(fmt.Sprint(sess.Get("user"), " ", sess.Get("flash")))
			})
			b := newBrowser(t, app)
			b.get("/in")
			before := b.session()
			h := handleOf(t, s, before)
			if res := b.get("/steps"); res.status != 200 || res.body != "done" {
				t.Fatalf("got status %d %q, want 200", res.status, res.body)
			}
			if res := b.get("/"); res.body != tt.next {
				t.Errorf("the next request: got user and flash %q, want %q", res.body, tt.next)
			}
			if ended, want := h.Err() != nil, !strings.HasPrefix(tt.next, "ada"); ended != want {
				t.Errorf("the first session has ended: %t, want %t", ended, want)
			}
		})
	}
}

// Every Get in a request returns the same Session, also after Destroy: a middleware that
// holds it saves what the handler set.
func TestF2_GetAfterDestroy(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := fiber.New()
	app.Use(func(c *fiber.Ctx) error { // an app's own session middleware
		sess, err := s.Get(c)
		if err != nil {
			return err
		}
		c.Locals("session", sess)
		if err := c.Next(); err != nil {
			return err
		}
		return sess.Save()
	})
	app.Get("/in", func(c *fiber.Ctx) error {
		c.Locals("session").(*fibersession.Session).Set("user", "ada")
		return nil
	})
	app.Get("/out", func(c *fiber.Ctx) error { return c.Locals("session").(*fibersession.Session).Destroy() })
	app.Get("/switch", func(c *fiber.Ctx) error {
		sess, err := s.Get(c)
		if err != nil {
			return err
		}
		if err := sess.Destroy(); err != nil {
			return err
		}
		if sess, err = s.Get(c); err != nil || sess.Get("user") != nil || !sess.Fresh() || sess != c.Locals("session") {
			t.Errorf("after Destroy: got error %v, user %v, Fresh %t; want the same Session, new and empty", err, sess.Get("user"), sess.Fresh())
		}
		sess.Set("user", "bob")
		return nil
	})
	app.Get("/delete", func(c *fiber.Ctx) error { return s.Delete(c.Locals("session").(*fibersession.Session).ID()) })
	app.Get("/", func(c *fiber.Ctx) error {
		return c.SendString(fmt.Sprint(c.Locals("session").(*fibersession.Session).Get("user")))
	})
	b := newBrowser(t, app)
	for _, step := range []struct{ path, want string }{
		{"/in", ""}, {"/", "ada"}, {"/switch", ""}, {"/", "bob"}, {"/out", ""}, {"/", "<nil>"},
		{"/in", ""}, {"/delete", ""}, {"/", "<nil>"},
	} {
		if res := b.get(step.path); res.status != 200 || res.body != step.want {
			t.Errorf("%s: got status %d %q, want 200 %q", step.path, res.status, res.body, step.want)
		}
	}
}

func TestF2_Fresh(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error {
		var got []string
		sess, err := s.Get(c)
		record := func(what string) { got = append(got, fmt.Sprint(what, " ", sess.Fresh())) }
		record("Get")
		for _, step := range strings.Fields(c.Query("steps")) {
			switch step {
			case "Get":
				sess, err = s.Get(c)
			case "Save":
				err = sess.Save()
			case "Regenerate":
				err = sess.Regenerate()
			case "Reset":
				err = sess.Reset()
			}
			if err != nil {
				return err
			}
			record(step)
		}
		return c.SendString(strings.Join(got, ", "))
	})
	b := newBrowser(t, app)
	for _, step := range []struct{ steps, want string }{ // what Fiber says
		{"Get Save Get", "Get true, Get true, Save true, Get true"},
		{"Get Save", "Get false, Get false, Save false"},
		{"Regenerate Save", "Get false, Regenerate true, Save true"},
		{"Reset Save", "Get false, Reset true, Save true"},
		{"", "Get false"},
	} {
		if res := b.get("/?steps=" + strings.ReplaceAll(step.steps, " ", "+")); res.body != step.want {
			t.Errorf("got  %q\nwant %q", res.body, step.want)
		}
	}
}

// A new ID that no response carried ends with its request, although its data was stored.
func TestF2_RegenerateWithoutSave_EndsEverywhere(t *testing.T) {
	t.Parallel()
	st := memory.New()
	t.Cleanup(func() { must(t, st.Close()) })
	a, b := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	app := fiber.New()
	app.Get("/logout", func(c *fiber.Ctx) error {
		sess, err := a.Get(c)
		if err != nil {
			return err
		}
		return sess.Regenerate()
	})
	h := storedSession(t, a, map[string]any{"user": "ada"})
	id := h.ID()
	other := handleOf(t, b, id)
	ended := make(chan fibersession.Event, 8)
	t.Cleanup(other.Watch(func(e fibersession.Event) {
		if e.Kind == fibersession.Ended {
			ended <- e
		}
	}))
	br := newBrowser(t, app)
	br.cookies["__Host-session"] = id
	if res := br.get("/logout"); res.status != 200 || len(res.set) != 0 {
		t.Errorf("got status %d with %d cookies, want 200 with none", res.status, len(res.set))
	}
	if e := <-ended; !errors.Is(e.Cause, fibersession.ErrDestroyed) {
		t.Errorf("the other node: got the cause %v, want ErrDestroyed", e.Cause)
	}
	if h.Err() == nil {
		t.Error("the session is alive")
	}
}

func TestF1_PromotedFields(t *testing.T) {
	t.Parallel()
	st := memory.New()
	t.Cleanup(func() { must(t, st.Close()) })
	for name, s := range map[string]*fibersession.Store{
		"New":       fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, KeyLookup: "cookie:sid"}),
		"a literal": {Config: fibersession.Config{Storage: st, Expiration: time.Hour, KeyLookup: "cookie:sid"}},
	} {
		t.Cleanup(func() { must(t, s.Close()) })
		b := newBrowser(t, userApp(s))
		b.get("/in")
		if res := b.get("/"); res.body != "ada" || b.cookies["sid"] == "" {
			t.Errorf("%s: got the user %q and the cookies %v, want ada in the cookie sid", name, res.body, b.cookies)
		}
		if s.Storage == nil || s.Expiration != time.Hour || s.KeyLookup != "cookie:sid" || len(s.KeyGenerator()) != 43 {
			t.Errorf("%s: got Storage %v, Expiration %v, KeyLookup %q and an ID of %d bytes", name, s.Storage, s.Expiration, s.KeyLookup, len(s.KeyGenerator()))
		}
	}
}

// Without Handler, FromContext returns nil. No method of a nil Session may crash the
// process; those that can return an error say which line is missing.
func TestF2_NilSession(t *testing.T) { // not parallel: it replaces the default logger
	var log bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(old)

	app := fiber.New()
	var sess *fibersession.Session
	app.Get("/", func(c *fiber.Ctx) error { sess = fibersession.FromContext(c); return nil })
	newBrowser(t, app).get("/")
	v := reflect.ValueOf(sess)
	for i := range v.NumMethod() {
		m, name := v.Method(i), v.Type().Method(i).Name
		if name == "Format" || name == "MarshalJSON" { // for printing: see TestRedact
			continue
		}
		var in []reflect.Value
		for k := range m.Type().NumIn() {
			in = append(in, reflect.Zero(m.Type().In(k)))
		}
		out := m.Call(in)
		for _, o := range out {
			if err, ok := o.Interface().(error); ok && !errors.Is(err, fibersession.ErrNoHandler) {
				t.Errorf("%s: got the error %v, want ErrNoHandler", name, err)
			}
		}
		if n := len(out); n > 0 && m.Type().Out(n-1) == reflect.TypeFor[error]() && out[n-1].IsNil() {
			t.Errorf("%s: got no error, want ErrNoHandler", name)
		}
	}
	h := sess.Detach()
	defer h.Release()
	if err := h.Save(ctx); !errors.Is(err, fibersession.ErrNoHandler) {
		t.Errorf("Save of a handle that was detached from nil: got %v, want ErrNoHandler", err)
	}
	lines := log.String()
	if strings.Count(lines, "sessions.Handler()") != 1 || strings.Count(lines, "notice=session_without_handler") != 1 {
		t.Errorf("want one log line that names the missing Handler:\n%s", lines)
	}
}

func TestF2_AnotherStoreInHandler(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStore(t, fibersession.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	other := newStore(t, fibersession.Config{})
	lift := func(c *fiber.Ctx) error {
		h, err := s.Lift(c)
		if err == nil {
			h.Release()
		}
		return err
	}
	for _, tt := range []struct {
		name  string
		use   []fiber.Handler
		lines int
	}{
		{"no Handler", nil, 0},
		{"the Handler of this store", []fiber.Handler{s.Handler()}, 0},
		{"both Handlers", []fiber.Handler{s.Handler(), other.Handler()}, 0},
		{"the Handler of another store", []fiber.Handler{other.Handler()}, 1},
		{"the Handler of another store again", []fiber.Handler{other.Handler()}, 1},
	} {
		app := fiber.New()
		for _, h := range tt.use {
			app.Use(h)
		}
		app.Get("/", lift)
		if res := newBrowser(t, app).get("/"); res.status != 200 {
			t.Errorf("%s: got status %d, want 200", tt.name, res.status)
		}
		if n := strings.Count(log.String(), "from another Store"); n != tt.lines {
			t.Errorf("%s: got %d log lines so far, want %d", tt.name, n, tt.lines)
		}
	}
}

// Visitors see no text of the storage's errors, whether Handler or a handler met them first.
func TestF2_ErrorsReachNoVisitor(t *testing.T) {
	t.Parallel()
	const secret = "dial tcp 10.1.2.3:6379"
	var log bytes.Buffer
	st := faulty.New(memory.New(), nil)
	t.Cleanup(func() { must(t, st.Close()) })
	s := newStore(t, fibersession.Config{Storage: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	id := storedSession(t, s, map[string]any{"user": "ada"}).ID()
	get := func(c *fiber.Ctx) error { _, err := s.Get(c); return err }
	routes := func(app *fiber.App) *fiber.App {
		app.Get("/get", get)
		app.Get("/gone", func(*fiber.Ctx) error { return fmt.Errorf("my handler: %w", fibersession.ErrDestroyed) })
		app.Get("/large", func(*fiber.Ctx) error { return fibersession.ErrTooLarge })
		app.Get("/own", func(*fiber.Ctx) error { return errors.New("mine") })
		app.Get("/answered", func(c *fiber.Ctx) error {
			return errors.Join(fiber.NewError(418, "mine"), fibersession.ErrUnavailable)
		})
		return app
	}
	plain, handled := routes(fiber.New()), fiber.New()
	handled.Use(s.Handler())
	routes(handled)
	st.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New(secret)}))
	for _, tt := range []struct {
		name   string
		app    *fiber.App
		path   string
		status int
		body   string
	}{
		{"without Handler", plain, "/get", 500, ""},
		{"with Handler", handled, "/get", 503, "Service Unavailable"},
		{"with Handler, ErrSessionGone", handled, "/gone", 401, "Unauthorized"},
		{"with Handler, ErrTooLarge", handled, "/large", 500, "Internal Server Error"},
		{"with Handler, the handler's own error", handled, "/own", 500, "mine"},
		{"with Handler, the handler's own answer", handled, "/answered", 418, ""},
	} {
		b := newBrowser(t, tt.app)
		b.cookies["__Host-session"] = id
		res := b.get(tt.path)
		if res.status != tt.status || tt.body != "" && res.body != tt.body || strings.Contains(res.body, "10.1.2.3") {
			t.Errorf("%s: got status %d %q, want %d %q", tt.name, res.status, res.body, tt.status, tt.body)
		}
	}
	if n := strings.Count(log.String(), secret); n != 1 {
		t.Errorf("got %d log lines with the cause, want 1", n)
	}
}

type basket struct {
	Items []string
	note  string // not stored
}

// As in Fiber, an app may change what Get returned, or what it gave to Set, without another
// Set.
func TestF2_ChangesInPlace(t *testing.T) {
	t.Parallel()
	type steps func(sess *fibersession.Session)
	tests := map[string]struct {
		in, want any
		do       steps
	}{
		"a map from Get": {map[string]int{"tea": 1}, map[string]int{"tea": 2}, func(s *fibersession.Session) { s.Get("v").(map[string]int)["tea"]++ }},
		"a map from two Gets": {map[string]int{"tea": 1}, map[string]int{"tea": 3}, func(s *fibersession.Session) {
			s.Get("v").(map[string]int)["tea"]++
			s.Get("v").(map[string]int)["tea"]++
		}},
		"a map given to Set":      {nil, map[string]int{"tea": 1}, func(s *fibersession.Session) { m := map[string]int{}; s.Set("v", m); m["tea"] = 1 }},
		"a slice from Get":        {[]string{"a", "b"}, []string{"z", "b"}, func(s *fibersession.Session) { s.Get("v").([]string)[0] = "z" }},
		"a map inside a map":      {map[string]any{"in": map[string]any{}}, map[string]any{"in": map[string]any{"n": 1}}, func(s *fibersession.Session) { s.Get("v").(map[string]any)["in"].(map[string]any)["n"] = 1 }},
		"a slice inside a struct": {basket{Items: []string{"a"}}, basket{Items: []string{"z"}}, func(s *fibersession.Session) { s.Get("v").(basket).Items[0] = "z" }},
		"Delete after a change":   {map[string]int{"tea": 1}, nil, func(s *fibersession.Session) { s.Get("v").(map[string]int)["tea"]++; s.Delete("v") }},
		"Set after a change":      {map[string]int{"tea": 1}, 7, func(s *fibersession.Session) { s.Get("v").(map[string]int)["tea"]++; s.Set("v", 7) }},
		"Reload after a change":   {map[string]int{"tea": 1}, map[string]int{"tea": 1}, func(s *fibersession.Session) { s.Get("v").(map[string]int)["tea"]++; _ = s.Reload() }},
		"a change after Save":     {map[string]int{"tea": 1}, map[string]int{"tea": 3}, func(s *fibersession.Session) { m := s.Get("v").(map[string]int); m["tea"]++; _ = s.Save(); m["tea"]++ }},
		"Destroy after a change":  {map[string]int{"tea": 1}, nil, func(s *fibersession.Session) { s.Get("v").(map[string]int)["tea"]++; _ = s.Destroy() }},
		"a change and an Update of it": {map[string]int{"tea": 1}, map[string]int{"tea": 9}, func(s *fibersession.Session) {
			_ = s.Get("v")
			_ = s.Update(func(tx *fibersession.Tx) error { tx.Set("v", map[string]int{"tea": 9}); return nil })
		}},
	}
	for name, tt := range tests {
		for _, handler := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, Handler %t", name, handler), func(t *testing.T) {
				t.Parallel()
				s := newStore(t, fibersession.Config{})
				s.RegisterType(basket{})
				app := fiber.New()
				if handler {
					app.Use(s.Handler())
				}
				app.Get("/", func(c *fiber.Ctx) error {
					sess, err := s.Get(c)
					if err != nil {
						return err
					}
					if tt.do(sess); handler {
						return nil
					}
					return sess.Save()
				})
				h := storedSession(t, s, map[string]any{"v": tt.in})
				b := newBrowser(t, app)
				b.cookies["__Host-session"] = h.ID()
				if res := b.get("/"); res.status != 200 {
					t.Fatalf("got status %d %s, want 200", res.status, res.body)
				}
				if got := h.Get("v"); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		}
	}
}

// A value that is only read is not stored again, also if it differs from its copy in what
// is not stored.
func TestF2_ReadingWritesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	s.RegisterType(basket{})
	app := newApp(s, map[string]fiber.Handler{
		"/read": func(c *fiber.Ctx) error { _ = fibersession.FromContext(c).Get("v"); return nil },
		"/set": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("v", basket{Items: []string{"a"}, note: "mine"})
			return sess.Save()
		},
	})
	b := newBrowser(t, app)
	for _, path := range []string{"/set", "/read", "/read"} {
		b.get(path)
	}
	if n := s.Stats().Writes; n != 1 {
		t.Errorf("got %d writes, want 1", n)
	}
}
