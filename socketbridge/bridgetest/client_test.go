package bridgetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// The aim: the first test of a handler takes five lines.
func TestN10_FiveLines(t *testing.T) {
	io := newCounter(t)
	c := bridgetest.Dial(t, io, bridgetest.Session(map[string]any{"count": 1}))
	c.Ask("incr").Want(2)
}

// inAndOutOfABubble runs a test with the real clock and with that of testing/synctest.
func inAndOutOfABubble(t *testing.T, test func(t *testing.T)) {
	t.Parallel()
	t.Run("real clock", func(t *testing.T) { t.Parallel(); test(t) })
	t.Run("bubble", func(t *testing.T) { t.Parallel(); synctest.Test(t, test) })
}

func TestN10_EventsOfManyKinds(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		for _, parser := range []socketbridge.Parser{socketbridge.JSONParser, socketbridge.MsgpackParser} {
			io := newServer(t, socketbridge.Config{Parser: parser})
			io.On("echo", func(p *socketbridge.Packet) error {
				if err := p.Socket().Emit("echoed", p.Values()...); err != nil {
					return err
				}
				return p.Ack(p.Values()...)
			})
			type point struct {
				X, Y int
				Raw  []byte
			}
			c := bridgetest.Dial(t, io)
			raw, p := []byte{0, 1, 2, 255}, point{1, 2, []byte("in a struct")}
			c.Ask("echo", "text", 7, raw, p, map[string]any{"n": []int{1}}, nil).
				Want("text", 7, raw, p, map[string]any{"n": []int{1}}, nil)
			var text string
			var got point
			e := c.Want("echoed", &text, 7, nil, &got)
			if text != "text" || got.X != 1 || string(got.Raw) != "in a struct" || len(e.Args()) != 6 {
				t.Errorf("got %s, %+v and %d arguments", text, got, len(e.Args()))
			}
			var all []byte
			if err := e.Bind(nil, nil, &all); err != nil || !slices.Equal(all, raw) {
				t.Errorf("got %v, %v, want the bytes", all, err)
			}
			c.WantNothing()
		}
	})
}

// TestN10_AttachmentsOfManyGoroutines: a packet and its attachments stay together when several
// goroutines use one connection, in one namespace or in two.
func TestN10_AttachmentsOfManyGoroutines(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1}})
	for _, namespace := range []string{"/", "/other"} {
		io.Of(namespace).On("echo", func(p *socketbridge.Packet) error { return p.Ack(p.Values()...) })
	}
	c := bridgetest.Dial(t, io)
	clients := []*bridgetest.Client{c, c.Join("/other")}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := clients[i%2]
			for n := range 100 {
				a, b := []byte{byte(i), byte(n)}, []byte{byte(n), byte(i), 0}
				c.Ask("echo", a, b, n).Want(a, b, n)
			}
		})
	}
	all.Wait()
}

func TestN10_SeveralClients(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		io.On("enter", func(p *socketbridge.Packet) error {
			var room string
			if err := p.Bind(&room); err != nil {
				return err
			}
			return p.Socket().Join(room)
		})
		io.On("say", func(p *socketbridge.Packet) error { return p.Socket().To("red").Emit("said", p.Values()...) })
		ann, bob, eve := bridgetest.Dial(t, io), bridgetest.Dial(t, io), bridgetest.Dial(t, io)
		ann.Emit("enter", "red")
		bob.Emit("enter", "red")
		eve.Emit("enter", "blue")
		eve.Settle()
		if rooms := eve.Socket().Rooms(); !slices.Contains(rooms, "blue") {
			t.Errorf("eve is in %v, want blue", rooms)
		}
		ann.Emit("say", "hello")
		bob.Want("said", "hello")
		eve.WantNothing()
		ann.WantNothing("said")
		ann.WantNothing()
	})
}

// WantNothing is exact: what a chain of handlers, answers and other clients causes has arrived
// when it looks.
func TestN10_WantNothingWaitsForTheCause(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		var all []*bridgetest.Client
		io.On("pass", func(p *socketbridge.Packet) error {
			var n int
			if err := p.Bind(&n); err != nil {
				return err
			}
			return io.To(all[n].ID()).Emit("passed", n)
		})
		const length = 50
		wantFailure(t, func(f *failing) {
			for i := range length {
				c := bridgetest.Dial(f, io)
				all = append(all, c)
				if i < length-1 {
					c.On("passed", func(*bridgetest.Event) { c.Emit("pass", i+1) })
				}
			}
			last := all[length-1]
			last.WantNothing()
			if f.text != "" {
				f.Fatalf("too early: %s", f.text)
			}
			all[0].Emit("pass", 1)
			last.WantNothing()
		}, `bridgetest: got "passed"(49), want nothing`)
	})
}

