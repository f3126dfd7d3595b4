package socketbridge_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// newPlainSite serves the namespace /wall to plain clients at /ws and to Socket.IO clients.
func newPlainSite(t *testing.T) *site {
	s := newSite(t, options{})
	wall := s.io.Of("/wall")
	wall.Use(func(c *socketbridge.Connect) error {
		if c.Session().Get("count") == nil {
			return &socketbridge.ConnectError{Message: "count first", Data: map[string]int{"code": 7}}
		}
		return c.Next()
	})
	wall.OnConnection(func(sock *socketbridge.Socket) { _ = sock.Emit("welcome") })
	wall.On("count", func(p *socketbridge.Packet) error {
		n, err := p.Session().Incr(p.Context(), "count", 1)
		if err != nil {
			return err
		}
		return errors.Join(p.Socket().Emit("counted", n), p.Ack(n)) // Ack has no effect unless the client asked for it
	})
	wall.On("fail", func(*socketbridge.Packet) error { return &socketbridge.EventError{Code: "nope", Message: "not today"} })
	wall.On("all", func(p *socketbridge.Packet) error {
		return wall.Emit("all", p.Args()[0], []byte("bytes"))
	})
	wall.On("ask", func(p *socketbridge.Packet) error {
		a, err := p.Socket().EmitWithAck(p.Context(), "how old?")
		if err != nil {
			return p.Socket().Emit("asked", errors.Is(err, socketbridge.ErrNoAcks))
		}
		var age int
		if err := a.Bind(&age); err != nil {
			return err
		}
		return p.Socket().Emit("asked", age)
	})
	wall.On("message", func(p *socketbridge.Packet) error {
		var raw []byte
		if err := p.Bind(&raw); err != nil {
			return err
		}
		return p.Socket().Emit("message", append([]byte("raw "), raw...))
	})
	s.counter()
	s.app.Get("/ws", wall.WebSocket())
	s.app.Get("/", func(c *fiber.Ctx) error { return c.Type("html").SendString("<!doctype html><title>page</title>") })
	return s.serve()
}

// plainClient is a WebSocket client that does not speak Socket.IO.
type plainClient struct {
	t  *testing.T
	ws *websocket.Conn
}

func dialPlain(t *testing.T, s *site, cookie string, protocols ...string) *plainClient {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Cookie": {cookie}}, Subprotocols: protocols,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &plainClient{t, ws}
}

func (c *plainClient) send(text string) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *plainClient) read() (websocket.MessageType, string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	typ, b, err := c.ws.Read(ctx)
	return typ, string(b), err
}

func (c *plainClient) expect(want string) {
	c.t.Helper()
	typ, got, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	if typ == websocket.MessageBinary {
		got = "binary " + got
	}
	if got != want {
		c.t.Fatalf("got %s, want %s", got, want)
	}
}

// TestPlainWebSocket checks that a client without Socket.IO has the same session,
// middlewares, chains, acknowledgements and broadcasts as one with it.
func TestPlainWebSocket(t *testing.T) {
	t.Parallel()
	s := newPlainSite(t)
	stranger := dialPlain(t, s, "")
	stranger.expect(`["connect_error",{"data":{"code":7},"message":"count first"}]`)
	if _, _, err := stranger.read(); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("a refused client: got error %v, want close status 1008", err)
	}

	a := s.agent()
	a.post("/incr")
	c := dialPlain(t, s, a.cookie())
	c.expect(`["welcome"]`)
	c.send(`["count"]`)
	c.expect(`["counted",2]`)
	if got := valueOf[int](s.io.Of("/wall").Sockets()[0].Session(), "count"); got != 2 {
		t.Errorf("got count %d in the session, want 2", got)
	}
	c.send("hello")
	c.expect("binary raw hello")
	c.send(`[1,"count"]`) // not an acknowledgement, since the client did not select the subprotocol
	c.expect(`binary raw [1,"count"]`)
	c.send(`["ask"]`)
	c.expect(`["asked",true]`)

	asks := dialPlain(t, s, a.cookie(), socketbridge.PlainAcks)
	asks.expect(`["welcome"]`)
	asks.send(`[5,"count"]`)
	asks.expect(`["counted",3]`)
	asks.expect(`[-5,3]`)
	asks.send(`["ask"]`)
	_, question, err := asks.read()
	number, ok := strings.CutSuffix(question, `,"how old?"]`)
	if err != nil || !ok {
		t.Fatalf("got question %s and error %v, want [<number>,\"how old?\"]", question, err)
	}
	asks.send("[-" + number[1:] + ",42]")
	asks.expect(`["asked",42]`)
	asks.send(`[6,"fail"]`)
	if _, got, err := asks.read(); err != nil || !strings.HasPrefix(got, "[-6,") || !strings.Contains(got, `"nope"`) {
		t.Errorf("got answer %s and error %v, want [-6,...] with the code nope", got, err)
	}

	sio := nodetest.Start(t).Connect(t, s.url+"/wall", nodetest.Options{Cookie: a.cookie()})
	sio.MustNext("welcome")
	c.send(`["all",{"from":"plain"}]`)
	for _, p := range []*plainClient{c, asks} {
		p.expect(`["all",{"from":"plain"},"Ynl0ZXM="]`)
	}
	if got := sio.MustNext("all").String(); !strings.Contains(got, `{"from":"plain"}`) {
		t.Errorf("the Socket.IO client got %s, want {\"from\":\"plain\"} in it", got)
	}
}

// TestPlainWebSocket_InTheBrowser uses the native WebSocket of Chromium, which refuses a
// server that does not select one of its subprotocols.
func TestPlainWebSocket_InTheBrowser(t *testing.T) {
	t.Parallel()
	s := newPlainSite(t)
	page := nodetest.Start(t).Browser(t).Open(s.url)
	var got []string
	page.Eval(`
		await fetch("/incr", { method: "POST" });
		const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws", ["`+socketbridge.PlainAcks+`"]);
		const got = [];
		return new Promise((done, fail) => {
			socket.onclose = (e) => { got.push("closed " + e.code); done(got); };
			socket.onmessage = ({ data }) => {
				got.push(data);
				if (data.startsWith('["welcome')) socket.send('[1,"count"]');
				else if (data[1] === '-') socket.close();
			};
		});`, nil, &got)
	if want := `["welcome"] ["counted",2] [-1,2] closed 1005`; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}
