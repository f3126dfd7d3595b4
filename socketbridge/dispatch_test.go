package socketbridge_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
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

func TestConnectMiddlewares(t *testing.T) {
	t.Parallel()
	type auth struct{ Token string }
	happened := make(events, 32)
	io := newServer(t, socketbridge.Config{})
	io.Of("/admin").Use(func(c *socketbridge.Connect) error {
		happened.add("first")
		err := c.Next()
		happened.add("after %v", err)
		return err
	}, func(c *socketbridge.Connect) error {
		var a auth
		if err := c.Auth(&a); err != nil {
			return err
		}
		switch a.Token {
		case "good":
			c.Socket().Data().Set("who", "admin")
			if err := c.Socket().Join("admins"); err != nil {
				return err
			}
			if err := c.Socket().Emit("early"); err != nil {
				return err
			}
			return c.Next()
		case "silent":
			return nil
		case "panic":
			panic("secret")
		case "panic later":
			return &socketbridge.ConnectError{Message: "secret", Data: panicker{}}
		case "internal":
			return errors.New("secret")
		}
		return &socketbridge.ConnectError{Message: "who are you?", Data: map[string]any{"retry": false}}
	}).OnConnection(func(s *socketbridge.Socket) {
		happened.add("connected %v %v", s.Data().Get("who"), s.Rooms()[1:])
	})

	const forbidden = `4/admin,{"data":{"code":"forbidden","message":"Forbidden"},"message":"Forbidden"}`
	for _, tt := range []struct {
		name, auth, want string
		after            string
	}{
		{"a ConnectError is sent", `{"token":"bad"}`, `4/admin,{"data":{"retry":false},"message":"who are you?"}`, "after who are you?"},
		{"no auth", ``, `4/admin,{"data":{"retry":false},"message":"who are you?"}`, "after who are you?"},
		{"another error keeps its text", `{"token":"internal"}`, forbidden, "after secret"},
		{"not calling Next refuses", `{"token":"silent"}`, forbidden, "after <nil>"},
		{"a panic refuses", `{"token":"panic"}`, `4/admin,{"data":{"code":"internal_error","message":"internal error"},"message":"internal error"}`, ""},
		{"a panic of the encoder refuses", `{"token":"panic later"}`, forbidden, "after secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, io)
			c.send("0/admin," + tt.auth)
			c.expect(tt.want)
			happened.expect(t, "first")
			if tt.after != "" {
				happened.expect(t, tt.after)
			}
			// The connection stays usable after a refusal.
			c.send(`0/admin,{"token":"good"}`)
			if got := c.next(); got[:len(`0/admin,{"sid"`)] != `0/admin,{"sid"` {
				t.Fatalf("CONNECT was answered with %s, want a sid", got)
			}
			c.expect(`2/admin,["early"]`)
			happened.expect(t, "first", "after <nil>", "connected admin [admins]")
		})
	}
	if n := len(io.Of("/admin").To("admins").Sockets()); n > 5 {
		t.Errorf("%d sockets in the room", n)
	}
}

func TestUnknownNamespace(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	c := dial(t, io)
	for i := range 3 {
		c.send(fmt.Sprintf("0/nowhere%d,", i))
		c.expect(fmt.Sprintf(`4/nowhere%d,{"message":"Invalid namespace"}`, i))
	}
	c.join("/")
	if st := io.Stats(); st.Sockets != 1 {
		t.Errorf("got %d sockets, want 1", st.Sockets)
	}
}

// A client that joins and leaves a namespace again and again cannot have more handlers
// running than one that stays in the maximum number of namespaces.
func TestMaxNamespaces_SocketsThatEnd(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	hold := make(chan struct{})
	io.On("hold", func(*socketbridge.Packet) error { <-hold; return nil })
	c := dial(t, io)
	for range 2 * 64 {
		c.join("/")
		c.send(`2["hold"]`)
		c.send("1")
	}
	c.send("0")
	c.expect(`4{"data":{"code":"too_many","message":"too many namespaces"},"message":"too many namespaces"}`)
	close(hold)
	waitFor(t, "the client to be allowed to join", func() bool {
		c.send("0")
		return strings.HasPrefix(c.next(), `0{"sid"`)
	})
}

