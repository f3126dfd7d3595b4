package bridgetest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
)

// newChat is the app under test: visitors who are logged in talk in rooms.
func newChat(t bridgetest.TB) (*fiber.App, *socketbridge.Server) {
	sessions := fibersession.New(fibersession.Config{UserKey: "user", Expiration: time.Hour})
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
	t.Cleanup(func() {
		if err := errors.Join(io.Shutdown(context.Background()), sessions.Close()); err != nil {
			t.Errorf("%v", err)
		}
	})
	io.Of("/").RequireSession()
	io.On("join", func(p *socketbridge.Packet) error {
		var room string
		if err := p.Bind(&room); err != nil {
			return err
		}
		if err := p.Socket().Join(room); err != nil {
			return err
		}
		rooms, err := p.Session().Incr(p.Context(), "rooms", 1)
		if err != nil {
			return err
		}
		return p.Ack(rooms)
	})
	io.On("say", func(p *socketbridge.Packet) error {
		var room, text string
		if err := p.Bind(&room, &text); err != nil {
			return err
		}
		if text == "" {
			return &socketbridge.EventError{Code: "empty", Message: "Say something."}
		}
		return p.Socket().To(room).Emit("said", p.Session().User(), text)
	})
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute})
	io.LimitBodies(app)
	app.Use(sessions.Handler(), io.Handler())
	app.Post("/login", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login(c.FormValue("user")) })
	app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	return app, io
}

// exampleT stands for the *testing.T of a test, which examples do not have.
type exampleT struct{ cleanups []func() }

func (*exampleT) Helper()                           {}
func (*exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleT) Cleanup(fn func())               { t.cleanups = append(t.cleanups, fn) }
func (t *exampleT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}
func (t *exampleT) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

func ExampleDial() {
	t := &exampleT{} // in a test, t is its *testing.T
	defer t.end()
	_, io := newChat(t)

	c := bridgetest.Dial(t, io, bridgetest.Session(map[string]any{"rooms": 1}))
	c.Ask("join", "red").Want(2) // the answer
	fmt.Println(c.Session().Get("rooms"), c.Socket().Rooms()[1:])
	// Output: 2 [red]
}

// One client hears the other, and the third hears nothing.
func ExampleClient_Want() {
	t := &exampleT{}
	defer t.end()
	_, io := newChat(t)

	ann := bridgetest.Dial(t, io, bridgetest.User("ann"))
	bob := bridgetest.Dial(t, io, bridgetest.User("bob"))
	eve := bridgetest.Dial(t, io, bridgetest.User("eve"))
	ann.Ask("join", "red")
	bob.Ask("join", "red")
	eve.Ask("join", "blue")

	ann.Emit("say", "red", "hello")
	var text string
	bob.Want("said", "ann", &text) // compares the first argument, and takes the second
	eve.WantNothing()
	fmt.Println(text)
	// Output: hello
}

// Errors of a handler: what the client sees, and what stays on the server.
func ExampleReply_WantError() {
	t := &exampleT{}
	defer t.end()
	_, io := newChat(t)

	c := bridgetest.Dial(t, io, bridgetest.User("ann"))
	fmt.Println(c.Ask("say", "red", "").WantError("empty").Message)
	r := c.Ask("say", "red")
	r.WantError(socketbridge.CodeBadArguments)
	fmt.Println(r.HandlerErr())
	// Output:
	// Say something.
	// socketbridge: argument 1 of "say": socketbridge: argument is missing
}

// A client that the server must refuse.
func ExampleTryDial() {
	t := &exampleT{}
	defer t.end()
	_, io := newChat(t)

	_, err := bridgetest.TryDial(t, io)
	if refused := (*bridgetest.DialError)(nil); errors.As(err, &refused) {
		fmt.Println(refused.Code)
	}
	// Output: session_missing
}

// A visitor logs in over HTTP, opens two tabs, and logs out.
func ExampleVisit() {
	t := &exampleT{}
	defer t.end()
	app, io := newChat(t)

	v := bridgetest.Visit(t, io, bridgetest.App(app))
	v.PostForm("/login", map[string][]string{"user": {"ann"}})
	tab, other := v.Dial(), v.Dial()
	fmt.Println(tab.Socket().User(), other.Socket().User())

	v.PostForm("/logout", nil)
	fmt.Println(tab.Disconnected(), tab.WillReconnect())
	// Output:
	// ann ann
	// server namespace disconnect false
}

// The session changes from outside, as if by another request.
func ExampleClient_Session() {
	t := &exampleT{}
	defer t.end()
	_, io := newChat(t)
	io.OnSessionChange(func(s *socketbridge.Socket, keys []string) { _ = s.Emit("changed", keys) })

	c := bridgetest.Dial(t, io, bridgetest.User("ann"))
	session := c.Session()
	session.Set("theme", "dark")
	if err := session.Save(c.Socket().Context()); err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(c.Want("changed"))
	// Output: "changed"(["theme"])
}

// The server asks the client.
func ExampleEvent_Answer() {
	t := &exampleT{}
	defer t.end()
	_, io := newChat(t)
	io.On("order", func(p *socketbridge.Packet) error {
		answer, err := p.Socket().EmitWithAck(p.Context(), "sure?")
		if err != nil {
			return err
		}
		return p.Ack(answer.Values()...)
	})

	c := bridgetest.Dial(t, io, bridgetest.User("ann"))
	c.On("sure?", func(e *bridgetest.Event) { e.Answer("yes") }) // while Ask waits
	c.Ask("order").Want("yes")
	fmt.Println("ordered")
	// Output: ordered
}
