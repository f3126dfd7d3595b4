package socketbridge_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestS5_PrefixThatAProxyStrips runs Chromium behind an nginx that serves the app below /app
// and strips that prefix. Nothing outside /app is answered. The scripts, the sockets, the
// tickets and the new cookie after a login over a socket all work without a setting of the
// server, with our client as a module and as a classic script, and with the official one.
func TestS5_PrefixThatAProxyStrips(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	official, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, withUsers("")).users()
	s.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(official) })
	page := func(c *fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><title>t</title><link rel="icon" href="data:,">
			<script src="/app/official.js"></script><script src="` + s.io.ScriptURL("classic", c) + `"></script>
			<script type="module">
				import * as m from "` + s.io.ScriptURL("module", c) + `";
				globalThis.module = m;
				document.title = "loaded";
			</script>`)
	}
	s.app.Get("/", page)
	s.app.Get("/rooms/:room/page", page)
	s.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
	s.io.On("login", func(p *socketbridge.Packet) error {
		if err := p.Session().Login(p.Context(), "ann"); err != nil {
			return err
		}
		return errors.Join(p.Socket().SendCookie(p.Context()), p.Ack(true))
	})
	s.io.Of("/members").RequireSession().On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	s.serve()
	site := startNginx(t, `server {
		listen ADDR;
		location /app/ { proxy_pass `+s.url+`/; proxy_buffering off; }
		location / { return 404; }
	}`)
	browser := n.Browser(t)
	for _, at := range []string{"/app/", "/app/rooms/1/page?x=/y"} {
		for _, client := range []string{"module", "classic", "official"} {
			for _, transport := range []string{"websocket", "polling"} {
				t.Run(at+" "+client+" "+transport, func(t *testing.T) {
					tab := browser.NewContext(nil).Open(site + at)
					var got struct{ Before, After, Member, Path string }
					tab.Eval(`
						while (document.title !== "loaded") await new Promise((done) => setTimeout(done));
						await fetch("/app/notify/nobody", { method: "POST" }); // begins a session
						const own = arg.client === "module" ? module : fiberbridge;
						const options = { transports: [arg.transport], forceNew: true, path: "/app/socket.io" };
						const open = (namespace) => arg.client === "official"
							? own.followCookie(io(namespace, { ...options, auth: own.sessionAuth() }))
							: own.connectWithSession(namespace, { transports: [arg.transport] });
						const connected = (socket) => new Promise((ok, no) => {
							socket.on("connect", ok);
							socket.on("connect_error", (e) => no(new Error(e.message)));
						});
						const socket = open("/");
						await connected(socket);
						const before = await (await fetch("/app/who")).text();
						await socket.emitWithAck("login");
						let after = "";
						while (after !== "ann") after = await (await fetch("/app/who")).text();
						socket.disconnect();
						const second = open("/members");
						await connected(second);
						const member = await second.emitWithAck("whoami");
						second.disconnect();
						return { before, after, member, path: own.defaultPath(location.origin) };`,
						map[string]string{"client": client, "transport": transport}, &got)
					if got.Before != "" || got.After != "ann" || got.Member != "ann" || got.Path != "/app/socket.io/" {
						t.Errorf("got %+v, want ann after the login, and the path /app/socket.io/", got)
					}
				})
			}
		}
	}
}
