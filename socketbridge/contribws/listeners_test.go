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
)

// kwsOf returns a listener that hands out the kws of each new connection.
func kwsOf(ch chan *socketio.Websocket) func(*socketio.EventPayload) {
	return func(ep *socketio.EventPayload) { ch <- ep.Kws }
}

// take waits for something.
func take[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("it did not happen")
		panic("unreachable")
	}
}

// returns waits until fn has returned.
func returns(t testing.TB, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }() // ends with fn: the test fails if that does not
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not return", what)
	}
}

// TestE4_SetAttributeNeverWaits: an attribute of a connection whose client says
// nothing is set at once, and what is emitted after that arrives (D15).
func TestE4_SetAttributeNeverWaits(t *testing.T) {
	t.Parallel()
	opened, heard := make(chan *socketio.Websocket, 1), make(events, 4)
	s := newSite(t, options{listeners: listeners{
		socketio.EventConnect: kwsOf(opened),
		socketio.EventMessage: func(ep *socketio.EventPayload) { heard <- string(ep.Data) },
	}})
	c := (&agent{site: s}).dial("/ws/a")
	kws := take(t, opened)
	c.send("one")
	heard.expect(t, "one") // so all that begins has begun
	for i := range 50 {
		// Ticks of the library's own reader pass meanwhile: it would hold the lock by now.
		time.Sleep(time.Millisecond)
		returns(t, "SetAttribute on an idle connection", func() { kws.SetAttribute("n", i) })
	}
	returns(t, "Emit", func() { kws.Emit([]byte("still here")) })
	c.expect("still here")
	if !kws.IsAlive() || kws.GetIntAttribute("n") != 49 {
		t.Error("the attribute was not set")
	}
	c.send("two")
	heard.expect(t, "two")
}

// TestE4_MessagesAreHeardInOrder: as fast as they come, each once, and nothing of
// this package's own among them.
func TestE4_MessagesAreHeardInOrder(t *testing.T) {
	t.Parallel()
	const messages = 3000
	heard := make(chan string, messages+1)
	s := newSite(t, options{listeners: listeners{
		socketio.EventMessage: func(ep *socketio.EventPayload) { heard <- string(ep.Data) },
	}})
	c := (&agent{site: s}).dial("/ws/a")
	began := time.Now()
	for i := range messages {
		c.send(fmt.Sprintf("m%d", i))
	}
	for i := range messages {
		if got := take(t, heard); got != fmt.Sprintf("m%d", i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
	t.Logf("%.0f messages a second of one connection", messages/time.Since(began).Seconds())
	if len(heard) > 0 {
		t.Errorf("more was heard: %q", <-heard)
	}
}

// TestE4_ListenersCannotEndTheProcess: panics of listeners are logged, end nothing
// but what they must, and leave everybody else alone (D13).
func TestE4_ListenersCannotEndTheProcess(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	heard := make(events, 16)
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
				heard <- string(ep.Data)
			},
			socketio.EventDisconnect: contribws.Guard(func(ep *socketio.EventPayload) { panic("at disconnect") }),
		},
	})
	a := &agent{site: s}
	for _, room := range []string{"callback", "connect"} {
		a.dial("/ws/" + room).expectClose(ws.StatusGoingAway)
		heard.none(t)
	}
	c := a.dial("/ws/message")
	c.send("panic")
	c.send("after")
	heard.expect(t, "after")
	_ = c.ws.Close(ws.StatusNormalClosure, "")
	for _, what := range []string{"in Config.Connect", "at connect", "at message", "at disconnect"} {
		says(t, &log, what)
	}
}

