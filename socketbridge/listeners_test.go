package socketbridge_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// mustPanic runs fn and returns the text of its panic.
func mustPanic(t *testing.T, fn func()) (text string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
			return
		}
		t.Error("no panic")
	}()
	fn()
	return ""
}

func ack(*socketbridge.Packet) error { return nil }

// S2: names that would never be called are refused where they are registered, and the panic
// names the replacement.
func TestS2_EventsThatNeverFire(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	sockets := make(chan *socketbridge.Socket, 1)
	io.OnConnection(func(s *socketbridge.Socket) { sockets <- s })
	join(t, io, "/")
	s := <-sockets
	replacements := map[string]string{
		"connection": "OnConnection", "connect": "OnConnection", "disconnecting": "Socket.OnDisconnecting",
		"disconnect": "Socket.OnDisconnect", "connect_error": "Server.OnRefused",
		"connection_error": "Server.OnRefused", "new_namespace": "Server.OnNewNamespace",
		"newListener": "nothing", "removeListener": "nothing",
	}
	for event, use := range replacements {
		for where, on := range map[string]func(){
			"Server.On":    func() { io.On(event, ack) },
			"Namespace.On": func() { io.Of("/chat").On(event, ack) },
			"Socket.On":    func() { s.On(event, ack) },
			"Socket.Once":  func() { s.Once(event, ack) },
		} {
			if text := mustPanic(t, on); !strings.Contains(text, "use "+use) || !strings.Contains(text, fmt.Sprintf("%q", event)) {
				t.Errorf("%s(%q) panics with %q, want the event and %s", where, event, text, use)
			}
		}
	}
	for _, event := range []string{"connect", "connection", "new_namespace", "disconnect"} {
		mustPanic(t, func() { io.OnServerSideEmit(event, func(*socketbridge.ServerEvent) {}) })
		if err := io.ServerSideEmit(event); err != socketbridge.ErrReservedEvent {
			t.Errorf("ServerSideEmit(%q): got error %v, want ErrReservedEvent", event, err)
		}
	}
	for _, event := range []string{"message", "join-room", "upgrade", "data"} {
		io.On(event, ack)
	}
}

// S2: a nil function fails at start, not at the first event.
func TestS2_NilHandlers(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	sockets := make(chan *socketbridge.Socket, 1)
	io.OnConnection(func(s *socketbridge.Socket) { sockets <- s })
	join(t, io, "/")
	s, ns := <-sockets, io.Of("/")
	for name, add := range map[string]func(){
		"Server.On":               func() { io.On("x", nil) },
		"Server.On, no handler":   func() { io.On("x") },
		"Server.On, one of two":   func() { io.On("x", ack, nil) },
		"Server.Use":              func() { io.Use(nil) },
		"Server.OnConnection":     func() { io.OnConnection(nil) },
		"Server.OnSessionChange":  func() { io.OnSessionChange(nil) },
		"Server.OnInvalidSession": func() { io.OnInvalidSession(nil) },
		"Server.OnServerSideEmit": func() { io.OnServerSideEmit("x", nil) },
		"Server.OnPresence":       func() { io.OnPresence(nil) },
		"Engine.Use":              func() { io.Engine().Use(nil) },
		"Namespace.On":            func() { ns.On("x", nil) },
		"Namespace.Use":           func() { ns.Use(nil) },
		"Namespace.OnConnection":  func() { ns.OnConnection(nil) },
		"Socket.On":               func() { s.On("x", nil) },
		"Socket.Once":             func() { s.Once("x", nil) },
		"Socket.Use":              func() { s.Use(nil) },
		"Socket.OnAny":            func() { s.OnAny(nil) },
		"Socket.PrependAny":       func() { s.PrependAny(nil) },
		"Socket.OnError":          func() { s.OnError(nil) },
		"Socket.OnDisconnecting":  func() { s.OnDisconnecting(nil) },
		"Socket.OnDisconnect":     func() { s.OnDisconnect(nil) },
		"Socket.OnSessionChange":  func() { s.OnSessionChange(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			if text := mustPanic(t, add); !strings.Contains(text, "needs a") {
				t.Errorf("panics with %q", text)
			}
		})
	}
}

// S2: chains and catch-all listeners are removed one by one and all at once.
func TestS2_OffAndOnce(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	heard := make(events, 32)
	says := func(what string) socketbridge.Handler {
		return func(p *socketbridge.Packet) error { heard.add("%s", what); return p.Next() }
	}
	sockets := make(chan *socketbridge.Socket, 1)
	io.On("x", says("namespace"))
	io.On("end", says("end"))
	io.OnConnection(func(s *socketbridge.Socket) { sockets <- s })
	c := join(t, io, "/")
	s := <-sockets

	offA := s.On("x", says("a1"), says("a2"))
	s.On("x", says("b"))
	s.Once("x", says("once"), says("then"))
	never := s.Once("x", says("never"))
	never()
	offAny := s.OnAny(says("any 1"))
	s.OnAny(says("any 2"))
	s.PrependAny(says("any 0"))
	c.send(`2["x"]`)
	heard.expect(t, "any 0", "any 1", "any 2", "namespace", "a1", "a2", "b", "once", "then")
	c.send(`2["end"]`)
	heard.expect(t, "any 0", "any 1", "any 2", "end")

	offA()
	offA() // a second call does nothing
	offAny()
	c.send(`2["x"]`)
	heard.expect(t, "any 0", "any 2", "namespace", "b")

	s.Off("x")
	s.Off("unknown")
	s.OffAny()
	c.send(`2["x"]`)
	c.send(`2["end"]`)
	heard.expect(t, "namespace", "end")

	io.Off("x")
	c.send(`2["x"]`)
	c.send(`2["end"]`)
	heard.expect(t, "end")
}

// A chain that Once added runs for one of many events that are handled at the same time.
func TestS2_OnceWithConcurrency(t *testing.T) {
	t.Parallel()
	const count = 8
	io := newServer(t, socketbridge.Config{Concurrency: count})
	var ran, arrived atomic.Int32
	all := make(chan struct{})
	handled := make(chan struct{}, count)
	io.OnConnection(func(s *socketbridge.Socket) {
		s.OnAny(func(p *socketbridge.Packet) error { // all events have the chain before it runs for one
			if arrived.Add(1) == count {
				close(all)
			}
			<-all
			return nil
		})
		s.Once("x", func(*socketbridge.Packet) error { ran.Add(1); return nil })
		s.On("x", func(*socketbridge.Packet) error { handled <- struct{}{}; return nil })
	})
	c := join(t, io, "/")
	for range count {
		c.send(`2["x"]`)
	}
	for range count {
		<-handled
	}
	if got := ran.Load(); got != 1 {
		t.Errorf("the chain ran %d times, want once", got)
	}
}

// off within a handler of the same event does not disturb the event.
func TestS2_OffWithinTheHandler(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	heard := make(events, 8)
	io.OnConnection(func(s *socketbridge.Socket) {
		var off func()
		off = s.On("x", func(*socketbridge.Packet) error { off(); heard.add("first"); return nil })
		s.On("x", func(*socketbridge.Packet) error { heard.add("second"); return nil })
	})
	c := join(t, io, "/")
	c.send(`2["x"]`)
	c.send(`2["x"]`)
	heard.expect(t, "first", "second", "second")
}
