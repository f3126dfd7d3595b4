package fibersession_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	fiberws "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// checkRequestOver fails the test unless sess rejects every use, as it must once its
// request is over.
func checkRequestOver(t *testing.T, round int, sess *fibersession.Session) {
	t.Helper()
	sess.Set("late", true)
	sess.Delete("user")
	if sess.Get("user") != nil || sess.ID() != "" || sess.Keys() != nil || sess.Fresh() || sess.Changed() || sess.Pseudonym("x") != "" {
		t.Errorf("round %d: a session still returns data after its request", round)
	}
	_, incr := sess.Incr("n", 1)
	for name, err := range map[string]error{
		"Save":       sess.Save(),
		"Destroy":    sess.Destroy(),
		"Regenerate": sess.Regenerate(),
		"Reset":      sess.Reset(),
		"Reload":     sess.Reload(),
		"Touch":      sess.Touch(),
		"Update":     sess.Update(func(*fibersession.Tx) error { return nil }),
		"Incr":       incr,
		"Err":        sess.Err(),
		"Detach":     sess.Detach().Err(),
	} {
		if !errors.Is(err, fibersession.ErrRequestOver) {
			t.Errorf("round %d: %s: got %v, want ErrRequestOver", round, name, err)
		}
	}
}

// A WebSocket callback kept the session of its upgrade request, with and without Handler.
// Every use of it fails, and no other visitor's response is affected.
func TestD1_N13_SessionOfAnUpgradedRequest(t *testing.T) {
	t.Parallel()
	for name, withHandler := range map[string]bool{"with Handler": true, "without Handler": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{})
			app := fiber.New(fiber.Config{DisableStartupMessage: true})
			if withHandler {
				app.Use(s.Handler())
			}
			upgraded, others := make(chan struct{}), make(chan struct{})
			kept := make(chan *fibersession.Session, 1)
			finished := make(chan struct{})
			app.Get("/ws", func(c *fiber.Ctx) error {
				sess, err := s.Get(c)
				if err != nil {
					return err
				}
				sess.Set("user", "alice")
				if err := sess.Save(); err != nil {
					return err
				}
				kept <- sess
				return c.Next()
			}, fiberws.New(func(*fiberws.Conn) {
				upgraded <- struct{}{}
				<-others
				finished <- struct{}{}
			}))
			app.Get("/", func(c *fiber.Ctx) error { return c.SendString("hello") })
			addr := serve(t, app)

			for round := range 20 {
				conn, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", nil)
				must(t, err)
				<-upgraded
				sess := <-kept
				// Other requests reuse the pooled objects of the upgrade request while the
				// callback runs.
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						if body, cookie := visit(t, "http://"+addr+"/", ""); body != "hello" || cookie != "" {
							t.Errorf("round %d: another visitor got %q and the cookie %q, want \"hello\" and none", round, body, cookie)
						}
					})
				}
				wg.Go(func() { checkRequestOver(t, round, sess) })
				wg.Wait()
				others <- struct{}{}
				<-finished
				_ = conn.CloseNow()
				checkRequestOver(t, round, sess)
			}
			// fasthttp closes the values of an upgraded request, and so releases its session, after
			// the callback has returned, on a goroutine that Shutdown of the app does not wait for.
			waitFor(t, "the release of the last session", func() bool { return s.Stats().States == 0 })
		})
	}
}

// A session that is kept after its request is useless, although the same memory serves the
// next request on the keep-alive connection (D3, D7, D19).
func TestD7_D19_SessionOfAnEarlierRequest(t *testing.T) {
	t.Parallel()
	for name, withHandler := range map[string]bool{"with Handler": true, "without Handler": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{})
			app := fiber.New(fiber.Config{DisableStartupMessage: true})
			if withHandler {
				app.Use(s.Handler())
			}
			var kept *fibersession.Session
			app.Get("/:user", func(c *fiber.Ctx) error {
				sess, err := s.Get(c)
				if err != nil {
					return err
				}
				round := len(c.Params("user"))
				if kept != nil {
					checkRequestOver(t, round, kept)
				}
				kept = sess
				old := valueOf[string](sess, "user")
				sess.Set("user", strings.Clone(c.Params("user")))
				if err := sess.Save(); err != nil {
					return err
				}
				if got := sess.Get("user"); got != c.Params("user") {
					t.Errorf("after Save: got user %v, want %s", got, c.Params("user"))
				}
				return c.SendString(old)
			})
			addr := serve(t, app)
			client := http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
			defer client.CloseIdleConnections()

			ids := make(map[string]bool)
			for round := range 20 {
				user := strings.Repeat("u", round+1)
				req, err := http.NewRequest("GET", "http://"+addr+"/"+user, nil)
				must(t, err)
				res, err := client.Do(req)
				must(t, err)
				body, err := io.ReadAll(res.Body)
				must(t, err)
				_ = res.Body.Close()
				if len(body) != 0 {
					t.Errorf("round %d: a new visitor got the session of %q", round, body)
				}
				for _, c := range res.Cookies() {
					if ids[c.Value] {
						t.Errorf("round %d: the cookie is that of an earlier visitor", round)
					}
					ids[c.Value] = true
				}
			}
			if len(ids) != 20 {
				t.Errorf("got %d different cookies for 20 visitors, want 20", len(ids))
			}
		})
	}
}

