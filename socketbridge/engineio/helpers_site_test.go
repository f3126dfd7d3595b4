package engineio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// waitLimit bounds every wait of a test. A test that passes never reaches it.
const waitLimit = 20 * time.Second

// site is a Fiber app with an engine that listens on loopback.
type site struct {
	t        testing.TB
	engine   *engineio.Server
	recorder *transporttest.Recorder
	addr     string
	secure   bool // the listener is one of TLS
	client   *http.Client
	log      *testlog.Log
}

// echoRecorder returns a recorder that sends every message back.
func echoRecorder() *transporttest.Recorder {
	return &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		return a.Conn.Send(0, transport.Message{Binary: m.Binary, Data: bytes.Clone(m.Data)})
	}}
}

type siteOptions struct {
	acceptor transport.Acceptor // replaces the recorder
	hooks    engineio.Hooks
	fiber    fiber.Config
	before   func(app *fiber.App) // mounts handlers before the engine
	behind   func(app *fiber.App) // mounts handlers behind the engine
	noLimits bool                 // LimitBodies is not called

	maxBodies int64 // replaces the limit on the bytes of all bodies
	wrap      func(net.Listener) net.Listener
}

// open starts a site. At the end of the test it is shut down, and no connection may be left.
// Clients may send as fast as they can, unless cfg says otherwise.
func open(t testing.TB, recorder *transporttest.Recorder, cfg engineio.Config, options ...siteOptions) *site {
	t.Helper()
	var o siteOptions
	if len(options) > 0 {
		o = options[0]
	}
	s := &site{t: t, recorder: recorder, log: &testlog.Log{}}
	if cfg.Limits.PacketsPerSecond == 0 {
		cfg.Limits.PacketsPerSecond = -1
	}
	if cfg.Limits.BytesPerSecond == 0 {
		cfg.Limits.BytesPerSecond = -1
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if o.acceptor == nil {
		o.acceptor = recorder
	}
	s.engine = engineio.New(o.acceptor, cfg, o.hooks)
	o.fiber.DisableStartupMessage = true
	if o.fiber.ReadTimeout == 0 {
		o.fiber.ReadTimeout = time.Minute
	}
	app := fiber.New(o.fiber)
	if !o.noLimits {
		s.engine.LimitBodies(app)
	}
	if o.maxBodies > 0 {
		s.engine.SetMaxBodyBytes(o.maxBodies)
	}
	if o.before != nil {
		o.before(app)
	}
	app.Use(s.engine.Handler())
	if o.behind != nil {
		o.behind(app)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	if o.wrap != nil {
		ln = o.wrap(ln)
	}
	s.client = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: waitLimit}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // the cleanup waits for it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		defer cancel()
		now, end := context.WithCancel(ctx)
		end()
		_ = s.engine.Shutdown(now) // does not wait for clients that have left
		if err := s.engine.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.client.CloseIdleConnections()
		if err := app.ShutdownWithContext(ctx); err != nil {
			t.Errorf("the app's Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Listener: %v", err)
		}
		if st := s.engine.Stats(); st.Connections != 0 || st.Polls != 0 || st.Posts != 0 {
			t.Errorf("left after Shutdown: %+v", st)
		}
	})
	return s
}

// context returns a context that ends after waitLimit.
func (s *site) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	s.t.Cleanup(cancel)
	return ctx
}

// nextConn waits for the next accepted connection.
func (s *site) nextConn() *transporttest.Accepted {
	s.t.Helper()
	a, err := s.recorder.Next(s.context())
	if err != nil {
		s.t.Fatalf("no connection was accepted: %v", err)
	}
	return a
}

// waitForEnd waits for the end of a connection, checks its reason and returns the cause.
func (s *site) waitForEnd(a *transporttest.Accepted, want transport.Reason) error {
	s.t.Helper()
	got, cause, err := a.End(s.context())
	if err != nil {
		s.t.Fatalf("the connection did not end: %v", err)
	}
	if got != want {
		s.t.Errorf("the connection ended with %q (%v), want %q", got, cause, want)
	}
	return cause
}

// bystander opens a connection. The function it returns checks that it still works.
func (s *site) bystander() (check func()) {
	s.t.Helper()
	c := s.openWS()
	return func() {
		s.t.Helper()
		c.sendText("4still here")
		if m, err := c.Next(context.Background()); err != nil || string(m.Data) != "still here" {
			s.t.Errorf("another connection was disturbed: %q, %v", m.Data, err)
		}
	}
}

// waitFor waits until done returns true.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitLimit)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not become true in time")
		}
		time.Sleep(time.Millisecond)
	}
}

// url returns the engine's URL with a query.
func (s *site) url(query string) string {
	scheme := "http://"
	if s.secure {
		scheme = "https://"
	}
	return scheme + s.addr + "/socket.io/?" + query
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   string
}

// code returns the protocol's error code, or -1.
func (a answer) code() int {
	var e struct {
		Code    *int
		Message string
	}
	if json.Unmarshal([]byte(a.body), &e) != nil || e.Code == nil || e.Message == "" {
		return -1
	}
	return *e.Code
}

// do sends a request with header pairs.
func (s *site) do(method, query, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.tryDo(method, query, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, query, err)
	}
	return a
}

func (s *site) tryDo(method, query, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, s.url(query), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b)}, err
}

// opened is the content of an open packet.
type opened struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func parseOpen(t testing.TB, packet string) opened {
	t.Helper()
	var o opened
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(packet, "0")))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil || !strings.HasPrefix(packet, "0") || o.SID == "" {
		t.Fatalf("not an open packet: %q, %v", packet, err)
	}
	return o
}

const (
	polling   = "EIO=4&transport=polling"
	websocket = "EIO=4&transport=websocket"
)

// openers open a connection on each transport.
var openers = []struct {
	name string
	open func(s *site, headers ...string) answer
}{
	{"polling", func(s *site, headers ...string) answer { return s.do("GET", polling, "", headers...) }},
	{"websocket", func(s *site, headers ...string) answer {
		c, a := s.dialWS(websocket, headers...)
		if c != nil {
			a.body = c.readText()
		}
		return a
	}},
}

// idle reports whether nothing of any client is left. It ignores what was reported.
func (s *site) idle() bool {
	st := s.engine.Stats()
	st.Notices = nil
	return reflect.DeepEqual(st, engineio.Stats{})
}