// TestProtocolViolations checks that a violation closes its own connection and no other.
func TestProtocolViolations(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	io.Of("/a")
	io.Of("/b")
	never := func(p *socketbridge.Packet) error {
		t.Errorf("handler of %s ran", p.Event())
		return nil
	}
	io.On("never", never)
	io.On("error", func(p *socketbridge.Packet) error { return p.Ack("an ordinary name") })
	bystander := join(t, io, "/")
	for _, tt := range []struct {
		name string
		send []string // the last message is refused; "b:" marks a binary one
	}{
		{"event before CONNECT", []string{`2["never"]`}},
		{"ack before CONNECT", []string{`31[]`}},
		{"disconnect before CONNECT", []string{`1`}},
		{"binary before CONNECT", []string{"b:xx"}},
		{"event for another namespace", []string{"0", `2/a,["never"]`}},
		{"second CONNECT", []string{"0", "0"}},
		{"CONNECT_ERROR from a client", []string{"0", `4{"message":"x"}`}},
		{"CONNECT with a payload that is no object", []string{`0["x"]`}},
		{"CONNECT with broken JSON", []string{`0{"x"`}},
		{"unknown type", []string{"0", "7"}},
		{"empty packet", []string{"0", ""}},
		{"event that is no array", []string{"0", `2{"a":1}`}},
		{"event without a name", []string{"0", `2[]`}},
		{"event name of another type", []string{"0", `2[{"never":1}]`}},
		{"reserved name: connect", []string{"0", `2["connect"]`}},
		{"reserved name: connect_error", []string{"0", `2["connect_error"]`}},
		{"reserved name: disconnect", []string{"0", `2["disconnect"]`}},
		{"reserved name: disconnecting", []string{"0", `2["disconnecting"]`}},
		{"reserved name: newListener", []string{"0", `2["newListener"]`}},
		{"reserved name: removeListener", []string{"0", `2["removeListener"]`}},
		{"broken JSON", []string{"0", `2["never",`}},
		{"bytes after the packet", []string{"0", `2["never"]x`}},
		{"invalid UTF-8", []string{"0", "2[\"never\",\"\xff\"]"}},
		{"text between attachments", []string{"0", `51-["never",{"_placeholder":true,"num":0}]`, `2["never"]`}},
		{"unexpected attachment", []string{"0", "b:xx"}},
		{"too many attachments", []string{"0", `511-["never"]`}},
		{"attachments without number", []string{"0", `5-["never"]`}},
		{"placeholder out of range", []string{"0", `51-["never",{"_placeholder":true,"num":1}]`}},
		{"binary event without attachments", []string{"0", `50-["never"]`}},
		{"ack id of 16 digits", []string{"0", `21234567890123456["never"]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, io)
			for i, text := range tt.send {
				var err error
				if len(text) > 2 && text[:2] == "b:" {
					err = c.conn.Binary([]byte(text[2:]))
				} else {
					err = c.conn.Text(text)
				}
				if last := i == len(tt.send)-1; last != (err != nil) {
					t.Fatalf("message %d, %q: got error %v, want an error only for the last one", i, text, err)
				}
				if text == "0" && i == 0 && err == nil {
					c.next()
				}
			}
			if reason := c.waitForClose(); reason != transport.ParseError {
				t.Errorf("closed with %q, want %q", reason, transport.ParseError)
			}
			bystander.send(`20["error"]`)
			bystander.expect(`30["an ordinary name"]`)
		})
	}
	t.Run("too many namespaces refuse the next", func(t *testing.T) {
		c := join(t, io, "/")
		for i := range 63 {
			name := fmt.Sprintf("/n%d", i)
			io.Of(name)
			c.join(name)
		}
		c.send("0/b,")
		c.expect(`4/b,{"data":{"code":"too_many","message":"too many namespaces"},"message":"too many namespaces"}`)
	})
	t.Run("an unexpected ack is ignored", func(t *testing.T) {
		c := join(t, io, "/")
		c.send(`399["x"]`)
		c.send(`20["error"]`)
		c.expect(`30["an ordinary name"]`)
	})
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	t.Run("a client that joins nothing is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			c := dial(t, io)
			time.Sleep(45*time.Second - time.Millisecond)
			synctest.Wait()
			if reason, _ := c.conn.Reason(); reason != "" {
				t.Fatalf("closed with %q before the timeout", reason)
			}
			time.Sleep(time.Millisecond)
			if reason := c.waitForClose(); reason != transport.ForcedClose {
				t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
			}
		})
	})
	t.Run("a client that left its last namespace is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			c := join(t, io, "/")
			time.Sleep(time.Hour) // no timeout while it is in a namespace
			c.send("1")
			synctest.Wait()
			time.Sleep(45 * time.Second)
			if reason := c.waitForClose(); reason != transport.ForcedClose {
				t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
			}
		})
	})
	t.Run("half a binary packet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			c := join(t, io, "/")
			c.send(`52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
			time.Sleep(9 * time.Second)
			if err := c.conn.Binary([]byte("one")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if reason := c.waitForClose(); reason != transport.ParseError {
				t.Errorf("closed with %q, want %q", reason, transport.ParseError)
			}
		})
	})
	t.Run("a complete binary packet has no timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			io.On("e", func(p *socketbridge.Packet) error {
				var b []byte
				if err := p.Bind(&b); err != nil {
					return err
				}
				return p.Ack(b)
			})
			c := join(t, io, "/")
			c.send(`51-7["e",{"_placeholder":true,"num":0}]`)
			if err := c.conn.Binary([]byte("one")); err != nil {
				t.Fatal(err)
			}
			c.expect(`61-7[{"_placeholder":true,"num":0}]`)
			if m := c.nextMessage(); !m.Binary || string(m.Data) != "one" {
				t.Errorf("got binary %v and %q, want a binary message %q", m.Binary, m.Data, "one")
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if reason, _ := c.conn.Reason(); reason != "" {
				t.Errorf("closed with %q, want an open connection", reason)
			}
		})
	})
}