func TestN10_AnswersOfTheClient(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		io.On("start", func(p *socketbridge.Packet) error {
			answer, err := p.Socket().EmitWithAck(p.Context(), "name?")
			if err != nil {
				return err
			}
			return p.Socket().Emit("greet", answer.Values()...)
		})
		c := bridgetest.Dial(t, io)
		c.Emit("start") // by the test
		c.Want("name?").Answer("ann")
		c.Want("greet", "ann")

		c.On("name?", func(e *bridgetest.Event) { e.Answer("bob", []byte("raw")) }) // by a function
		c.Emit("start")
		c.Want("greet", "bob", []byte("raw"))
		answer, err := c.Socket().EmitWithAck(t.Context(), "name?")
		var name string
		if err != nil || answer.Bind(&name) != nil || name != "bob" {
			t.Errorf("got %q, %v", name, err)
		}
		wantFailure(t, func(f *failing) {
			c := bridgetest.Dial(f, io)
			_ = c.Socket().Emit("news")
			c.Want("news").Answer(1)
		}, `the server asked for no answer to "news"()`)
	})
}

// A connection handler can wait for an answer: Dial returns, and the test answers.
func TestN10_ConnectionHandlerAsks(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		io.OnConnection(func(s *socketbridge.Socket) {
			if _, err := s.EmitWithAck(s.Context(), "who?"); err == nil {
				_ = s.Emit("welcome")
			}
		})
		c := bridgetest.Dial(t, io)
		c.Want("who?").Answer()
		c.Want("welcome")
		c.Socket()
		c = bridgetest.Dial(t, io, bridgetest.On("who?", func(e *bridgetest.Event) { e.Answer() }))
		c.Want("welcome")
		c.WantNothing()
	})
}

func TestN10_ErrorsOfHandlers(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		secret := errors.New("disk on fire")
		io.On("fail", func(*socketbridge.Packet) error { return secret })
		io.On("refuse", func(*socketbridge.Packet) error {
			return fmt.Errorf("joined: %w", &socketbridge.EventError{Code: "no", Message: "not today", Data: 7})
		})
		io.On("panic", func(*socketbridge.Packet) error { panic("boom") })
		io.On("text", func(p *socketbridge.Packet) error { var s string; return p.Bind(&s) })
		io.On("late", func(p *socketbridge.Packet) error { _ = p.Ack(1); return secret })
		c := bridgetest.Dial(t, io)
		r := c.Ask("fail")
		r.WantError(socketbridge.CodeInternal)
		if !errors.Is(r.HandlerErr(), secret) {
			t.Errorf("got %v, want the handler's error", r.HandlerErr())
		}
		if e := c.Ask("refuse").WantError("no"); e.Message != "not today" || e.Data != float64(7) {
			t.Errorf("got %+v", e)
		}
		r = c.Ask("panic")
		r.WantError(socketbridge.CodeInternal)
		if r.HandlerErr() == nil {
			t.Error("the panic left no error")
		}
		c.Ask("text", 1).WantError(socketbridge.CodeBadArguments)
		r = c.Ask("late")
		if r.Want(1); !errors.Is(r.HandlerErr(), secret) {
			t.Errorf("got %v, want the handler's error", r.HandlerErr())
		}
		if errs := c.HandlerErrors(); len(errs) != 5 {
			t.Errorf("got %v, want five errors", errs)
		}
		c.Emit("fail")
		if errs := c.HandlerErrors(); len(errs) != 1 || !errors.Is(errs[0], secret) {
			t.Errorf("got %v, want the handler's error", errs)
		}
		wantFailure(t, func(f *failing) { bridgetest.Dial(f, io).Ask("fail").Want(1) }, "internal_error", "on the server: disk on fire")
		wantFailure(t, func(f *failing) { bridgetest.Dial(f, io).Ask("late").WantError("no") }, "answered with (1), want the error no")
		wantFailure(t, func(f *failing) { bridgetest.Dial(f, io).Ask("refuse").WantError("yes") }, "no: not today", "want the code yes")
	})
}

