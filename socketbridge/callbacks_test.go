package socketbridge_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// callbackDeadline is when a test says that something hangs. Nothing is measured against it.
const callbackDeadline = 30 * time.Second

// await fails the test with what, and the stacks of all goroutines, if done is not closed.
func await(t testing.TB, done <-chan struct{}, what func() string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(callbackDeadline):
		stacks := make([]byte, 1<<20)
		t.Fatalf("%s hangs\n%s", what(), stacks[:runtime.Stack(stacks, true)])
	}
}

// apiCalls are the calls that a callback can make. s can be nil. Those that wait for clients
// or nodes have a context that has nearly ended.
var apiCalls = map[string]func(e *callbackEnv, s *socketbridge.Socket, ctx context.Context){
	"Socket.Emit":        func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { _ = s.Emit("e", 1, []byte("b")) },
	"Socket.EmitWithAck": func(_ *callbackEnv, s *socketbridge.Socket, ctx context.Context) { _, _ = s.EmitWithAck(ctx, "e") },
	"Socket.EmitWithAckFunc": func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) {
		_ = s.EmitWithAckFunc("e", func(socketbridge.Answer, error) {})
	},
	"Socket.Volatile":  func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { _ = s.Volatile().Emit("e") },
	"Socket.Broadcast": func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { _ = s.Broadcast().Emit("e") },
	"Socket.To":        func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { _ = s.To("r").Emit("e") },
	"Socket.ToSession": func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { _ = s.ToSession().Emit("e") },
	"Socket.ToUser":    func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { _ = s.ToUser("ann").Emit("e") },
	"Socket.Join": func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) {
		_ = s.Join("r", "q")
		_ = s.Rooms()
		s.Leave("q")
	},
	"Socket's getters": func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) {
		_, _, _, _, _ = s.Handshake(), s.Connected(), s.User(), s.Transport(), s.Recovered()
		_, _, _ = s.Auth(new(any)), s.Context().Err(), s.Done()
		s.Data().Set("k", s.Data().Get("k"))
	},
	"Socket's handlers": func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) {
		s.On("later", func(*socketbridge.Packet) error { return nil })()
		s.Once("later", func(*socketbridge.Packet) error { return nil })()
		s.OnAny(func(*socketbridge.Packet) error { return nil })()
		s.OnAnyOutgoing(func(*socketbridge.OutgoingEvent) {})()
		s.Use(func(p *socketbridge.Packet) error { return p.Next() })
		s.OnError(func(*socketbridge.Packet, error) {})
		s.OnDisconnect(func(socketbridge.Reason) {})
		s.OnDisconnecting(func(socketbridge.Reason) {})
		s.OnSessionChange(func([]string) {})
		s.Off("later")
	},
	"Socket.SendCookie": func(_ *callbackEnv, s *socketbridge.Socket, ctx context.Context) { _ = s.SendCookie(ctx) },
	"Socket.Session": func(_ *callbackEnv, s *socketbridge.Socket, ctx context.Context) {
		if h := s.Session(); h != nil {
			h.Set("k", h.Get("k"))
			_, _, _ = h.Save(ctx), h.Reload(ctx), h.Touch(ctx)
		}
	},
	"Server.Emit": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { _ = e.io.Emit("e", 1) },
	"Server.To": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) {
		_ = e.io.To("r").Except("q").Emit("e", 1)
	},
	"Server.ToUser": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { _ = e.io.ToUser("ann").Emit("e") },
	"Broadcast.EmitWithAck": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		_, _ = e.io.Broadcast().EmitWithAck(ctx, "e")
	},
	"Broadcast.Join": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) {
		_ = e.io.Broadcast().Join("all")
		_ = e.io.To("all").Leave("all")
	},
	"Server.Sockets": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { _ = e.io.Sockets(); _ = e.io.Stats() },
	"FetchSockets":   func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _, _ = e.io.FetchSockets(ctx) },
	"AllRooms":       func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _, _ = e.io.Of("/").AllRooms(ctx) },
	"Nodes":          func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _, _ = e.io.Nodes(ctx) },
	"ServerSideEmit": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { _ = e.io.ServerSideEmit("s", 1) },
	"ServerSideEmitWithAck": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		_, _ = e.io.ServerSideEmitWithAck(ctx, "s")
	},
	"Server.Of": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) {
		ns := e.io.Of(fmt.Sprint("/of", e.n.Add(1)))
		ns.Use(func(c *socketbridge.Connect) error { return c.Next() }).OnConnection(func(*socketbridge.Socket) {})
		ns.On("e", func(*socketbridge.Packet) error { return nil }).Off("e")
	},
	"Server.OfPattern": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) {
		e.io.OfPattern(regexp.MustCompile("/p[0-9]"))
	},
	"Server's handlers": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) {
		e.io.OnPresence(func(string, bool) {})
		e.io.OnRoomEvent(func(socketbridge.RoomEvent) {})
		e.io.OnNewNamespace(func(*socketbridge.Namespace) {})
		e.io.OnServerSideEmit("more", func(*socketbridge.ServerEvent) {})
		e.io.OnRefused(func(socketbridge.Refusal) {})
	},
	"Server.User": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		u := e.io.User("ann")
		_, _, _ = u.Online(), u.Sockets(), u.Emit("e")
		_, _ = u.OnlineAnywhere(ctx)
	},
	"Packet.Ack": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		if p := e.packet.Load(); p != nil {
			_, _, _ = p.Bind(new(any)), p.Args(), p.SetArgs(1)
			_ = p.Session().Save(ctx)
			_, _ = p.Ack(1), p.Ack(2)
		}
	},
	"a client connects": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { dial(e.t, e.io) },
	"Handle.Save": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		e.session.Set("x", int(e.n.Add(1)))
		_ = e.session.Save(ctx)
	},
	"Handle.Reload": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		_ = e.session.Reload(ctx)
		_ = e.session.KeepAlive(ctx)
	},
	"Handle.Update":     func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _, _ = e.session.Incr(ctx, "i", 1) },
	"Handle.Regenerate": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _ = e.session.Regenerate(ctx) },
	"Handle.Login":      func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _ = e.session.Login(ctx, "ann") },
	"Handle.Watch": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) {
		e.session.Watch(func(fibersession.Event) {})()
	},
	"Handle.Fork": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { e.session.Fork().Release() },
	"Handle.Devices": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		_, _ = e.session.Devices(ctx)
		_, _ = e.session.Ticket(ctx, "")
	},
	"Store.GetByID": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		if h, err := e.store.GetByID(ctx, e.session.ID()); err == nil {
			h.Release()
		}
	},
	"Store.UpdateUser": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		_, _ = e.store.UpdateUser(ctx, "ann", func(tx *fibersession.Tx) error { tx.Set("y", 1); return nil })
	},
}

