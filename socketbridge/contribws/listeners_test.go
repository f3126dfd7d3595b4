package contribws_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ws "github.com/coder/websocket"
	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// TestE4_SetAttributeNeverWaits: SetAttribute returns at once while the client is silent, and
// messages that are emitted afterwards arrive (D15).
func TestE4_SetAttributeNeverWaits(t *testing.T) {
	t.Parallel()
	opened, handled := make(chan *socketio.Websocket, 1), make(events, 4)
	s := newSite(t, options{listeners: listeners{
		socketio.EventConnect: sendKws(opened),
		socketio.EventMessage: func(ep *socketio.EventPayload) { handled <- string(ep.Data) },
	}})
	c := (&browser{site: s}).dial("/ws/a")
	kws := receive(t, opened)
	c.send("one")
	handled.expect(t, "one") // all goroutines of the connection now run
	for i := range 50 {
		// Ticks of the library's reader pass. It would hold the lock by now.
		time.Sleep(time.Millisecond)
		mustReturn(t, "SetAttribute on an idle connection", func() { kws.SetAttribute("n", i) })
	}
	mustReturn(t, "Emit", func() { kws.Emit([]byte("still here")) })
	c.expect("still here")
	if !kws.IsAlive() || kws.GetIntAttribute("n") != 49 {
		t.Error("the attribute was not set")
	}
	c.send("two")
	handled.expect(t, "two")
}

// TestE4_MessagesArriveInOrder: listeners get each message once and in order, and no internal
// message of this package.
func TestE4_MessagesArriveInOrder(t *testing.T) {
	t.Parallel()
	const messages = 3000
	handled := make(chan string, messages+1)
	s := newSite(t, options{listeners: listeners{
		socketio.EventMessage: func(ep *socketio.EventPayload) { handled <- string(ep.Data) },
	}})
	c := (&browser{site: s}).dial("/ws/a")
	began := time.Now()
	for i := range messages {
		c.send(fmt.Sprintf("m%d", i))
	}
	for i := range messages {
		if got := receive(t, handled); got != fmt.Sprintf("m%d", i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
	t.Logf("%.0f messages per second on one connection", messages/time.Since(began).Seconds())
	if len(handled) > 0 {
		t.Errorf("an unexpected message: %q", <-handled)
	}
}

// TestE4_PanicsOfListeners: a panic of a listener is logged and affects at most its
// own connection (D13).
func TestE4_PanicsOfListeners(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	handled := make(events, 16)
	s := newSite(t, options{
		route: contribws.Config{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Connect: func(kws *socketio.Websocket) {
				if kws.Params("room") == "callback" {
					panic("in Config.Connect")
				}
			},
		},
		listeners: listeners{
			socketio.EventConnect: func(ep *socketio.EventPayload) {
				if ep.Kws.Params("room") == "connect" {
					panic("at connect")
				}
			},
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				if string(ep.Data) == "panic" {
					panic("at message")
				}
				handled <- string(ep.Data)
			},
			socketio.EventDisconnect: contribws.Guard(func(ep *socketio.EventPayload) { panic("at disconnect") }),
		},
	})
	a := &browser{site: s}
	for _, room := range []string{"callback", "connect"} {
		a.dial("/ws/" + room).expectClose(ws.StatusGoingAway)
		handled.none(t)
	}
	c := a.dial("/ws/message")
	c.send("panic")
	c.send("after")
	handled.expect(t, "after")
	_ = c.ws.Close(ws.StatusNormalClosure, "")
	for _, text := range []string{"in Config.Connect", "at connect", "at message", "at disconnect", "notice=listener_panic"} {
		waitForLog(t, &log, text)
	}
}

// TestE4_DisconnectOnce: listeners of "disconnect" are called once, with the right close
// code, even while messages are being sent. (The library's writer fails for each of them.)
func TestE4_DisconnectOnce(t *testing.T) {
	t.Parallel()
	handled := make(events, 256)
	opened := make(chan *socketio.Websocket, 1)
	s := newSite(t, options{listeners: listeners{
		socketio.EventConnect: sendKws(opened),
		socketio.EventMessage: func(ep *socketio.EventPayload) {
			switch string(ep.Data) {
			case "close":
				ep.Kws.Close()
			default:
				handled <- string(ep.Data)
			}
		},
		socketio.EventDisconnect: func(ep *socketio.EventPayload) {
			for range 50 {
				ep.Kws.Emit([]byte("too late"))
			}
			switch {
			case websocket.IsCloseError(ep.Error, websocket.CloseNormalClosure):
				handled <- "ended"
			case websocket.IsCloseError(ep.Error, websocket.CloseGoingAway):
				handled <- "gone"
			default:
				handled <- ep.Error.Error()
			}
		},
		socketio.EventError: func(ep *socketio.EventPayload) { handled <- "error" },
		socketio.EventClose: func(ep *socketio.EventPayload) { handled <- "close" },
	}})
	for _, tt := range []struct {
		name string
		end  func(c *client, kws *socketio.Websocket)
		want []string
	}{
		{"the client leaves", func(c *client, _ *socketio.Websocket) { _ = c.ws.Close(ws.StatusNormalClosure, "") }, []string{"gone", "error"}},
		{"the client resets the connection", func(c *client, _ *socketio.Websocket) { _ = c.ws.CloseNow() }, []string{"gone", "error"}},
		{"the client leaves after messages", func(c *client, _ *socketio.Websocket) {
			for range 3 {
				c.send("last")
			}
			_ = c.ws.CloseNow()
		}, []string{"last", "last", "last", "gone", "error"}},
		{"the socket is disconnected", func(c *client, kws *socketio.Websocket) {
			contribws.SocketOf(kws).Disconnect()
			c.expectClose(ws.StatusNormalClosure)
		}, []string{"ended", "error"}},
		{"a listener closes", func(c *client, _ *socketio.Websocket) {
			c.send("close")
			c.expectClose(ws.StatusNormalClosure)
		}, []string{"close", "*", "error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := (&browser{site: s}).dial("/ws/a")
			kws := receive(t, opened)
			tt.end(c, kws)
			for _, want := range tt.want {
				if got := receive(t, handled); got != want && want != "*" {
					t.Fatalf("heard %q, want %q", got, want)
				}
			}
			time.Sleep(5 * time.Millisecond) // time for a second call
			handled.none(t)
			if kws.IsAlive() {
				t.Error("IsAlive is true")
			}
			if err := contribws.SocketOf(kws).Emit("x"); !errors.Is(err, socketbridge.ErrDisconnected) {
				t.Errorf("Emit on a disconnected socket returned %v", err)
			}
			if err := socketio.EmitTo(kws.GetUUID(), []byte("x")); !errors.Is(err, socketio.ErrorInvalidConnection) {
				t.Errorf("EmitTo a connection that has ended returned %v", err)
			}
		})
	}
}

// TestE4_WaitingMessagesAreDiscarded: messages that wait for a busy listener are discarded
// when the session ends. The listeners of "disconnect" are called next.
func TestE4_WaitingMessagesAreDiscarded(t *testing.T) {
	t.Parallel()
	handled, release := make(events, 16), make(chan struct{})
	s := newSite(t, options{
		listeners: listeners{
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				handled <- string(ep.Data)
				<-release
			},
			socketio.EventDisconnect: func(*socketio.EventPayload) { handled <- "disconnect" },
		},
		setup: func(s *site) {
			s.io.On("sync", func(p *socketbridge.Packet) error { return p.Socket().Emit("synced") })
		},
	})
	a := &browser{site: s}
	a.get("/set/user/ann")
	c := a.dial("/ws/a")
	c.send("first")
	handled.expect(t, "first")
	c.send("second")
	c.send("third")
	c.send(`["sync"]`)
	c.expect(`["synced"]`) // the server has read all messages
	a.get("/logout")
	c.expectClose(ws.StatusNormalClosure)
	close(release)
	handled.expect(t, "disconnect")
}