// A handle copies its strings from the request, whose buffers are overwritten afterwards.
func TestD19_HandleSharesNoMemoryWithItsRequest(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	var h *fibersession.Handle
	app := newApp(s, map[string]fiber.Handler{
		"/lift": func(c *fiber.Ctx) (err error) {
			h, err = s.Lift(c)
			return err
		},
		"/": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("n", 1)
			// Overwrite the buffers, as a later request would.
			defer func() {
				for _, v := range c.Request().Header.PeekAll("Cookie") {
					clear(v)
				}
			}()
			return nil
		},
	})
	b := newBrowser(t, app)
	b.get("/")
	id := b.session()
	app.Server().Handler = func(next func(*fasthttpCtx)) func(*fasthttpCtx) {
		return func(c *fasthttpCtx) {
			next(c)
			raw := c.Request.Header.RawHeaders()
			for i := range raw {
				raw[i] = 'x'
			}
			for _, v := range c.Request.Header.Cookies() {
				for i := range v {
					v[i] = 'x'
				}
			}
		}
	}(app.Handler())
	b.get("/lift")
	defer h.Release()
	if h.ID() != id || !strings.HasPrefix(id, h.ID()) {
		t.Error("the handle's ID changed with the request's buffers")
	}
	must(t, h.Reload(ctx))
}

// While a response body streams, Handler has returned. It is too late for a cookie.
func TestSession_WhileTheBodyStreams(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	result := make(chan error, 1)
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		sess.Set("n", 1)
		r, w := io.Pipe()
		go func() { // the receive below waits for it
			_, _ = io.WriteString(w, "x")
			result <- sess.Save()
			_ = w.Close()
		}()
		return c.SendStream(r)
	}})
	res := newBrowser(t, app).get("/")
	if err := <-result; !errors.Is(err, fibersession.ErrRequestOver) {
		t.Errorf("Save while the body streams: got %v, want ErrRequestOver", err)
	}
	if len(res.set) != 1 {
		t.Errorf("got %d cookies, want the one that Handler wrote", len(res.set))
	}
}

// Goroutines that use a request's session for the first time at the same moment get the
// same session.
func TestSession_ConcurrentFirstUse(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		var wg sync.WaitGroup
		ids := make([]string, 8)
		for i := range ids {
			wg.Go(func() { ids[i] = sess.ID() })
		}
		wg.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Errorf("got the IDs %q, want the same one in every goroutine", ids)
			}
		}
		return nil
	}})
	for range 20 {
		newBrowser(t, app).get("/")
	}
}

// Strings of Fiber's request are overwritten by the next request. The session stores
// copies, also of those inside maps and structs.
func TestD19_ValuesFromTheRequest(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	type user struct{ Name string }
	s.RegisterType(user{})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(s.Handler())
	app.Get("/:v", func(c *fiber.Ctx) error {
		v := c.Params("v")
		sess := fibersession.FromContext(c)
		sess.Set("string", v)
		sess.Set(v, 1)
		sess.Set("list", []string{v})
		sess.Set("map", map[string]any{v: []any{v}})
		sess.Set("struct", user{v})
		if err := sess.Update(func(tx *fibersession.Tx) error { tx.Set("tx", v); return nil }); err != nil {
			return err
		}
		_, err := sess.Incr("n"+v, 1)
		return err
	})
	addr := serve(t, app)
	client := http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	visit := func(v string, c *http.Cookie) *http.Cookie {
		req, err := http.NewRequest("GET", "http://"+addr+"/"+v, nil)
		must(t, err)
		if c != nil {
			req.AddCookie(c)
		}
		res, err := client.Do(req)
		must(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if c == nil {
			c = res.Cookies()[0]
		}
		return c
	}
	c := visit("cccc", nil)
	h := handleOf(t, s, c.Value) // keeps the session in memory
	visit("aaaa", c)
	for range 3 {
		visit("bbbb", nil)
	}
	m := valueOf[map[string]any](h, "map")
	if h.Get("string") != "aaaa" || h.Get("aaaa") != 1 || h.Get("naaaa") != 1 || h.Get("tx") != "aaaa" ||
		valueOf[[]string](h, "list")[0] != "aaaa" || valueOf[user](h, "struct").Name != "aaaa" ||
		len(h.Keys()) != 9 || len(m) != 1 || m["aaaa"].([]any)[0] != "aaaa" {
		t.Errorf("the session became another request's: %q, %v %v %v %v %v", h.Keys(),
			h.Get("string"), h.Get("list"), m, h.Get("struct"), h.Get("tx"))
	}
}