// endings are the calls after which the others make no sense: each gets an env of its own.
var endings = map[string]func(e *callbackEnv, s *socketbridge.Socket, ctx context.Context){
	"Socket.Disconnect":    func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { s.Disconnect() },
	"Socket.Close":         func(_ *callbackEnv, s *socketbridge.Socket, _ context.Context) { s.Close() },
	"Broadcast.Disconnect": func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { _ = e.io.Broadcast().Disconnect(true) },
	"User.Disconnect":      func(e *callbackEnv, _ *socketbridge.Socket, _ context.Context) { _ = e.io.User("ann").Disconnect() },
	"Handle.Destroy":       func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _ = e.session.Destroy(ctx) },
	"Handle.Logout":        func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _ = e.session.Logout(ctx) },
	"Store.EndAll":         func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) { _, _ = e.store.EndAll(ctx, "ann") },
	"Server.Shutdown": func(e *callbackEnv, _ *socketbridge.Socket, ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, time.Millisecond) // it waits for the callback
		defer cancel()
		_ = e.io.Shutdown(ctx)
	},
}

// R20: no call hangs in any callback. Each callback makes all calls in turn, and in an env of
// their own those that end the socket, the session or the server.
func TestR20_EveryCallInEveryCallback(t *testing.T) {
	t.Parallel()
	var pairs atomic.Int64
	t.Run("pairs", func(t *testing.T) {
		for name, cb := range callbacks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				pairs.Add(int64(callIn(t, cb, apiCalls)))
				for ending, call := range endings {
					pairs.Add(int64(callIn(t, cb, map[string]func(*callbackEnv, *socketbridge.Socket, context.Context){ending: call})))
				}
			})
		}
	})
	t.Logf("%d callbacks, %d calls, %d pairs", len(callbacks), len(apiCalls)+len(endings), pairs.Load())
	if want := int64(len(callbacks) * (len(apiCalls) + len(endings))); pairs.Load() != want {
		t.Errorf("%d pairs were tried, want %d", pairs.Load(), want)
	}
}

