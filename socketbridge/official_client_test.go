package socketbridge_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestB10_OfficialClientInTheBrowser loads the browser build of the official client into
// Chromium and connects over polling, over WebSocket and with an upgrade, with the cookie
// that the browser got over HTTP.
func TestB10_OfficialClientInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, options{}).counter()
	s.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(script) })
	s.app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("count", 10)
		return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
	})
	s.serve()
	browser := n.Browser(t)
	page := browser.Open(s.url)
	for _, tt := range []struct {
		name       string
		transports []string
		want       string
	}{
		{"polling", []string{"polling"}, "polling"},
		{"websocket", []string{"websocket"}, "websocket"},
		{"upgrade", []string{"polling", "websocket"}, "websocket"},
	} {
		var got struct {
			Transport string
			First     int
			HTTP      int
			Second    int
		}
		page.Eval(`
			const socket = io({ transports: arg, forceNew: true });
			await new Promise((ok, no) => { socket.once("connect", ok); socket.once("connect_error", no); });
			if (arg.length == 2 && socket.io.engine.transport.name != "websocket")
				await new Promise((ok) => socket.io.engine.once("upgrade", ok));
			const first = await socket.emitWithAck("incr");
			const http = await (await fetch("/incr", { method: "POST" })).json();
			const second = await socket.emitWithAck("incr");
			const transport = socket.io.engine.transport.name;
			socket.disconnect();
			return { transport, first, http, second };`, tt.transports, &got)
		equal(t, tt.name, got.Transport, tt.want)
		if got.HTTP != got.First+1 || got.Second != got.First+2 {
			t.Errorf("%s: counts %+v, want three in a row", tt.name, got)
		}
	}
	for _, cookie := range browser.Cookies(s.url) {
		if !cookie.HTTPOnly || cookie.SameSite != "Lax" || cookie.Path != "/" {
			t.Errorf("got cookie %+v, want HttpOnly, SameSite=Lax and path /", cookie)
		}
	}
	var readable string
	page.Eval(`return document.cookie`, nil, &readable)
	equal(t, "cookie visible to scripts", readable, "")
}

func TestB10_OfficialClientUnchanged(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter()
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		sock.On("ask me", func(p *socketbridge.Packet) error {
			a, err := sock.EmitWithAck(p.Context(), "question", 1, []byte{2, 3})
			if err != nil {
				return err
			}
			return p.Ack(a.Args()[0])
		})
	})
	s.io.On("echo", func(p *socketbridge.Packet) error {
		var data []byte
		var object struct {
			Text  string
			Bytes []byte
		}
		if err := p.Bind(&data, &object); err != nil {
			return err
		}
		return p.Ack(data, map[string]any{"text": object.Text, "bytes": object.Bytes})
	})
	s.io.Of("/guarded").Use(func(c *socketbridge.Connect) error {
		return &socketbridge.ConnectError{Message: "not you", Data: map[string]int{"code": 7}}
	})
	s.serve()
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			a := s.agent()
			a.post("/incr")
			c := a.connect(n, "/", o)
			if len(o.Transports) == 2 {
				equal(t, "upgrade", c.MustNext(nodetest.Upgraded).String(), `["websocket"]`)
			} else {
				equal(t, "transport", c.State().Transport, o.Transports[0])
			}
			big := make([]byte, 100_000)
			for i := range big {
				big[i] = byte(i)
			}
			answer := c.MustCall("echo", big, map[string]any{"text": "häß\u2028<b>\x00", "bytes": nodetest.Binary{1, 2, 3}})
			var back nodetest.Binary
			var object struct {
				Text  string
				Bytes nodetest.Binary
			}
			answer.Bind(t, &back, &object)
			if string(back) != string(big) || object.Text != "häß\u2028<b>\x00" || string(object.Bytes) != "\x01\x02\x03" {
				t.Errorf("echo returned %d bytes and %+v, want the %d bytes and the object that were sent", len(back), object, len(big))
			}
			c.Answer("question", "sure")
			equal(t, "answer that contains the client's answer", call(t, c, "ask me"), `"sure"`)
			equal(t, "count over the socket", call(t, c, "incr"), "2")

			guarded := c.DialOf("/guarded", nil)
			var refusal struct {
				Message string
				Data    struct{ Code int }
			}
			guarded.MustNext(nodetest.ConnectError).Bind(t, &refusal)
			if refusal.Message != "not you" || refusal.Data.Code != 7 {
				t.Errorf("got refusal %+v, want message %q and code 7", refusal, "not you")
			}
			unknown := c.DialOf("/unknown", nil)
			unknown.MustNext(nodetest.ConnectError).Bind(t, &refusal)
			equal(t, "message for an unknown namespace", refusal.Message, "Invalid namespace")
			c.Close()
			if o.Version == "4.0" { // this version cannot reconnect while its own engine is closing
				c = a.connect(n, "/", o)
			} else {
				c.Reconnect()
			}
			equal(t, "count after a reconnect", call(t, c, "incr"), "3")
			c.Close()
		})
	}
}