// TestE4_SlowClientsAndListenersDelayNoOther: a client that does not read and a listener that
// blocks delay no other connection, and do not delay the end of their own (D14, D16).
func TestE4_SlowClientsAndListenersDelayNoOther(t *testing.T) {
	t.Parallel()
	opened := make(chan *socketio.Websocket, 2)
	handled := make(events, 16)
	hang := make(chan struct{})
	var log testlog.Log
	s := newSite(t, options{
		route:  contribws.Config{MaxBehind: 4, EndTimeout: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		bridge: socketbridge.Config{Engine: engineio.Config{Limits: engineio.Limits{MaxBacklogBytes: 16 << 20}}},
		listeners: listeners{
			socketio.EventConnect: sendKws(opened),
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				if string(ep.Data) == "hang" {
					<-hang
				}
				handled <- string(ep.Data)
			},
		},
		setup: func(s *site) {
			s.io.On("ping", func(p *socketbridge.Packet) error { return p.Socket().Emit("pong") })
		},
	})
	defer s.end() // the blocked listener must end before the leak check
	defer close(hang)
	a := &browser{site: s}

	t.Run("a client that does not read", func(t *testing.T) {
		deaf, other := a.dial("/ws/deaf"), a.dial("/ws/other")
		first, second := receive(t, opened), receive(t, opened)
		one, two := contribws.SocketOf(first), contribws.SocketOf(second)
		if one.Handshake().Path != "/ws/deaf" {
			one, two, first, second = two, one, second, first
		}
		mustReturn(t, "Emit to a client that does not read", func() {
			big := make([]byte, 256<<10)
			for i := 0; i < 200 && one.Connected(); i++ {
				first.Emit(big)
			}
		})
		receive(t, one.Done()) // its queue is full
		second.Emit([]byte("as usual"))
		other.expect("as usual")
		if !two.Connected() {
			t.Error("another client was disconnected")
		}
		_, _ = deaf.ws.CloseNow(), other.ws.CloseNow()
	})
	t.Run("a listener that blocks", func(t *testing.T) {
		stuck, other := a.dial("/ws/stuck"), a.dial("/ws/other")
		stuck.send("hang")
		for range 4 {
			stuck.send(`["ping"]`) // as many as may wait: event handlers still run
			stuck.expect(`["pong"]`)
		}
		other.send("hello")
		handled.expect(t, "hello")
		gone := contribws.SocketOf(receive(t, opened))
		if gone.Handshake().Path != "/ws/stuck" {
			gone = contribws.SocketOf(receive(t, opened))
		}
		_ = stuck.ws.CloseNow()
		receive(t, gone.Done())
		waitFor(t, func() error { // the connection ends although its listener still runs; the other one stays
			if n := s.io.Engine().Stats().Connections; n != 1 {
				return fmt.Errorf("%d connections", n)
			}
			return nil
		})
		waitForLog(t, &log, "setting=Config.EndTimeout notice=listener_still_running")
		_ = other.ws.CloseNow()
	})
}

