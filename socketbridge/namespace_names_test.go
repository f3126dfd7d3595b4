package socketbridge_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// oddNames are names of namespaces that a URL writes in another way.
var oddNames = []string{
	"/größe", "/чат", "/聊天室", "/دردشة", "/room 1", "/😀", "/a/ü/b", "/100%", "/a%20b", "/%C3%BC", "/{y}|^`", `/"'<>`, "/../x", "/e\u0301",
}

// newNamesSite returns a site with the odd names as namespaces.
func newNamesSite(t *testing.T, o options) *site {
	t.Helper()
	s := newSite(t, o)
	for _, name := range oddNames {
		ns := s.io.Of(name)
		ns.SetMode(socketbridge.SessionNone)
		ns.On("größe", func(p *socketbridge.Packet) error {
			if err := p.Socket().Join("Zimmer für zwei"); err != nil {
				return err
			}
			if err := ns.To("Zimmer für zwei").Emit("größer", ns.Name()); err != nil {
				return err
			}
			return p.Ack(ns.Name())
		})
	}
	return s
}

// TestS5_NamesThatAreNotASCII: namespaces, events and rooms with any name work with the
// official clients and ours, in Node.
func TestS5_NamesThatAreNotASCII(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newNamesSite(t, options{}).serve()
	for _, version := range []string{"", "4.0", "own"} {
		for _, transport := range []string{"websocket", "polling"} {
			t.Run(version+" "+transport, func(t *testing.T) {
				for _, name := range oddNames {
					c := n.Connect(t, s.url+name, nodetest.Options{Version: version, Transports: []string{transport}})
					equal(t, name+", answer", callForText(t, c, "größe"), name)
					var got string
					c.MustNext("größer").Bind(t, &got)
					equal(t, name+", event", got, name)
					c.Close()
				}
			})
		}
	}
}

func callForText(t *testing.T, c *nodetest.Client, event string) (text string) {
	t.Helper()
	c.MustCall(event).Bind(t, &text)
	return text
}

// The same in Chromium, whose WebSocket and fetch differ, also for a URL object and for of().
func TestS5_NamesThatAreNotASCIIInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	official, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := newNamesSite(t, options{})
	s.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(official) })
	s.app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("seen", true) // otherwise base and the first socket get one session each
		return c.Type("html").SendString(`<!doctype html><title>t</title><link rel="icon" href="data:,">
			<script src="/official.js"></script><script src="/socket.io/fiberbridge.js"></script>`)
	})
	s.serve()
	page := n.Browser(t).Open(s.url + "/")
	for _, transport := range []string{"websocket", "polling"} {
		for _, way := range []string{"official", "own", "own, whole URL", "own, of", "own, a URL object"} {
			var got []string
			page.Eval(`
				const options = { transports: [arg.transport], forceNew: true };
				const base = fiberbridge.connect("/größe", options);
				const open = {
					official: (name) => io(name, options),
					own: (name) => fiberbridge.connect(name, options),
					"own, whole URL": (name) => fiberbridge.connect(location.origin + name + "?a=/b#/c", options),
					"own, of": (name) => name === "/größe" ? fiberbridge.connect(name, options) : base.of(name),
					"own, a URL object": (name) => fiberbridge.connect(new URL(location.origin + name), options),
				}[arg.way];
				const got = [];
				for (const name of arg.names) {
					// A URL object does not tell "%20" from a space, and resolves "..".
					if (arg.way === "own, a URL object" && /%|\.\./.test(name)) {
						got.push(name);
						continue;
					}
					const socket = open(name);
					socket.on("connect_error", (e) => { throw e; });
					got.push(await socket.timeout(15000).emitWithAck("größe").catch(String));
					socket.disconnect();
				}
				base.disconnect();
				return got;`, map[string]any{"transport": transport, "way": way, "names": oddNames}, &got)
			for i, name := range oddNames {
				equal(t, transport+", "+way+", "+name, got[i], name)
			}
		}
	}
}

// A client that percent-encodes the name is refused, as by the reference server, and the log
// says why.
func TestS5_PercentEncodedNamespaceIsNamed(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	var log testlog.Log
	s := newNamesSite(t, options{log: slog.New(slog.NewTextHandler(&log, nil))}).serve()
	c := n.Dial(t, s.url+"/%D1%87%D0%B0%D1%82", nodetest.Options{})
	c.MustNext(nodetest.ConnectError)
	if !strings.Contains(log.String(), "percent-encoded") {
		t.Errorf("the log does not name the cause: %s", log.String())
	}
	c.Close()
}