// TestE4_DisconnectIsHeardOnce: with what a client's end is, and never twice, also
// when messages are on their way out (the library's writer fails for each of them).
func TestE4_DisconnectIsHeardOnce(t *testing.T) {
	t.Parallel()
	heard := make(events, 256)
	opened := make(chan *socketio.Websocket, 1)
	s := newSite(t, options{listeners: listeners{
		socketio.EventConnect: kwsOf(opened),
		socketio.EventMessage: func(ep *socketio.EventPayload) {
			switch string(ep.Data) {
			case "close":
				ep.Kws.Close()
			default:
				heard <- string(ep.Data)
			}
		},
		socketio.EventDisconnect: func(ep *socketio.EventPayload) {
			for range 50 {
				ep.Kws.Emit([]byte("too late"))
			}
			switch {
			case websocket.IsCloseError(ep.Error, websocket.CloseNormalClosure):
				heard <- "ended"
			case websocket.IsCloseError(ep.Error, websocket.CloseGoingAway):
				heard <- "gone"
			default:
				heard <- ep.Error.Error()
			}
		},
		socketio.EventError: func(ep *socketio.EventPayload) { heard <- "error" },
		socketio.EventClose: func(ep *socketio.EventPayload) { heard <- "close" },
	}})
	for _, tt := range []struct {
		name string
		end  func(c *client, kws *socketio.Websocket)
		want []string
	}{
		{"the client leaves", func(c *client, _ *socketio.Websocket) { _ = c.ws.Close(ws.StatusNormalClosure, "") }, []string{"gone", "error"}},
		{"the client vanishes", func(c *client, _ *socketio.Websocket) { _ = c.ws.CloseNow() }, []string{"gone", "error"}},
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
			c := (&agent{site: s}).dial("/ws/a")
			kws := take(t, opened)
			tt.end(c, kws)
			for _, want := range tt.want {
				if got := take(t, heard); got != want && want != "*" {
					t.Fatalf("heard %q, want %q", got, want)
				}
			}
			time.Sleep(5 * time.Millisecond) // a second one would come about now
			heard.none(t)
			if kws.IsAlive() {
				t.Error("it is alive")
			}
			if err := contribws.SocketOf(kws).Emit("x"); !errors.Is(err, socketbridge.ErrDisconnected) {
				t.Errorf("Emit to a socket that has gone: %v", err)
			}
			if err := socketio.EmitTo(kws.GetUUID(), []byte("x")); !errors.Is(err, socketio.ErrorInvalidConnection) {
				t.Errorf("EmitTo a connection that has gone: %v", err)
			}
		})
	}
}

// TestE4_NothingIsHeardAfterTheServerEndsIt: what waits for a busy listener when the
// session ends is dropped, and the disconnect follows.
func TestE4_NothingIsHeardAfterTheServerEndsIt(t *testing.T) {
	t.Parallel()
	heard, release := make(events, 16), make(chan struct{})
	s := newSite(t, options{
		listeners: listeners{
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				heard <- string(ep.Data)
				<-release
			},
			socketio.EventDisconnect: func(*socketio.EventPayload) { heard <- "disconnect" },
		},
		setup: func(s *site) {
			s.io.On("sync", func(p *socketbridge.Packet) error { return p.Socket().Emit("synced") })
		},
	})
	a := &agent{site: s}
	a.get("/set/user/ann")
	c := a.dial("/ws/a")
	c.send("first")
	heard.expect(t, "first")
	c.send("second")
	c.send("third")
	c.send(`["sync"]`)
	c.expect(`["synced"]`) // all of it was read
	a.get("/logout")
	c.expectClose(ws.StatusNormalClosure)
	close(release)
	heard.expect(t, "disconnect")
}

