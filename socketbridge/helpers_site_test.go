package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// site is an app with sessions and sockets, listening on its own port.
type site struct {
	t        testing.TB
	url      string
	app      *fiber.App
	sessions *fibersession.Store
	io       *socketbridge.Server
	listener net.Listener
}

// options configures a site.
type options struct {
	storage  string // default: memory://
	sessions fibersession.Config
	bridge   socketbridge.Config
	before   func(app *fiber.App)                                  // adds handlers that run before the session handler
	log      *slog.Logger                                          // default: none
	fiber    fiber.Config                                          // default: none
	mount    func(app *fiber.App, sessions, sockets fiber.Handler) // default: both with app.Use
	noLimits bool                                                  // LimitBodies is not called
	listener net.Listener                                          // for a site that needs its URL before serve; default: serve opens one
}

// newSite creates a site. It listens after serve.
func newSite(t testing.TB, o options) *site {
	t.Helper()
	if o.storage == "" {
		o.storage = "memory://"
	}
	store, err := storage.Open(o.storage)
	if err != nil {
		t.Fatal(err)
	}
	if o.sessions.Storage == nil {
		o.sessions.Storage = store
	}
	if o.log == nil {
		o.log = silent
	}
	o.sessions.Logger, o.bridge.Logger = o.log, o.log
	o.fiber.DisableStartupMessage, o.fiber.ReadTimeout = true, time.Minute
	s := &site{t: t, listener: o.listener, app: fiber.New(o.fiber)}
	s.app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // so that idle workers do not disturb counts of goroutines
	s.sessions = fibersession.New(o.sessions)
	o.bridge.Sessions = s.sessions
	if o.bridge.Engine.Timeouts.Close == 0 {
		o.bridge.Engine.Timeouts.Close = time.Second // a client that stopped polling because its session ended does not fetch the close packet
	}
	if o.bridge.Limits.MaxConnsPerSession == 0 {
		o.bridge.Limits.MaxConnsPerSession = -1
	}
	o.bridge.Engine.Limits.MaxConnsPerIP = -1
	o.bridge.Engine.Limits.ConnRatePerIP = -1
	if o.bridge.Limits.EventsPerSecond == 0 {
		o.bridge.Limits.EventsPerSecond = -1
	}
	s.io = socketbridge.New(o.bridge)
	if !o.noLimits {
		s.io.LimitBodies(s.app)
	}
	if o.before != nil {
		o.before(s.app)
	}
	if o.mount != nil {
		o.mount(s.app, s.sessions.Handler(), s.io.Handler())
	} else {
		s.app.Use(s.sessions.Handler(), s.io.Handler())
	}
	t.Cleanup(func() {
		shutdown(t, s.io)
		// Longer than ReadTimeout: a browser may hold an unused connection open.
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		defer cancel()
		if s.url != "" {
			if err := s.app.ShutdownWithContext(ctx); err != nil {
				t.Errorf("the app did not shut down: %v", err)
			}
		}
		if err := errors.Join(s.sessions.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// serve starts listening. Add the routes first.
func (s *site) serve() *site {
	s.t.Helper()
	ln := s.listener
	if ln == nil {
		ln = listen(s.t)
	}
	s.url = "http://" + ln.Addr().String()
	go func() { _ = s.app.Listener(ln) }() // ShutdownWithContext, at the test's end, waits for it
	return s
}

// listen opens a listener on a free port.
func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// counter adds the routes and events of the classic counter: POST /incr and "incr".
func (s *site) counter() *site {
	s.app.Post("/incr", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		n := valueOf[int](sess, "count") + 1
		sess.Set("count", n)
		return c.JSON(n)
	})
	s.app.Get("/count", func(c *fiber.Ctx) error {
		return c.JSON(valueOf[int](fibersession.FromContext(c), "count"))
	})
	s.io.On("incr", func(p *socketbridge.Packet) error {
		n := valueOf[int](p.Session(), "count") + 1
		p.Session().Set("count", n)
		return p.Ack(n)
	})
	s.io.On("count", func(p *socketbridge.Packet) error {
		return p.Ack(valueOf[int](p.Session(), "count"))
	})
	return s
}

func (s *site) agent() *agent {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	a := &agent{t: s.t, site: s, http: &http.Client{Jar: jar, Transport: &http.Transport{}, Timeout: 30 * time.Second}}
	s.t.Cleanup(a.http.CloseIdleConnections)
	return a
}

// onEachStorage runs a test with each storage that an app can configure by URL.
func onEachStorage(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, "memory://") })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, redistest.Start(t).URL()) })
}

// plainStorage is a minimal fiber.Storage without any optional interface.
type plainStorage struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (p *plainStorage) Get(key string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[key], nil
}

func (p *plainStorage) Set(key string, val []byte, _ time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = map[string][]byte{}
	}
	p.m[key] = val
	return nil
}

func (p *plainStorage) Delete(key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.m, key)
	return nil
}

func (p *plainStorage) Reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.m = nil
	return nil
}

func (p *plainStorage) Close() error { return nil }

func (p *plainStorage) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.m)
}