// TestE4_MaxBehindBytes: once MaxBehindBytes wait for the listeners, the server reads only
// as fast as they handle messages.
func TestE4_MaxBehindBytes(t *testing.T) {
	t.Parallel()
	var chains, handled atomic.Int64
	hang := make(chan struct{})
	s := newSite(t, options{
		route: contribws.Config{MaxBehindBytes: 1000},
		listeners: listeners{socketio.EventMessage: func(*socketio.EventPayload) {
			<-hang
			handled.Add(1)
		}},
		setup: func(s *site) {
			s.io.On("message", func(*socketbridge.Packet) error { chains.Add(1); return nil })
		},
	})
	c := (&browser{site: s}).dial("/ws/a")
	for range 20 {
		c.send(strings.Repeat("x", 400))
	}
	// The listener has one, two wait, and one waits for room. The socket already has the last.
	waitFor(t, func() error {
		if n := chains.Load(); n < 4 {
			return fmt.Errorf("%d messages were read", n)
		}
		return nil
	})
	time.Sleep(20 * time.Millisecond) // time for more messages
	if n := chains.Load(); n != 4 {
		t.Errorf("%d messages were read", n)
	}
	close(hang)
	waitFor(t, func() error {
		if n := handled.Load(); n != 20 {
			return fmt.Errorf("listeners got %d messages", n)
		}
		return nil
	})
}

// TestE4_RefusedConnections: listeners are not called for a connection that is
// refused for its origin, by a middleware or for its request, nor for a message that exceeds a
// limit.
func TestE4_RefusedConnections(t *testing.T) {
	t.Parallel()
	handled := make(events, 16)
	note := func(ep *socketio.EventPayload) { handled <- ep.Name }
	s := newSite(t, options{
		listeners: listeners{
			socketio.EventConnect: note, socketio.EventDisconnect: note,
			socketio.EventMessage: func(ep *socketio.EventPayload) { handled <- string(ep.Data[:1]) },
		},
		setup: func(s *site) {
			s.io.Use(func(c *socketbridge.Connect) error {
				if c.Session().Get("user") == nil {
					return &socketbridge.ConnectError{Message: "log in first", Data: map[string]int{"code": 7}}
				}
				return c.Next()
			})
		},
	})
	a := &browser{site: s}
	c := a.dial("/ws/a")
	c.send("early")
	c.expect(`["connect_error",{"data":{"code":7},"message":"log in first"}]`)
	c.expectClose(ws.StatusPolicyViolation)

	a.get("/set/user/ann")
	if _, err := a.tryDial(t.Context(), "/ws/a", "Origin", "https://evil.example"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("another origin: %v", err)
	}
	if _, err := a.tryGet("/ws/a"); err == nil || !strings.Contains(err.Error(), "426") {
		t.Errorf("no upgrade: %v", err)
	}
	handled.none(t)

	c = a.dial("/ws/a")
	handled.expect(t, "connect")
	go func() { _ = c.ws.Write(t.Context(), ws.MessageText, make([]byte, 2<<20)) }() // ends with the connection
	c.expectClose(ws.StatusMessageTooBig)
	handled.expect(t, "disconnect")
}