// TestE4_SlowClientsAndListenersAreAloneWithIt: who does not read, and a listener
// that hangs, delay nobody else, not even the end (D14, D16).
func TestE4_SlowClientsAndListenersAreAloneWithIt(t *testing.T) {
	t.Parallel()
	opened := make(chan *socketio.Websocket, 2)
	heard := make(events, 16)
	hang := make(chan struct{})
	s := newSite(t, options{
		route: contribws.Config{MaxBehind: 4, EndTimeout: 10 * time.Millisecond},
		listeners: listeners{
			socketio.EventConnect: kwsOf(opened),
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				if string(ep.Data) == "hang" {
					<-hang
				}
				heard <- string(ep.Data)
			},
		},
		setup: func(s *site) {
			s.io.On("ping", func(p *socketbridge.Packet) error { return p.Socket().Emit("pong") })
		},
	})
	defer s.end() // the listener that hung must be gone before the leak check
	defer close(hang)
	a := &agent{site: s}

	t.Run("a client that does not read", func(t *testing.T) {
		deaf, other := a.dial("/ws/deaf"), a.dial("/ws/other")
		first, second := take(t, opened), take(t, opened)
		one, two := contribws.SocketOf(first), contribws.SocketOf(second)
		if one.Handshake().Path != "/ws/deaf" {
			one, two, first, second = two, one, second, first
		}
		returns(t, "Emit to a client that does not read", func() {
			big := make([]byte, 256<<10)
			for i := 0; i < 200 && one.Connected(); i++ {
				first.Emit(big)
			}
		})
		take(t, one.Done()) // its queue is full
		second.Emit([]byte("as usual"))
		other.expect("as usual")
		if !two.Connected() {
			t.Error("another one was disconnected")
		}
		_, _ = deaf.ws.CloseNow(), other.ws.CloseNow()
	})
	t.Run("a listener that hangs", func(t *testing.T) {
		stuck, other := a.dial("/ws/stuck"), a.dial("/ws/other")
		stuck.send("hang")
		for range 4 {
			stuck.send(`["ping"]`) // as many as may wait: the chains go on
			stuck.expect(`["pong"]`)
		}
		other.send("hello")
		heard.expect(t, "hello")
		gone := contribws.SocketOf(take(t, opened))
		if gone.Handshake().Path != "/ws/stuck" {
			gone = contribws.SocketOf(take(t, opened))
		}
		_ = stuck.ws.CloseNow()
		take(t, gone.Done())
		eventually(t, func() error { // the connection ends without its listener; the other one stays
			if n := s.io.Engine().Stats().Connections; n != 1 {
				return fmt.Errorf("%d connections", n)
			}
			return nil
		})
		_ = other.ws.CloseNow()
	})
}

// TestE4_BehindBoundsWhatWaits: a client is read from as fast as its listeners are,
// when they are behind by MaxBehindBytes.
func TestE4_BehindBoundsWhatWaits(t *testing.T) {
	t.Parallel()
	var chains, heard atomic.Int64
	hang := make(chan struct{})
	s := newSite(t, options{
		route: contribws.Config{MaxBehindBytes: 1000},
		listeners: listeners{socketio.EventMessage: func(*socketio.EventPayload) {
			<-hang
			heard.Add(1)
		}},
		setup: func(s *site) {
			s.io.On("message", func(*socketbridge.Packet) error { chains.Add(1); return nil })
		},
	})
	c := (&agent{site: s}).dial("/ws/a")
	for range 20 {
		c.send(strings.Repeat("x", 400))
	}
	// One is being heard, two wait, and one waits for room: the core has it already.
	eventually(t, func() error {
		if n := chains.Load(); n < 4 {
			return fmt.Errorf("%d messages were read", n)
		}
		return nil
	})
	time.Sleep(20 * time.Millisecond) // more would come now
	if n := chains.Load(); n != 4 {
		t.Errorf("%d messages were read", n)
	}
	close(hang)
	eventually(t, func() error {
		if n := heard.Load(); n != 20 {
			return fmt.Errorf("%d messages were heard", n)
		}
		return nil
	})
}

