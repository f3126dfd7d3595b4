package inspector_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// site is one node of a small app: users log in, join rooms, send messages and count.
type site struct {
	t       *testing.T
	url     string
	io      *socketbridge.Server
	log     *testlog.Log
	revoked atomic.Bool // root is no administrator any more
}

// options change the app.
type options struct {
	mount     string // of the inspector; "" for "/inspector", "-" for none
	bridge    func(cfg *socketbridge.Config)
	inspector func(cfg *inspector.Config)
	app       func(app *fiber.App, io *socketbridge.Server)
}

// startNodes starts nodes that share a Redis. The options are those of each node; missing ones
// are those of the first.
func startNodes(t *testing.T, nodes int, opts ...options) []*site {
	t.Helper()
	url := redistest.Start(t).URL()
	all := make([]*site, nodes)
	for n := range all {
		var o options
		if len(opts) > 0 {
			o = opts[min(n, len(opts)-1)]
		}
		store, err := storage.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		all[n] = start(t, store, redisadapter.For(store), o)
	}
	return all
}

// start starts one node.
func start(t *testing.T, store storage.Storage, link adapter.Adapter, o options) *site {
	t.Helper()
	s := &site{t: t, log: &testlog.Log{}}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sessions := fibersession.New(fibersession.Config{Storage: store, UserKey: "user", Logger: logger, Timeouts: fibersession.Timeouts{Storage: 20 * time.Second}})
	bridge := socketbridge.Config{Sessions: sessions, Adapter: link, Logger: logger}
	if o.bridge != nil {
		o.bridge(&bridge)
	}
	s.io = socketbridge.New(bridge)
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute})
	s.io.LimitBodies(app)
	app.Use(sessions.Handler())
	app.Use(s.io.Handler())
	if o.mount != "-" {
		cfg := inspector.Config{Bridge: s.io, Logger: logger, Values: []string{"theme"}, Authorize: func(c *fiber.Ctx) (string, error) {
			user, err := fibersession.Value[string](fibersession.FromContext(c), "user")
			if err != nil || user != "root" || s.revoked.Load() {
				return "", fiber.ErrNotFound
			}
			return user, nil
		}}
		if o.inspector != nil {
			o.inspector(&cfg)
		}
		mount := o.mount
		if mount == "" {
			mount = "/inspector"
		}
		app.Use(mount, inspector.New(cfg))
	}
	if o.app != nil {
		o.app(app, s.io)
	}
	app.Get("/", func(c *fiber.Ctx) error { return c.Type("html").SendString("<h1>The app</h1>") })
	app.Post("/login/:user", func(c *fiber.Ctx) error {
		user, err := url.PathUnescape(c.Params("user"))
		return errors.Join(err, fibersession.FromContext(c).Login(strings.Clone(user)))
	})
	app.Post("/set/:key/:value", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set(strings.Clone(c.Params("key")), strings.Clone(c.Params("value")))
		return nil
	})
	s.io.On("join", func(p *socketbridge.Packet) error {
		var room string
		if err := p.Bind(&room); err != nil {
			return err
		}
		if p.Socket().User() == "bob" && room == "gardens" {
			return errors.New("the list of members cannot be read: column gardens.members does not exist")
		}
		if err := p.Socket().Join(room); err != nil {
			return err
		}
		return p.Ack(true)
	})
	s.io.On("say", func(p *socketbridge.Packet) error {
		var room, text string
		if err := p.Bind(&room, &text); err != nil {
			return err
		}
		return errors.Join(s.io.To(room).Emit("message", text), p.Ack(true))
	})
	contract.Event[int, int]("typed").Handle(s.io, func(_ *socketbridge.Packet, n int) (int, error) { return n, nil })
	s.io.On("keep", func(p *socketbridge.Packet) error {
		var key, value string
		if err := p.Bind(&key, &value); err != nil {
			return err
		}
		p.Session().Set(key, value)
		return p.Ack(true)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // received below
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(s.io.Shutdown(ctx), app.ShutdownWithContext(ctx), <-served, sessions.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// do sends a request and returns the response with its body.
func (s *site) do(method, path, cookie string, header ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	for k := 0; k < len(header); k += 2 {
		req.Header.Set(header[k], header[k+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(body)
}

// logIn logs a user in and returns the session's cookie.
func (s *site) logIn(user string) (cookie string) {
	s.t.Helper()
	res, body := s.do("POST", "/login/"+user, "")
	for _, c := range res.Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	if res.StatusCode != 200 || cookie == "" {
		s.t.Fatalf("login of %s: %d %s", user, res.StatusCode, body)
	}
	return cookie
}

// pass gets a pass for the namespace.
func (s *site) pass(cookie string) string {
	s.t.Helper()
	res, body := s.do("POST", "/inspector/pass", cookie, "X-Inspector", "1")
	if res.StatusCode != 200 {
		s.t.Fatalf("pass: %d %s", res.StatusCode, body)
	}
	return strings.TrimSuffix(strings.TrimPrefix(body, `{"pass":"`), `"}`)
}

// socketOf connects a user with the official client, and returns the client and the cookie.
func (s *site) socketOf(n *nodetest.Node, user string) (*nodetest.Client, string) {
	s.t.Helper()
	cookie := s.logIn(user)
	return n.Connect(s.t, s.url, nodetest.Options{Cookie: cookie}), cookie
}

// openPage logs root in within a new window and opens the inspector.
func (s *site) openPage(b *nodetest.Browser, width int, scheme string) *nodetest.Page {
	s.t.Helper()
	page := b.NewContext(map[string]any{"viewport": map[string]int{"width": width, "height": 860}, "colorScheme": scheme}).Open(s.url)
	page.Eval(`await fetch("/login/root", { method: "POST" })`, nil, nil)
	page.Goto(s.url + "/inspector")
	page.WaitText("#state.on", "live")
	return page
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), nodetest.Timeout)
	t.Cleanup(cancel)
	return c
}