// callIn makes calls in one run of a callback, and returns how many returned.
func callIn(t *testing.T, cb callback, calls map[string]func(*callbackEnv, *socketbridge.Socket, context.Context)) (n int) {
	e := newCallbackEnv(t, cb)
	var current atomic.Value
	var begun atomic.Bool
	done := make(chan struct{})
	code := func() {
		if !begun.CompareAndSwap(false, true) {
			return // the calls cause further runs
		}
		defer close(done)
		for name, call := range calls {
			current.Store(name)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			call(e, e.socket.Load(), ctx)
			cancel()
			n++
		}
	}
	e.code.Store(&code)
	fired := make(chan struct{})
	go func() { // received below
		defer close(fired)
		cb.fire(e)
	}()
	await(t, done, func() string { return fmt.Sprintf("call %v (nil: the callback did not run)", current.Load()) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.client.leave()
		e.bystander.leave()
		_ = e.io.Shutdown(context.Background()) // waits for all callbacks
	}()
	await(t, ended, func() string { return "the server's end" })
	await(t, fired, func() string { return "what called the callback" })
	return n
}

// rounds returns how often each callback misbehaves: R19_ROUNDS, or a few times.
func rounds(t *testing.T) int {
	if text := os.Getenv("R19_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 10
}

// R19: code of the app that panics or ends its goroutine, in any callback, fails its own
// event, attempt or call. The process lives, other clients and the same one are served, the
// log names the callback, and nothing hangs at the end.
func TestR19_MisbehavingCallbacks(t *testing.T) {
	t.Parallel()
	for name, cb := range callbacks {
		for how, bad := range map[string]func(){"panic": func() { panic("secret of the app") }, "Goexit": runtime.Goexit} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				e := newCallbackEnv(t, cb)
				var ran atomic.Int64
				code := func() { ran.Add(1); bad() }
				e.code.Store(&code)
				n := rounds(t)
				if name == "Logger" {
					n = min(n, 10) // the board writes no more lines in a minute
				}
				for i := range n {
					var fired sync.WaitGroup
					fired.Go(func() { // a call of the app's may end its goroutine
						defer func() {
							if p := recover(); p != nil && !cb.caller {
								panic(p)
							}
						}()
						cb.fire(e)
					})
					fired.Wait()
					waitFor(t, "the callback", func() bool { return ran.Load() > int64(i) })
				}
				e.code.Store(nil)
				for who, p := range map[string]*peer{"bystander": e.bystander, "client": e.client} {
					p.send(`29999["alive"]`)
					for deadline := time.Now().Add(callbackDeadline); ; {
						if m := p.nextMessage(); string(m.Data) == "39999[1]" {
							break
						} else if strings.Contains(string(m.Data), "secret") {
							t.Errorf("the %s got %s", who, m.Data)
						}
						if time.Now().After(deadline) {
							t.Fatalf("the %s got no answer", who)
						}
					}
				}
				if !cb.caller && name != "Logger" {
					waitFor(t, "the log", func() bool { return e.log.Has("_panic") })
				}
				e.visitRoot()
			})
		}
	}
}