// TestE4_RequestValues: kws has the values of the client's own request, before and
// after the end, but not the session's cookie.
func TestE4_RequestValues(t *testing.T) {
	t.Parallel()
	opened := make(chan *socketio.Websocket, 1)
	s := newSite(t, options{
		before: func(app *fiber.App) {
			app.Use(func(c *fiber.Ctx) error { c.Locals("number", 7); return c.Next() })
		},
		listeners: listeners{socketio.EventConnect: func(ep *socketio.EventPayload) {
			ep.Kws.Conn.Locals("mine", "set by a listener")
			opened <- ep.Kws
		}},
	})
	a := &browser{site: s}
	a.get("/set/user/ann")
	name, _, _ := strings.Cut(a.cookie, "=")
	a.cookie += "; colour=green"
	c := a.dial("/ws/lobby?q=1&q=2", "X-Thing", "blue")
	kws := receive(t, opened)
	check := func() {
		t.Helper()
		for _, tt := range []struct{ what, got, want string }{
			{"Params", kws.Params("room"), "lobby"},
			{"Params with a default", kws.Params("none", "x"), "x"},
			{"Query", kws.Query("q"), "2"},
			{"Query with a default", kws.Query("none", "x"), "x"},
			{"Cookies", kws.Cookies("colour"), "green"},
			{"the session's cookie", kws.Cookies(name), ""},
			{"Locals", fmt.Sprint(kws.Locals("number")), "7"},
			{"a Local set by a listener", fmt.Sprint(kws.Locals("mine")), "set by a listener"},
			{"Conn.Locals", fmt.Sprint(kws.Conn.Locals("number")), "7"},
			{"Conn.Headers", kws.Conn.Headers("X-Thing"), "blue"},
			{"Conn.Headers of the session", kws.Conn.Headers("Cookie"), "colour=green"},
			{"Conn.Cookies", kws.Conn.Cookies("colour"), "green"},
			{"Conn.Query", kws.Conn.Query("q"), "2"},
			{"Conn.IP", kws.Conn.IP(), "127.0.0.1"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: %q, want %q", tt.what, tt.got, tt.want)
			}
		}
	}
	check()
	_ = c.ws.CloseNow()
	receive(t, contribws.SocketOf(kws).Done())
	other := &browser{site: s, cookie: "colour=red"}
	other.dial("/ws/other?q=3", "X-Thing", "yellow")
	receive(t, opened)
	check()
}

// TestE4_ListenersChangeTheSession: HTTP requests see what a listener saves with SessionOf.
func TestE4_ListenersChangeTheSession(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		saved := make(chan error, 1)
		s := newSite(t, options{storage: url, listeners: listeners{
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				sess := contribws.SessionOf(ep.Kws)
				sess.Set("said", string(ep.Data))
				saved <- sess.Save(context.Background())
			},
		}})
		a := &browser{site: s}
		a.get("/set/user/ann")
		a.dial("/ws/a").send("something")
		if err := receive(t, saved); err != nil {
			t.Fatal(err)
		}
		if got := a.get("/get/said"); got != "something" {
			t.Errorf("over HTTP the value is %q", got)
		}
	})
}

// TestE4_OtherRoutesOfTheLibrary: a route that uses socketio.New still works, and
// its connections are not sockets.
func TestE4_OtherRoutesOfTheLibrary(t *testing.T) { // not parallel: see the end
	handled := make(events, 4)
	s := newSite(t, options{
		listeners: listeners{
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				ep.Kws.Emit([]byte("heard"))
				handled <- fmt.Sprintf("%s %t %t", ep.Data, contribws.SocketOf(ep.Kws) == nil, contribws.SessionOf(ep.Kws) == nil)
			},
			socketio.EventDisconnect: func(*socketio.EventPayload) { handled <- "disconnect" },
		},
		setup: func(s *site) { s.app.Get("/plain", socketio.New(func(*socketio.Websocket) {})) },
	})
	c := (&browser{site: s}).dial("/plain")
	for range 3 {
		c.send("hello")
		handled.expect(t, "hello true true")
		c.expect("heard")
	}
	_ = c.ws.Close(ws.StatusNormalClosure, "")
	handled.expect(t, "disconnect")
	if contribws.SocketOf(nil) != nil || contribws.SocketOf(&socketio.Websocket{}) != nil {
		t.Error("SocketOf returned a socket for a foreign kws")
	}
	// Such a route returns its connection to a pool while its goroutines may still use it. Wait
	// for them, so that no other test gets the connection.
	waitFor(t, func() error {
		stacks := make([]byte, 1<<20)
		if strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "socketio.(*Websocket)") {
			return errors.New("goroutines of the library still run")
		}
		return nil
	})
	runtime.GC()
	runtime.GC()
}