// engineAt returns the engine's default configuration with another path.
func engineAt(path string) engineio.Config {
	cfg := engineio.ConfigDefault
	cfg.Path = path
	return cfg
}

// waitForTracking waits until the node has subscribed to changes of all its sessions.
func (s *site) waitForTracking() {
	s.t.Helper()
	waitFor(s.t, "the node to track its sessions", func() bool {
		st := s.sessions.Stats()
		return st.Tracked > 0 && st.Rereads >= uint64(st.Tracked)
	})
}

func secret(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }

// sessionNamespaces adds routes that begin, change and end a session, and namespaces that record
// events. "/notified" has an OnInvalidSession handler, "/members" has none. Both require a
// session, "/" does not.
func (s *site) sessionNamespaces(happened events) *site {
	s.app.Post("/begin", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("name", "ann"); return nil })
	s.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	s.app.Post("/set/:key/:value", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set(c.Params("key"), c.Params("value"))
		return nil
	})
	s.app.Post("/short", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).SetExpiry(300 * time.Millisecond)
		return nil
	})
	s.app.Post("/renew", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() })
	s.io.Of("/").SetMode(socketbridge.SessionNone)
	s.io.Of("/notified").RequireSession().OnInvalidSession(func(sock *socketbridge.Socket, err error) {
		if e := sock.Emit("invalid", causeOf(err)); e != nil {
			happened.add("Emit in the invalid-session handler: %v", e)
		}
		_ = sock.Namespace().Emit("broadcast") // must not reach the socket
	})
	for _, name := range []string{"/notified", "/members"} {
		ns := s.io.Of(name).RequireSession()
		ns.On("name", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("name")) })
		ns.OnConnection(func(sock *socketbridge.Socket) {
			happened.add("connected")
			sock.OnDisconnect(func(r socketbridge.Reason) { happened.add("%s", r) })
		})
	}
	return s
}

// member returns an agent with a stored session.
func (s *site) member() *agent {
	s.t.Helper()
	a := s.agent()
	a.post("/begin")
	return a
}

// sessionRoutes adds routes and events that begin, change and end a site's session.
func (s *site) sessionRoutes() *site {
	s.app.Post("/begin", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("name", "ann"); return nil })
	s.app.Get("/name", func(c *fiber.Ctx) error {
		return c.SendString(fmt.Sprint(fibersession.FromContext(c).Get("name")))
	})
	s.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	s.app.Post("/renew", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() })
	s.app.Post("/short", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).SetExpiry(300 * time.Millisecond)
		return nil
	})
	for _, ns := range []*socketbridge.Namespace{s.io.Of("/"), s.io.Of("/other")} {
		ns.On("name", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("name")) })
		ns.On("rename", func(p *socketbridge.Packet) error {
			var name string
			if err := p.Bind(&name); err != nil {
				return err
			}
			p.Session().Set("name", name)
			return p.Ack(true)
		})
	}
	return s
}

const appOrigin = "https://app.example.com"

// newMembersSite returns a site with users whose namespace "/members" requires a session. Pages
// of appOrigin may connect.
func newMembersSite(t testing.TB, o options) *site {
	t.Helper()
	o.sessions.UserKey = "user"
	o.bridge.Engine = engineio.ConfigDefault
	o.bridge.Engine.AllowOrigins = []string{appOrigin}
	s := newSite(t, o).users()
	s.io.Of("/members").RequireSession().On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
	s.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
	s.app.Post("/mine", func(c *fiber.Ctx) error { return s.io.ToSession(fibersession.FromContext(c)).Emit("mine", 1) })
	return s
}

// agentWith returns an agent with the given cookie.
func (s *site) agentWith(name, value string) *agent {
	a := s.agent()
	a.setCookie(name, value)
	return a
}

// users adds routes and events with which users log in and out, list and end their
// devices.
func (s *site) users() *site {
	s.app.Post("/login/:user", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Login(c.Params("user"))
	})
	s.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Logout() })
	s.app.Get("/devices", func(c *fiber.Ctx) error {
		all, err := fibersession.FromContext(c).Devices()
		if err != nil {
			return err
		}
		return c.JSON(all)
	})
	s.app.Post("/end/:device", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).EndDevice(c.Params("device"))
	})
	s.app.Post("/end-others", func(c *fiber.Ctx) error {
		n, err := fibersession.FromContext(c).EndOthers()
		if err != nil {
			return err
		}
		return c.JSON(n)
	})
	s.app.Post("/end-all/:user", func(c *fiber.Ctx) error {
		n, err := s.sessions.EndAll(c.UserContext(), c.Params("user"))
		if err != nil {
			return err
		}
		return c.JSON(n)
	})
	s.app.Post("/notify/:user", func(c *fiber.Ctx) error { return s.io.ToUser(c.Params("user")).Emit("notified", c.Params("user")) })
	s.io.On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	s.io.Of("/other").On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	return s
}

// withUsers returns the options of a site whose sessions have users.
func withUsers(url string) options {
	return options{storage: url, sessions: fibersession.Config{UserKey: "user"}}
}

// loggedIn returns an agent in which the user has logged in.
func (s *site) loggedIn(user string) *agent {
	s.t.Helper()
	a := s.agent()
	a.post("/login/" + user)
	return a
}