func TestN10_Refused(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		io.Of("/members").RequireSession()
		broken := errors.New("no database")
		io.Of("/broken").Use(func(*socketbridge.Connect) error { return broken })
		io.Of("/key").Use(func(c *socketbridge.Connect) error {
			var auth struct{ Key string }
			if err := c.Auth(&auth); err != nil {
				return err
			}
			if auth.Key != "sesame" {
				return &socketbridge.ConnectError{Message: "wrong key", Data: map[string]int{"tries": 2}}
			}
			return c.Next()
		})
		for namespace, want := range map[string]bridgetest.DialError{
			"/members": {Message: "there is no session", Code: socketbridge.CodeSessionMissing, Err: socketbridge.ErrSessionMissing},
			"/broken":  {Message: "Forbidden", Code: socketbridge.CodeForbidden, Err: broken},
			"/key":     {Message: "wrong key"},
			"/nowhere": {Message: "Invalid namespace"},
		} {
			_, err := bridgetest.TryDial(t, io, bridgetest.Namespace(namespace))
			var refused *bridgetest.DialError
			if !errors.As(err, &refused) || refused.Status != 0 || refused.Message != want.Message || refused.Code != want.Code || want.Err != nil && !errors.Is(err, want.Err) {
				t.Errorf("%s: got %v, want %v", namespace, err, &want)
			}
			if namespace == "/key" && string(refused.Data) != `{"tries":2}` {
				t.Errorf("got the data %s", refused.Data)
			}
		}
		c := bridgetest.Dial(t, io, bridgetest.Namespace("key"), bridgetest.Auth(map[string]string{"key": "sesame"}))
		if !c.Connected() || c.Socket().Namespace().Name() != "/key" {
			t.Error("the right key was refused")
		}
		root := c.Join("/")
		c.Disconnect()
		if c.Disconnected() != socketbridge.ClientDisconnect || c.WillReconnect() || !root.Connected() {
			t.Error("the namespaces of a connection are not separate")
		}
		wantFailure(t, func(f *failing) { bridgetest.Dial(f, io, bridgetest.Namespace("/members")) }, "Dial: refused: there is no session (session_missing)")
		wantFailure(t, func(f *failing) { bridgetest.Dial(f, io).Join("/members") }, `Join("/members"): refused`)
	})
}

func TestN10_Disconnects(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		for _, tt := range []struct {
			leave      func(c *bridgetest.Client)
			reason     socketbridge.Reason
			reconnects bool
		}{
			{func(c *bridgetest.Client) { c.Emit("kick") }, socketbridge.ServerDisconnect, false},
			{func(c *bridgetest.Client) { c.Emit("close") }, socketbridge.ServerDisconnect, false},
			{(*bridgetest.Client).Disconnect, socketbridge.ClientDisconnect, false},
			{(*bridgetest.Client).Drop, transport.TransportClose, true},
		} {
			io := newServer(t)
			reasons := make(chan socketbridge.Reason, 10)
			io.OnConnection(func(s *socketbridge.Socket) {
				s.OnDisconnect(func(r socketbridge.Reason) { reasons <- r })
			})
			io.On("kick", func(p *socketbridge.Packet) error { p.Socket().Disconnect(); return nil })
			io.On("close", func(p *socketbridge.Packet) error { p.Socket().Close(); return nil })
			c := bridgetest.Dial(t, io)
			tt.leave(c)
			if got := c.Disconnected(); got != tt.reason || c.WillReconnect() != tt.reconnects || c.Connected() {
				t.Errorf("got %q, reconnects %v, want %q", got, c.WillReconnect(), tt.reason)
			}
			if len(reasons) != 1 || <-reasons != tt.reason {
				t.Errorf("the disconnect handlers have not run with %q", tt.reason)
			}
			wantFailure(t, func(f *failing) {
				c := bridgetest.Dial(f, io)
				tt.leave(c)
				c.Disconnected()
				c.Emit("kick")
			}, "the client is disconnected ("+string(tt.reason)+")")
			c.Reconnect()
			if c.Recovered() || !c.Connected() {
				t.Error("a client without recovery must get a new socket")
			}
		}
	})
}

// Server.Shutdown ends clients in memory like all others.
func TestN10_Shutdown(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		c := bridgetest.Dial(t, io)
		if err := io.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := c.Disconnected(); got != transport.ShuttingDown || !c.WillReconnect() {
			t.Errorf("got %q", got)
		}
		_, err := bridgetest.TryDial(t, io)
		if refused := (*bridgetest.DialError)(nil); !errors.As(err, &refused) || refused.Status != 503 {
			t.Errorf("got %v, want status 503", err)
		}
	})
}

func TestN10_Recovery(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: 1e10}})
		io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("red") })
		c := bridgetest.Dial(t, io, bridgetest.Session(nil), bridgetest.Auth(struct{ Key string }{"k"}))
		if err := io.To("red").Emit("n", 1); err != nil {
			t.Fatal(err)
		}
		c.Want("n", 1)
		id := c.ID()
		c.Drop()
		c.Disconnected()
		if err := io.To("red").Emit("n", 2); err != nil {
			t.Fatal(err)
		}
		c.Reconnect()
		if !c.Recovered() || c.ID() != id {
			t.Error("the socket was not restored")
		}
		c.Want("n", 2)
		c.WantNothing()
		var auth struct{ Key string }
		if err := c.Socket().Auth(&auth); err != nil || auth.Key != "k" {
			t.Errorf("got the auth %+v, %v", auth, err)
		}
		c.Disconnect()
		c.Reconnect()
		if c.Recovered() {
			t.Error("a client that left on purpose was restored")
		}
	})
}

