package contribws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/fiber/v2"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

func TestMain(m *testing.M) {
	for _, name := range []string{socketio.EventConnect, socketio.EventMessage, socketio.EventDisconnect, socketio.EventClose, socketio.EventError} {
		socketio.On(name, func(ep *socketio.EventPayload) { // listeners of the library are global
			if l, ok := ep.Kws.Locals("listeners").(listeners); ok && l[name] != nil {
				l[name](ep)
			}
		})
	}
	goleak.VerifyTestMain(m, // goroutines that other packages start for the whole process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}

// listeners are the listeners of one test, by event.
type listeners map[string]func(*socketio.EventPayload)

// site is an app with sessions, Socket.IO and a route of contribws.
type site struct {
	t        testing.TB
	url      string
	app      *fiber.App
	sessions *fibersession.Store
	io       *socketbridge.Server
	client   *http.Client
	end      func() // shuts the site down; also called at the end of the test
}

type options struct {
	storage   string
	session   fibersession.Config
	bridge    socketbridge.Config
	route     contribws.Config
	listeners listeners
	before    func(app *fiber.App)
	setup     func(s *site)
}

func newSite(t testing.TB, o options) *site {
	t.Helper()
	if o.storage == "" {
		o.storage = "memory://"
	}
	store, err := storage.Open(o.storage)
	if err != nil {
		t.Fatal(err)
	}
	silent := slog.New(slog.DiscardHandler)
	if o.route.Logger == nil {
		o.route.Logger = silent
	}
	s := &site{t: t, client: &http.Client{Transport: &http.Transport{}}}
	s.app = fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})
	s.app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond
	o.session.Storage, o.session.Logger = store, silent
	if o.session.Timeouts.Storage == 0 { // the default is short for a busy machine
		o.session.Timeouts.Storage = 20 * time.Second
	}
	s.sessions = fibersession.New(o.session)
	o.bridge.Sessions, o.bridge.Logger = s.sessions, silent
	o.bridge.Engine.Limits.MaxConnsPerIP, o.bridge.Engine.Limits.ConnRatePerIP = -1, -1
	o.bridge.Limits.MaxConnsPerSession, o.bridge.Limits.BytesPerSecond = -1, -1
	if o.bridge.Limits.EventsPerSecond == 0 {
		o.bridge.Limits.EventsPerSecond = -1
	}
	s.io = socketbridge.New(o.bridge)
	if o.before != nil {
		o.before(s.app)
	}
	s.app.Use(s.sessions.Handler(), func(c *fiber.Ctx) error {
		c.Locals("listeners", o.listeners)
		return c.Next()
	}, s.io.Handler())
	s.app.Get("/set/:key/:value", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set(c.Params("key"), c.Params("value"))
		return nil
	})
	s.app.Get("/get/:key", func(c *fiber.Ctx) error {
		return c.SendString(valueOf[string](fibersession.FromContext(c), c.Params("key")))
	})
	s.app.Get("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	if o.setup != nil {
		o.setup(s)
	}
	s.app.Get("/ws/:room", contribws.New(s.io, o.route))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(ln) }() // received by end
	s.end = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		s.client.CloseIdleConnections()
		err := errors.Join(s.io.Shutdown(ctx), s.app.ShutdownWithContext(ctx), <-served, s.sessions.Close(), store.Close())
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.end)
	return s
}

// waitFor waits until check returns nil.
func waitFor(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // there is no event to wait for
	}
}

// waitForLog waits until the log contains text.
func waitForLog(t testing.TB, log *testlog.Log, text string) {
	t.Helper()
	waitFor(t, func() error {
		if !log.Has(text) {
			return fmt.Errorf("the log does not contain %q", text)
		}
		return nil
	})
}

// browser sends requests with the session's cookie.
type browser struct {
	*site
	cookie string
}

// get sends a request that must succeed and returns the body.
func (a *browser) get(path string) string {
	a.t.Helper()
	body, err := a.tryGet(path)
	if err != nil {
		a.t.Fatalf("GET %s: %v", path, err)
	}
	return body
}

func (a *browser) tryGet(path string) (string, error) {
	req, err := http.NewRequest("GET", a.url+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Cookie", a.cookie)
	res, err := a.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		a.cookie = c.Name + "=" + c.Value
	}
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("status %d: %s", res.StatusCode, b)
	}
	return string(b), err
}

// client is a WebSocket client.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

// dial opens a WebSocket with the browser's cookie.
func (a *browser) dial(path string, header ...string) *client {
	a.t.Helper()
	c, err := a.tryDial(a.t.Context(), path, header...)
	if err != nil {
		a.t.Fatalf("dial %s: %v", path, err)
	}
	a.t.Cleanup(func() { _ = c.ws.CloseNow() })
	return c
}

func (a *browser) tryDial(ctx context.Context, path string, header ...string) (*client, error) {
	h := http.Header{"Cookie": {a.cookie}}
	o := &websocket.DialOptions{HTTPHeader: h}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Sec-WebSocket-Protocol" {
			o.Subprotocols = append(o.Subprotocols, header[i+1])
			continue
		}
		h.Add(header[i], header[i+1])
	}
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(a.url, "http")+path, o)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(4 << 20)
	return &client{a.t, ws}, nil
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next message. It puts "binary " in front of a binary one.
func (c *client) read() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	typ, b, err := c.ws.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if typ == websocket.MessageBinary {
		return "binary " + string(b)
	}
	return string(b)
}

func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Fatalf("got %s, want %s", got, want)
	}
}

// expectClose reads until the server closes, and checks the code.
func (c *client) expectClose(want websocket.StatusCode) {
	c.t.Helper()
	if got := c.readClose(); got != want {
		c.t.Fatalf("closed with %d, want %d", got, want)
	}
}

// readClose reads until the server closes and returns the code.
func (c *client) readClose() websocket.StatusCode {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	for {
		if _, _, err := c.ws.Read(ctx); err != nil {
			if ctx.Err() != nil {
				c.t.Fatal("the server does not close")
			}
			return websocket.CloseStatus(err)
		}
	}
}

// events is a journal of events that a test waits for.
type events chan string

func (e events) expect(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-e:
		if got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not happen in time", want)
	}
}

// none fails the test if there is an event in the journal.
func (e events) none(t testing.TB) {
	t.Helper()
	select {
	case got := <-e:
		t.Fatalf("%s happened", got)
	default:
	}
}

// stores runs a test on each kind of storage.
func stores(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, "memory://") })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, redistest.Start(t).URL()) })
}

// sendKws returns a listener that sends the kws of each connection to ch.
func sendKws(ch chan *socketio.Websocket) func(*socketio.EventPayload) {
	return func(ep *socketio.EventPayload) { ch <- ep.Kws }
}

// receive returns the next value of ch.
func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was received in time")
		panic("unreachable")
	}
}

// mustReturn calls fn and fails the test if it does not return.
func mustReturn(t testing.TB, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }() // ends when fn returns
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not return", what)
	}
}

// valueOf returns the value of key, or T's zero value if there is none or the session is gone. It
// panics if the value has another type.
func valueOf[T any](g fibersession.Getter, key string) T {
	v, err := fibersession.Value[T](g, key)
	if errors.Is(err, fibersession.ErrType) {
		panic(err)
	}
	return v
}
