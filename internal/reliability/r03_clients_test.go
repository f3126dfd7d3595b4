package reliability_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// R3: real clients connect, upgrade, send binary data, answer events, use rooms, and connect
// again with their session after a broken connection. The short form runs a few cycles of the
// clients in Node; TestB10_OfficialClientInTheBrowser is that of Chromium.
func TestR3_RealClients(t *testing.T) {
	cycles := scaled(2, 1000)
	node := nodetest.Start(t)
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	n := startSoloNode(t, socketbridge.Config{}, func(n *soloNode) {
		setUpClientEvents(n.io)
		n.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(script) })
		n.app.Get("/", func(c *fiber.Ctx) error {
			return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
		})
	})
	t.Run("clients", func(t *testing.T) {
		for _, version := range []string{"4.0", "4.8"} {
			t.Run(version, func(t *testing.T) {
				t.Parallel()
				for i := range cycles {
					browser := &http.Client{Transport: &http.Transport{}}
					cookie, err := login(browser, n.url())
					if err != nil {
						t.Fatal(err)
					}
					browser.CloseIdleConnections()
					clientCycle(t, fmt.Sprint(version, " cycle ", i), node.Dial(t, n.url(), nodetest.Options{Version: version, Cookie: cookie, Reconnect: true}))
				}
			})
		}
		if !full {
			return
		}
		t.Run("Chromium", func(t *testing.T) {
			t.Parallel()
			browser := node.Browser(t)
			page := browser.Open(n.url() + "/")
			for i := range cycles {
				page.Eval(`await fetch("/login", { method: "POST" })`, nil, nil)
				clientCycle(t, fmt.Sprint("Chromium cycle ", i), page.Dial("/", nodetest.Options{Reconnect: true}).In(t))
			}
		})
	})
	if !t.Failed() {
		report(t, "R3", "%d cycles of each of socket.io-client 4.0, 4.8 and Chromium (in full runs): 0 failures; load %s", cycles, load(t))
	}
}

// setUpClientEvents adds the events that clientCycle uses.
func setUpClientEvents(io *socketbridge.Server) {
	io.On("echo", func(p *socketbridge.Packet) error {
		var data []byte
		var text string
		if err := p.Bind(&data, &text); err != nil {
			return err
		}
		return p.Ack(data, text)
	})
	io.On("ask me", func(p *socketbridge.Packet) error {
		// Not in the handler's goroutine: the client's answer needs no handler, but its next event does.
		return p.Socket().EmitWithAckFunc("question", func(a socketbridge.Answer, err error) {
			if err == nil {
				_ = p.Ack(a.Args()[0])
			}
		}, []byte{1, 2})
	})
	io.On("enter", func(p *socketbridge.Packet) error {
		var room string
		if err := p.Bind(&room); err != nil {
			return err
		}
		if err := p.Socket().Join(room); err != nil {
			return err
		}
		return p.Ack()
	})
	io.On("leave", func(p *socketbridge.Packet) error {
		var room string
		if err := p.Bind(&room); err != nil {
			return err
		}
		p.Socket().Leave(room)
		return p.Ack()
	})
	io.On("tell", func(p *socketbridge.Packet) error { // the room, and then the sender
		var room, text string
		if err := p.Bind(&room, &text); err != nil {
			return err
		}
		if err := io.To(room).Emit("told", text); err != nil {
			return err
		}
		return p.Ack()
	})
	io.On("count", func(p *socketbridge.Packet) error {
		count, err := p.Session().Incr(p.Context(), "count", 1)
		if err != nil {
			return err
		}
		return p.Ack(count)
	})
}

// clientCycle runs one cycle of a client that begins to connect, with a session of its own in
// Node. It ends the test if anything is not as expected.
func clientCycle(t *testing.T, name string, c *nodetest.Client) {
	t.Helper()
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %s is %s, want %s", name, what, got, want)
		}
	}
	c.MustConnect()
	check("the upgrade", c.MustNext(nodetest.Upgraded).String(), `["websocket"]`)

	data := bytes.Repeat([]byte{0, 1, 0xff, 0x1e}, 1000)
	var back nodetest.Binary
	var text string
	c.MustCall("echo", data, "häß\u2028\x00").Bind(t, &back, &text)
	if !bytes.Equal(back, data) || text != "häß\u2028\x00" {
		t.Fatalf("%s: echo returned %d bytes and %q", name, len(back), text)
	}
	c.Answer("question", "sure")
	check("the answer with the client's answer", c.MustCall("ask me").String(), `["sure"]`)

	room := "room of " + name
	check("enter", c.MustCall("enter", room).String(), `[]`)
	check("tell", c.MustCall("tell", room, "inside").String(), `[]`)
	check("the event in the room", c.MustNext("told").String(), `["inside"]`)
	check("leave", c.MustCall("leave", room).String(), `[]`)
	check("tell", c.MustCall("tell", room, "outside").String(), `[]`)
	if c.Waiting("told") != 0 {
		t.Fatalf("%s: an event of a room came after leaving it", name)
	}

	var before, after int
	c.MustCall("count").Bind(t, &before)
	id := c.State().ID
	c.Cut()
	c.MustNext(nodetest.Disconnected)
	c.MustConnect()
	check("the upgrade after the reconnect", c.MustNext(nodetest.Upgraded).String(), `["websocket"]`)
	c.MustCall("count").Bind(t, &after)
	if after != before+1 || c.State().ID == id {
		t.Fatalf("%s: after the reconnect the session counts %d, want %d, and the socket must be a new one", name, after, before+1)
	}
	c.Close()
	if reason := c.MustNext(nodetest.Disconnected).String(); reason != `["io client disconnect"]` {
		t.Fatalf("%s: disconnected with %s", name, reason)
	}
}
