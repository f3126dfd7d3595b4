package socketbridge_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// protocolServer is a server under test of a protocol suite, seen from its clients.
type protocolServer struct {
	t     *testing.T
	url   string // up to the query
	stats func() engineio.Stats
	http  *http.Client

	// proveOpen shows that a WebSocket's connection works.
	proveOpen func(*protocolSocket)
}

// protocolCase is one case of a protocol suite.
type protocolCase struct {
	name   string
	engine engineio.Config // the heartbeat, if the case is about it
	run    func(*protocolServer)
}

// Heartbeats. The suites use that of suiteHeartbeat for all cases. A case that does not end with a
// timeout gets more time here, since the machine may be busy.
var (
	suiteHeartbeat   = engineio.Config{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	patientHeartbeat = engineio.Config{PingInterval: 300 * time.Millisecond, PingTimeout: waitTimeout}
)

// newProtocolClient returns the clients' view of a server that listens at base.
func newProtocolClient(t *testing.T, base string, stats func() engineio.Stats) *protocolServer {
	p := &protocolServer{t: t, url: base, stats: stats, http: &http.Client{Transport: &http.Transport{}, Timeout: waitTimeout}}
	t.Cleanup(p.http.CloseIdleConnections)
	return p
}

// openEngine starts a server without Socket.IO that sends each message back.
func openEngine(t *testing.T, cfg engineio.Config) *protocolServer {
	cfg.Path, cfg.Logger = "/engine.io/", slog.New(slog.DiscardHandler)
	engine := engineio.New(&transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		return a.Conn.Send(0, transport.Message{Binary: m.Binary, Data: append([]byte(nil), m.Data...)})
	}}, cfg)
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})
	app.Use(engine.Handler())
	ln := listen(t)
	p := newProtocolClient(t, "http://"+ln.Addr().String()+cfg.Path, engine.Stats)
	p.proveOpen = func(ws *protocolSocket) {
		ws.send("4hello")
		ws.expect("4hello")
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // the cleanup waits for it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		now, end := context.WithCancel(ctx)
		end()
		_ = engine.Shutdown(now) // does not wait for clients that have left
		p.http.CloseIdleConnections()
		if err := app.ShutdownWithContext(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *protocolServer) do(method, query, body string) (status int, answer string) {
	p.t.Helper()
	return p.doContext(p.t.Context(), method, query, body)
}

// doContext sends a request. It returns status 0 if ctx has ended.
func (p *protocolServer) doContext(ctx context.Context, method, query, body string) (status int, answer string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, p.url+"?"+query, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	res, err := p.http.Do(req)
	if err == nil {
		defer res.Body.Close()
		b, readErr := io.ReadAll(res.Body)
		if err = readErr; err == nil {
			return res.StatusCode, string(b)
		}
	}
	if ctx.Err() == nil {
		p.t.Errorf("%s: %v", method, err)
	}
	return 0, ""
}

const (
	pollingQuery   = "EIO=4&transport=polling"
	webSocketQuery = "EIO=4&transport=websocket"
)

// expect sends a request and checks the answer; "" stands for any.
func (p *protocolServer) expect(method, query, body string, status int, answer string) {
	p.t.Helper()
	if s, a := p.do(method, query, body); s != status || answer != "" && a != answer {
		p.t.Errorf("%s with %q was answered with %d %q, want %d %q", method, body, s, a, status, answer)
	}
}

// openPolling opens a connection and returns the query of its requests.
func (p *protocolServer) openPolling() (query string) {
	p.t.Helper()
	_, body := p.do("GET", pollingQuery, "")
	return pollingQuery + "&sid=" + protocolOpen(p.t, body).SID
}

// upgradeQuery returns the query of the WebSocket that upgrades a polling connection.
func upgradeQuery(polling string) string {
	return webSocketQuery + strings.TrimPrefix(polling, pollingQuery)
}

// pollInBackground polls and returns the answer once it is there. It returns when the server has
// the request.
func (p *protocolServer) pollInBackground(ctx context.Context, query string) <-chan string {
	answers := make(chan string, 1)
	go func() { // ends with the request
		status, body := p.doContext(ctx, "GET", query, "")
		answers <- http.StatusText(status) + " " + body
	}()
	waitFor(p.t, "the poll", func() bool { return p.stats().Polls == 1 })
	return answers
}

// refuseWebSocket checks that the server refuses a WebSocket.
func (p *protocolServer) refuseWebSocket(query string) {
	p.t.Helper()
	ws, res, err := websocket.Dial(p.t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"?"+query, nil)
	if err == nil {
		_ = ws.CloseNow()
		p.t.Errorf("a WebSocket with %q was accepted", query)
	} else if res == nil || res.StatusCode != 400 {
		p.t.Errorf("a WebSocket with %q: %v", query, err)
	}
}

// protocolSocket is a WebSocket.
type protocolSocket struct {
	t  *testing.T
	ws *websocket.Conn
}

// dial opens a WebSocket.
func (p *protocolServer) dial(query string) *protocolSocket {
	p.t.Helper()
	ws, _, err := websocket.Dial(p.t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"?"+query, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(1 << 20)
	return &protocolSocket{p.t, ws}
}

// openWebSocket opens a connection on a WebSocket and reads the open packet.
func (p *protocolServer) openWebSocket() *protocolSocket {
	p.t.Helper()
	ws := p.dial(webSocketQuery)
	protocolOpen(p.t, ws.next())
	return ws
}

// read returns the next frame. A binary frame is returned with the prefix "binary ".
func (w *protocolSocket) read() (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), waitTimeout)
	defer cancel()
	kind, b, err := w.ws.Read(ctx)
	if kind == websocket.MessageBinary {
		return "binary " + string(b), err
	}
	return string(b), err
}

func (w *protocolSocket) next() string {
	w.t.Helper()
	got, err := w.read()
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// packet returns the next frame that is not a ping.
func (w *protocolSocket) packet() string {
	w.t.Helper()
	for {
		if got := w.next(); got != "2" {
			return got
		}
	}
}

func (w *protocolSocket) expect(want ...string) {
	w.t.Helper()
	for _, want := range want {
		if got := w.next(); got != want {
			w.t.Fatalf("the server sent %q, want %q", got, want)
		}
	}
}

// expectEnd checks that the server closes the WebSocket, and returns the code of its close frame or
// -1. Pings may come before.
func (w *protocolSocket) expectEnd() websocket.StatusCode {
	w.t.Helper()
	for {
		got, err := w.read()
		switch {
		case err == nil && got == "2":
		case err == nil:
			w.t.Fatalf("the server sent %q, want the end", got)
		case errors.Is(err, context.DeadlineExceeded):
			w.t.Fatal("the server does not close the WebSocket")
		default:
			return websocket.CloseStatus(err)
		}
	}
}

func (w *protocolSocket) send(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		w.write(websocket.MessageText, text)
	}
}

func (w *protocolSocket) sendBinary(datas ...string) {
	w.t.Helper()
	for _, data := range datas {
		w.write(websocket.MessageBinary, data)
	}
}

func (w *protocolSocket) write(kind websocket.MessageType, data string) {
	w.t.Helper()
	if err := w.ws.Write(w.t.Context(), kind, []byte(data)); err != nil {
		w.t.Fatal(err)
	}
}