// TestD13_Panics checks that a panic in any callback fails only its own event or attempt,
// does not crash the process, and that its text is not sent to the client.
func TestD13_Panics(t *testing.T) {
	t.Parallel()
	const internal = `[{"error":{"code":"internal_error","message":"internal error"}}]`
	for _, tt := range []struct {
		name  string
		setup func(s *socketbridge.Socket)
		want  string // the answer to the event
	}{
		{"handler", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error { panic("secret") })
		}, internal},
		{"handler that has answered", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { _ = p.Ack("answered"); panic("secret") })
		}, `["answered"]`},
		{"middleware", func(s *socketbridge.Socket) {
			s.Use(func(p *socketbridge.Packet) error {
				if p.Event() == "e" {
					panic("secret")
				}
				return p.Next()
			})
		}, internal},
		{"catch-all", func(s *socketbridge.Socket) {
			s.OnAny(func(p *socketbridge.Packet) error {
				if p.Event() == "e" {
					panic(errors.New("secret"))
				}
				return nil
			})
		}, internal},
		{"encoder of an answer", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { return p.Ack(panicker{}) })
		}, internal},
		{"encoder of an error's data", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error { return &socketbridge.EventError{Code: "mine", Data: panicker{}} })
		}, internal},
		{"error's data that cannot be encoded", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error { return &socketbridge.EventError{Code: "mine", Data: make(chan int)} })
		}, internal},
		{"error handler", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error {
				return &socketbridge.EventError{Code: "mine", Message: "no"}
			})
			s.OnError(func(*socketbridge.Packet, error) { panic("secret") })
		}, `[{"error":{"code":"mine","message":"no"}}]`},
		{"connection handler", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { return p.Ack("fine") })
			panic("secret")
		}, `["fine"]`},
		{"disconnect handlers", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { return p.Ack("fine") })
			s.OnDisconnecting(func(socketbridge.Reason) { panic("secret") })
			s.OnDisconnect(func(socketbridge.Reason) { panic("secret") })
		}, `["fine"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			io := newServer(t, socketbridge.Config{})
			io.OnConnection(tt.setup)
			io.On("after", func(p *socketbridge.Packet) error { return p.Ack("alive") })
			c := join(t, io, "/")
			c.send(`21["e"]`)
			c.expect(`31` + tt.want)
			c.send(`22["after"]`)
			c.expect(`32["alive"]`)
			c.leave()
			other := join(t, io, "/")
			other.send(`23["after"]`)
			other.expect(`33["alive"]`)
		})
	}
}

type panicker struct{}

func (panicker) MarshalJSON() ([]byte, error) { panic("secret") }

func TestHandlersRunInOrder(t *testing.T) {
	t.Parallel()
	const n = 1000
	got := make(chan int, n)
	io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1, MaxInbox: 8}})
	io.OnConnection(func(s *socketbridge.Socket) {
		time.Sleep(time.Millisecond) // events must wait for the connection handler
		s.On("n", func(p *socketbridge.Packet) error {
			var i int
			err := p.Bind(&i)
			got <- i
			return err
		})
	})
	c := join(t, io, "/")
	for i := range n {
		c.send(fmt.Sprintf(`2["n",%d]`, i))
	}
	for i := range n {
		if g := <-got; g != i {
			t.Fatalf("got event %d, want %d", g, i)
		}
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	const width = 4
	io := newServer(t, socketbridge.Config{Concurrency: width})
	meet := make(chan struct{})
	io.On("meet", func(p *socketbridge.Packet) error { // returns when handlers run concurrently
		select {
		case meet <- struct{}{}:
		case <-meet:
		}
		return p.Ack()
	})
	c := join(t, io, "/")
	var want, got []string
	for i := range width {
		c.send(fmt.Sprintf(`2%d["meet"]`, i))
		want = append(want, fmt.Sprintf(`3%d[]`, i))
	}
	for range width {
		got = append(got, c.next())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got answers %v, want %v", got, want)
	}
}

// TestD15_NoLockIsHeldWhileHandlersRun calls everything that an app may call from within
// every callback.
func TestD15_NoLockIsHeldWhileHandlersRun(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	everything := func(s *socketbridge.Socket) {
		_ = s.Join("a", "b")
		s.Leave("b")
		_ = s.Rooms()
		_ = s.Emit("x", 1)
		_ = s.Broadcast().Emit("x", 2)
		_ = io.To("a").Emit("x", 3)
		_ = io.Of("/other").Emit("x", 4)
		s.Data().Set("k", 1)
		_ = s.Data().Get("k")
		s.Use(func(p *socketbridge.Packet) error { return p.Next() })
		s.On("later", func(*socketbridge.Packet) error { return nil })
		s.OnAny(func(*socketbridge.Packet) error { return nil })
		s.OnError(func(*socketbridge.Packet, error) {})
		s.OnDisconnect(func(socketbridge.Reason) {})
		_ = s.Connected()
		_ = io.Sockets()
		_ = io.Stats()
		io.Of("/new").OnConnection(func(*socketbridge.Socket) {})
		_ = s.Transport()
		_ = s.Handshake()
	}
	done := make(chan string, 16)
	io.Use(func(c *socketbridge.Connect) error { everything(c.Socket()); return c.Next() })
	io.OnConnection(func(s *socketbridge.Socket) {
		everything(s)
		s.OnDisconnecting(func(socketbridge.Reason) { everything(s); s.Close() })
		s.OnDisconnect(func(socketbridge.Reason) { everything(s); s.Disconnect(); done <- "disconnect" })
		s.OnError(func(*socketbridge.Packet, error) { everything(s) })
		s.Use(func(p *socketbridge.Packet) error { everything(s); return p.Next() })
		s.OnAny(func(*socketbridge.Packet) error { everything(s); return nil })
		s.On("e", func(*socketbridge.Packet) error {
			everything(s)
			s.Disconnect()
			everything(s)
			return errors.New("and an error")
		})
	})
	c := join(t, io, "/")
	c.send(`2["e"]`)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("no disconnect within 20 s: a callback is blocked")
	}
}
