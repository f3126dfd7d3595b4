package socketbridge_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestB1_MiddlewareRunsForTheHandshake(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	var requests atomic.Int32
	s := newSite(t, options{before: func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			c.Locals("tenant", c.Get("X-Tenant"))
			return c.Next()
		})
	}})
	s.io.Engine().Use(func(c *fiber.Ctx) error {
		requests.Add(1)
		c.Set("X-Engine", "used")
		if c.Get("X-Tenant") == "banned" {
			return c.SendStatus(fiber.StatusForbidden)
		}
		return c.Next()
	})
	s.io.On("tenant", func(p *socketbridge.Packet) error {
		return p.Ack(p.Socket().Handshake().Locals["tenant"])
	})
	s.serve()
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			before := requests.Load()
			o.Header = map[string]string{"X-Tenant": "tenant of " + name}
			c := n.Connect(t, s.url, o)
			equal(t, "local set by the app's middleware", call(t, c, "tenant"), `"tenant of `+name+`"`)
			if strings.HasPrefix(name, "polling") && requests.Load()-before < 4 {
				t.Errorf("the engine's middleware ran for %d requests, want at least 4", requests.Load()-before)
			}
			c.Close()
		})
	}
	t.Run("sets headers", func(t *testing.T) {
		res, err := n.Fetch(context.Background(), nodetest.Request{URL: s.url + "/socket.io/?EIO=4&transport=polling"})
		if err != nil || res.Header["x-engine"] != "used" {
			t.Errorf("got response %+v and error %v, want the header X-Engine: used", res, err)
		}
	})
	t.Run("refuses requests", func(t *testing.T) {
		for _, transport := range []string{"polling", "websocket"} {
			c := n.Dial(t, s.url, nodetest.Options{Transports: []string{transport}, Header: map[string]string{"X-Tenant": "banned"}})
			c.MustNext(nodetest.ConnectError)
		}
	})
}

func TestE1_MountedWithUse(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	reached := make(events, 4)
	other := socketbridge.New(socketbridge.Config{Sessions: s.sessions, Engine: engineAt("/live/")})
	t.Cleanup(func() { shutdown(t, other) })
	other.On("where", func(p *socketbridge.Packet) error { return p.Ack("live") })
	s.io.On("where", func(p *socketbridge.Packet) error { return p.Ack("socket.io") })
	s.app.Use(other.Handler()) // a second server in the same app
	s.app.Get("/socket.io-not", func(c *fiber.Ctx) error { reached.add("passed on"); return nil })
	s.serve()
	equal(t, "server on the default path", call(t, n.Connect(t, s.url, nodetest.Options{}), "where"), `"socket.io"`)
	equal(t, "server on its own path", call(t, n.Connect(t, s.url, nodetest.Options{Path: "/live/"}), "where"), `"live"`)
	s.agent().get("/socket.io-not")
	reached.expect(t, "passed on")
}