// What a failed test says.
func TestN10_Messages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock jumps over what a failure waits for
		io := newServer(t)
		release := make(chan struct{})
		io.On("hang", func(*socketbridge.Packet) error { <-release; return nil })
		io.On("quiet", func(*socketbridge.Packet) error { return nil })
		io.On("two", func(p *socketbridge.Packet) error {
			_ = p.Socket().Emit("a", 1, "x")
			return p.Socket().Emit("b")
		})
		io.Of("/stuck").Use(func(c *socketbridge.Connect) error { <-release; return c.Next() })
		for _, tt := range []struct {
			test  func(c *bridgetest.Client)
			parts []string
		}{
			{func(c *bridgetest.Client) { c.Emit("two"); c.Want("c") }, []string{`no event "c" within 5s; arrived: "a"(1, "x"), "b"()`}},
			{func(c *bridgetest.Client) { c.Emit("two"); c.Want("a", 2) }, []string{`the event "a"(1, "x"): argument 0 is 1, want 2`}},
			{func(c *bridgetest.Client) { c.Emit("two"); c.Want("b", 2) }, []string{`argument 0 is missing, want 2`}},
			{func(c *bridgetest.Client) { c.Emit("two"); var s string; c.Want("a", &s) }, []string{`argument 0 is 1: json`}},
			{func(c *bridgetest.Client) { c.Emit("two"); c.WantNothing("x"); c.WantNothing() }, []string{`got "a"(1, "x"), "b"(), want nothing`}},
			{func(c *bridgetest.Client) { c.Emit("two"); c.WantNothing("b") }, []string{`got "b"(), want nothing`}},
			{func(c *bridgetest.Client) { c.Next() }, []string{"no event within 5s; no other events arrived"}},
			{func(c *bridgetest.Client) { c.Drop(); c.Disconnected(); c.Want("a") }, []string{"the client is disconnected (transport close)"}},
			{func(c *bridgetest.Client) { c.Ask("unknown") }, []string{"no handler of the event called Ack, or there is none"}},
			{func(c *bridgetest.Client) { c.Ask("quiet") }, []string{"no handler of the event called Ack"}},
			{func(c *bridgetest.Client) { c.Ask("hang") }, []string{"its handler has not returned"}},
			{func(c *bridgetest.Client) { c.Emit("x", func() {}) }, []string{`Emit("x")`, "func()"}},
			{func(c *bridgetest.Client) { c.Emit("connect") }, []string{"event name is reserved"}},
			{func(c *bridgetest.Client) { c.Disconnected() }, []string{"still connected after 5s"}},
			{func(c *bridgetest.Client) { c.Reconnect() }, []string{"still connected"}},
			{func(c *bridgetest.Client) { c.Join("/") }, []string{"in the namespace / already"}},
			{func(c *bridgetest.Client) { c.Join("/stuck") }, []string{"does a middleware or connection handler block?"}},
		} {
			wantFailure(t, func(f *failing) { tt.test(bridgetest.Dial(f, io)) }, tt.parts...)
		}
		close(release)
	})
}

// Outside of a bubble, a handler that does not return keeps Settle from being exact, which it says.
func TestN10_SettleNeedsHandlersToReturn(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	release := make(chan struct{})
	io.On("hang", func(*socketbridge.Packet) error { <-release; return nil })
	wantFailure(t, func(f *failing) {
		c := bridgetest.Dial(f, io)
		f.Cleanup(func() { close(release) })
		c.Emit("hang")
		c.WantNothing()
	}, "a handler has been running for 5s")
}

func TestN10_ArgumentsAsJSON(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	c := bridgetest.Dial(t, io)
	var raw json.RawMessage
	for _, err := range []error{
		c.Socket().Emit("e", 1, 2.5, "s", []string{"a"}, map[string]int{"k": 1}, true),
		c.Socket().Emit("e", struct {
			A int `json:"a"`
		}{1}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Want("e", 1.0, 2.5, "s", []any{"a"}, map[string]any{"k": 1}, true)
	if c.Want("e", &raw); string(raw) != `{"a":1}` {
		t.Errorf("got %s", raw)
	}
	if err := c.Socket().Emit("other"); err != nil {
		t.Fatal(err)
	}
	c.Discard()
	c.WantNothing()
	if err := io.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}
