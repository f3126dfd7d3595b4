package socketbridge_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
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
