package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
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
	before   func(app *fiber.App) // adds handlers that run before the session handler
	log      *slog.Logger         // default: none
	listener net.Listener         // for a site that needs its URL before serve; default: serve opens one
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
	s := &site{t: t, listener: o.listener, app: fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})}
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
	o.bridge.Limits.EventsPerSecond = -1
	s.io = socketbridge.New(o.bridge)
	if o.before != nil {
		o.before(s.app)
	}
	s.app.Use(s.sessions.Handler())
	s.app.Use(s.io.Handler())
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
		n := fibersession.Value[int](sess, "count") + 1
		sess.Set("count", n)
		return c.JSON(n)
	})
	s.app.Get("/count", func(c *fiber.Ctx) error {
		return c.JSON(fibersession.Value[int](fibersession.FromContext(c), "count"))
	})
	s.io.On("incr", func(p *socketbridge.Packet) error {
		n := fibersession.Value[int](p.Session(), "count") + 1
		p.Session().Set("count", n)
		return p.Ack(n)
	})
	s.io.On("count", func(p *socketbridge.Packet) error {
		return p.Ack(fibersession.Value[int](p.Session(), "count"))
	})
	return s
}

// agent is an HTTP client with a cookie jar.
type agent struct {
	t    testing.TB
	site *site
	http *http.Client
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

// do makes a request that must succeed and returns the body.
func (a *agent) do(method, path string) string {
	a.t.Helper()
	body, status, err := a.try(method, path)
	if err != nil || status != 200 {
		a.t.Fatalf("%s %s: got status %d, body %s and error %v, want 200", method, path, status, body, err)
	}
	return body
}

func (a *agent) try(method, path string) (body string, status int, err error) {
	req, err := http.NewRequest(method, a.site.url+path, nil)
	if err != nil {
		return "", 0, err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res.StatusCode, err
}

func (a *agent) get(path string) string  { a.t.Helper(); return a.do("GET", path) }
func (a *agent) post(path string) string { a.t.Helper(); return a.do("POST", path) }

// cookie returns the Cookie header that the agent sends.
func (a *agent) cookie() string {
	u, err := url.Parse(a.site.url)
	if err != nil {
		a.t.Fatal(err)
	}
	var all []string
	for _, c := range a.http.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// sessionID returns the session ID in the cookie.
func (a *agent) sessionID() string {
	_, id, _ := strings.Cut(a.cookie(), "=")
	return id
}

// connect opens a socket with the agent's cookie.
func (a *agent) connect(n *nodetest.Node, namespace string, o nodetest.Options) *nodetest.Client {
	a.t.Helper()
	o.Cookie = a.cookie()
	return n.Connect(a.t, a.site.url+namespace, o)
}

// call emits an event and returns the single argument of its answer as JSON.
func call(t testing.TB, c *nodetest.Client, event string, args ...any) string {
	t.Helper()
	answer := c.MustCall(event, args...)
	if len(answer) != 1 {
		t.Fatalf("%s was answered with %s, want one argument", event, answer)
	}
	return string(answer[0])
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// clientOptions returns options for each version of the official client on each transport.
func clientOptions() map[string]nodetest.Options {
	all := map[string]nodetest.Options{}
	for _, version := range []string{"4.8", "4.0"} {
		for name, transports := range map[string][]string{
			"polling":   {"polling"},
			"websocket": {"websocket"},
			"upgrade":   {"polling", "websocket"},
		} {
			all[fmt.Sprintf("%s by client %s", name, version)] = nodetest.Options{Version: version, Transports: transports}
		}
	}
	return all
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