// TestE4_RefusedConnectionsAreNeverHeardOf: by origin, by a middleware, by the
// shape of the request; and a message that breaks a limit never reaches a listener.
func TestE4_RefusedConnectionsAreNeverHeardOf(t *testing.T) {
	t.Parallel()
	heard := make(events, 16)
	note := func(ep *socketio.EventPayload) { heard <- ep.Name }
	s := newSite(t, options{
		listeners: listeners{
			socketio.EventConnect: note, socketio.EventDisconnect: note,
			socketio.EventMessage: func(ep *socketio.EventPayload) { heard <- string(ep.Data[:1]) },
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
	a := &agent{site: s}
	c := a.dial("/ws/a")
	c.send("early")
	c.expect(`["connect_error",{"data":{"code":7},"message":"log in first"}]`)
	c.expectClose(ws.StatusPolicyViolation)

	a.get("/set/user/ann")
	if _, err := a.tryDial(t.Context(), "/ws/a", "Origin", "https://evil.example"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a foreign origin: %v", err)
	}
	if _, err := a.try("/ws/a"); err == nil || !strings.Contains(err.Error(), "426") {
		t.Errorf("no upgrade: %v", err)
	}
	heard.none(t)

	c = a.dial("/ws/a")
	heard.expect(t, "connect")
	go func() { _ = c.ws.Write(t.Context(), ws.MessageText, make([]byte, 2<<20)) }() // ends with the connection
	c.expectClose(ws.StatusMessageTooBig)
	heard.expect(t, "disconnect")
}

// TestE4_ListenersHaveTheirRequest: kws gives what the client's own request said,
// before and after the end, without the session's cookie.
func TestE4_ListenersHaveTheirRequest(t *testing.T) {
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
	a := &agent{site: s}
	a.get("/set/user/ann")
	name, _, _ := strings.Cut(a.cookie, "=")
	a.cookie += "; colour=green"
	c := a.dial("/ws/lobby?q=1&q=2", "X-Thing", "blue")
	kws := take(t, opened)
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
			{"what a listener has set", fmt.Sprint(kws.Locals("mine")), "set by a listener"},
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
	take(t, contribws.SocketOf(kws).Done())
	other := &agent{site: s, cookie: "colour=red"}
	other.dial("/ws/other?q=3", "X-Thing", "yellow")
	take(t, opened)
	check()
}

// TestE4_ListenersChangeTheSession: with the helper, seen over HTTP.
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
		a := &agent{site: s}
		a.get("/set/user/ann")
		a.dial("/ws/a").send("something")
		if err := take(t, saved); err != nil {
			t.Fatal(err)
		}
		if got := a.get("/get/said"); got != "something" {
			t.Errorf("over HTTP it is %q", got)
		}
	})
}

// TestE4_OtherRoutesOfTheLibraryStayAsTheyAre: one that is not of this package works
// beside it, and is no socket.
func TestE4_OtherRoutesOfTheLibraryStayAsTheyAre(t *testing.T) { // alone: see the end
	heard := make(events, 4)
	s := newSite(t, options{
		listeners: listeners{
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				ep.Kws.Emit([]byte("heard"))
				heard <- fmt.Sprintf("%s %t %t", ep.Data, contribws.SocketOf(ep.Kws) == nil, contribws.SessionOf(ep.Kws) == nil)
			},
			socketio.EventDisconnect: func(*socketio.EventPayload) { heard <- "disconnect" },
		},
		setup: func(s *site) { s.app.Get("/plain", socketio.New(func(*socketio.Websocket) {})) },
	})
	c := (&agent{site: s}).dial("/plain")
	for range 3 {
		c.send("hello")
		heard.expect(t, "hello true true")
		c.expect("heard")
	}
	_ = c.ws.Close(ws.StatusNormalClosure, "")
	heard.expect(t, "disconnect")
	if contribws.SocketOf(nil) != nil || contribws.SocketOf(&socketio.Websocket{}) != nil {
		t.Error("nothing is a socket")
	}
	// Such a route gives its connection back while its goroutines may still use it:
	// no other test shall be given it.
	eventually(t, func() error {
		stacks := make([]byte, 1<<20)
		if strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "socketio.(*Websocket)") {
			return errors.New("the library is still at it")
		}
		return nil
	})
	runtime.GC()
	runtime.GC()
}
