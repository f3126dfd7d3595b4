package socketbridge_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestPacketMiddlewares(t *testing.T) {
	t.Parallel()
	happened := make(events, 32)
	errStop := errors.New("stop")
	io := newServer(t, socketbridge.Config{})
	io.OnConnection(func(s *socketbridge.Socket) {
		s.Use(func(p *socketbridge.Packet) error {
			happened.add("first %s %s", p.Event(), p.Args())
			err := p.Next()
			happened.add("after %v", err)
			return err
		}, func(p *socketbridge.Packet) error {
			switch p.Event() {
			case "change":
				if err := p.SetArgs("changed", []byte{1, 2}); err != nil {
					return err
				}
			case "stop":
				return errStop
			case "drop":
				return nil
			}
			return p.Next()
		})
		s.OnAny(func(p *socketbridge.Packet) error {
			happened.add("any %s", p.Event())
			return nil
		})
		s.OnError(func(p *socketbridge.Packet, err error) { happened.add("error %s: %v", p.Event(), err) })
		for _, event := range []string{"pass", "stop", "drop"} {
			s.On(event, func(p *socketbridge.Packet) error {
				happened.add("handler %s", p.Event())
				return p.Ack("ok")
			})
		}
		s.On("change", func(p *socketbridge.Packet) error {
			var text string
			var data []byte
			if err := p.Bind(&text, &data); err != nil {
				return err
			}
			happened.add("handler %s %v", text, data)
			return nil
		})
	})
	c := join(t, io, "/")

	c.send(`21["pass",1,"x"]`)
	c.expect(`31["ok"]`)
	happened.expect(t, `first pass [1 "x"]`, "any pass", "handler pass", "after <nil>")

	c.send(`2["change",0]`)
	happened.expect(t, "first change [0]", "any change", "handler changed [1 2]", "after <nil>")

	c.send(`22["stop"]`)
	happened.expect(t, "first stop []", "after stop", "error stop: stop")

	c.send(`23["drop"]`)
	happened.expect(t, "first drop []", "after <nil>")

	// An error does not disconnect. Neither the failed nor the dropped event is answered.
	c.send(`24["pass"]`)
	c.expect(`34["ok"]`)
}

func TestEventChains(t *testing.T) {
	t.Parallel()
	happened := make(events, 32)
	step := func(name string) socketbridge.Handler {
		return func(p *socketbridge.Packet) error {
			happened.add("%s", name)
			return p.Next()
		}
	}
	io := newServer(t, socketbridge.Config{})
	io.On("event", step("namespace 1"), step("namespace 2"))
	io.OnConnection(func(s *socketbridge.Socket) {
		s.On("event", step("socket 1"), func(*socketbridge.Packet) error {
			happened.add("ends here")
			return errors.New("refused")
		}, step("never"))
		s.On("event", step("second chain"), func(p *socketbridge.Packet) error { return p.Ack() })
		s.OnError(func(_ *socketbridge.Packet, err error) { happened.add("error %v", err) })
	})
	c := join(t, io, "/")
	c.send(`20["event"]`)
	c.expect(`30[]`)
	happened.expect(t, "namespace 1", "namespace 2", "socket 1", "ends here", "second chain", "error refused")
}

func TestD1_OneMiddlewareForBoth(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	// One rule for both the request session and the socket's handle.
	allowed := func(sess fibersession.Getter) bool { return valueOf[string](sess, "role") == "admin" }
	s.app.Get("/promote", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("role", "admin")
		return nil
	})
	s.app.Get("/allowed", func(c *fiber.Ctx) error { return c.JSON(allowed(fibersession.FromContext(c))) })
	s.app.Get("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("visited", true); return nil })
	s.io.On("allowed", func(p *socketbridge.Packet) error { return p.Ack(allowed(p.Session())) })
	s.serve()
	a := s.agent()
	a.get("/visit")
	c := a.connect(n, "/", nodetest.Options{})
	equal(t, "allowed over HTTP, before", a.get("/allowed"), "false")
	equal(t, "allowed over the socket, before", call(t, c, "allowed"), "false")
	a.get("/promote")
	equal(t, "allowed over HTTP, after", a.get("/allowed"), "true")
	equal(t, "allowed over the socket, after", call(t, c, "allowed"), "true")
}

func TestE3_EventChains(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	s.app.Get("/login", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "ann"); return nil })
	s.app.Get("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("visited", true); return nil })
	requireLogin := func(p *socketbridge.Packet) error {
		if valueOf[string](p.Session(), "user") == "" {
			return &socketbridge.EventError{Code: "login_required", Message: "log in first"}
		}
		return p.Next()
	}
	withGreeting := func(p *socketbridge.Packet) error { p.SetLocal("greeting", "hello"); return p.Next() }
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		sock.On("greet", requireLogin, withGreeting, func(p *socketbridge.Packet) error {
			return p.Ack(fmt.Sprint(p.Local("greeting"), " ", p.Session().Get("user")))
		})
	})
	s.serve()
	a := s.agent()
	a.get("/visit")
	c := a.connect(n, "/", nodetest.Options{})
	equal(t, "answer before login", call(t, c, "greet"), `{"error":{"code":"login_required","message":"log in first"}}`)
	a.get("/login")
	equal(t, "answer after login", call(t, c, "greet"), `"hello ann"`)
}
