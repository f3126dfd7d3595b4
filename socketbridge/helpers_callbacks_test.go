package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// callbackEnv is a node with a callback of the app, and another node. Its client is in "/"
// with a session of the user "ann". A bystander is there too, with a session of its own.
type callbackEnv struct {
	t         testing.TB
	log       testlog.Log
	store     *fibersession.Store
	io, other *socketbridge.Server
	session   *fibersession.Handle
	client    *peer
	bystander *peer
	socket    atomic.Pointer[socketbridge.Socket] // of the client
	packet    atomic.Pointer[socketbridge.Packet] // that the callback handles, or nil
	code      atomic.Pointer[func()]              // what the callback does; nil: nothing
	n         atomic.Int64
}

// run is called by each callback.
func (e *callbackEnv) run() {
	if code := e.code.Load(); code != nil {
		(*code)()
	}
}

// newCallbackEnv returns an env whose callback does nothing yet.
func newCallbackEnv(t testing.TB, cb callback) *callbackEnv {
	t.Helper()
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	e := &callbackEnv{t: t}
	log := slog.New(slog.NewTextHandler(&e.log, nil))
	e.store = fibersession.New(fibersession.Config{Storage: st, UserKey: "user", Logger: log, Timeouts: fibersession.Timeouts{Storage: 20 * time.Second}})
	t.Cleanup(func() { _ = e.store.Close() })
	hub := adapter.NewMemory()
	cfg := socketbridge.Config{Sessions: e.store, Adapter: hub.Join(), Logger: log,
		Limits: socketbridge.Limits{EventsPerSecond: -1, MaxConnsPerUser: -1, MaxConnsPerSession: -1}}
	if cb.config != nil {
		cb.config(e, &cfg)
	}
	e.io = newServer(t, cfg)
	e.other = newServer(t, socketbridge.Config{Sessions: e.store, Adapter: hub.Join(), Logger: silent})
	waitForLinks(t, e.io, e.other)
	e.io.OnConnection(func(s *socketbridge.Socket) { e.socket.CompareAndSwap(nil, s) })
	e.io.On("alive", func(p *socketbridge.Packet) error { return p.Ack(1) })
	if cb.early != nil {
		cb.early(e)
	}
	e.session = newStoredSession(t, e.store, map[string]any{"user": "ann"})
	e.client = joinAs(t, e.io, "/", e.session.Fork())
	waitFor(t, "the socket", func() bool { return e.socket.Load() != nil })
	e.bystander = joinAs(t, e.io, "/", newStoredSession(t, e.store, map[string]any{"user": "bob"}))
	if cb.arm != nil {
		cb.arm(e)
	}
	return e
}

// callback is a place where a server runs code of the app.
type callback struct {
	config func(e *callbackEnv, cfg *socketbridge.Config) // before the server is made
	early  func(e *callbackEnv)                           // before the client connects
	arm    func(e *callbackEnv)                           // after
	fire   func(e *callbackEnv)                           // makes the server call the callback
	caller bool                                           // it runs in a call of the app's, which panics
}

type jsonOfApp struct{ run func() }

func (v jsonOfApp) MarshalJSON() ([]byte, error) { v.run(); return []byte("1"), nil }

type logOfApp struct {
	slog.Handler
	run func()
}

func (h logOfApp) Handle(ctx context.Context, r slog.Record) error {
	h.run()
	return h.Handler.Handle(ctx, r)
}

func (e *callbackEnv) ask() { _ = e.client.conn.Text(fmt.Sprintf(`2%d["ask"]`, e.n.Add(1))) }

func (e *callbackEnv) change() {
	if h, err := e.store.GetByID(context.Background(), e.session.ID()); err == nil {
		h.Set("n", int(e.n.Add(1)))
		_ = h.Save(context.Background())
		h.Release()
	}
}

// visit connects another client of the session, which may be refused, and lets it leave.
func (e *callbackEnv) visit(connect string) {
	h, err := e.store.GetByID(context.Background(), e.session.ID())
	if err != nil {
		return // it has ended
	}
	conn, err := transporttest.Connect(e.io, sessionHandshake(h))
	if err != nil {
		return
	}
	_ = conn.Text(connect)
	_, _ = conn.Next(e.t.Context())
	conn.Leave("transport close", nil)
}

// withSocket calls fn on a session of its own that has a socket.
func (e *callbackEnv) withSocket(fn func(*fibersession.Handle, context.Context) error) {
	h := newStoredSession(e.t, e.store, nil)
	defer h.Release()
	conn, err := transporttest.Connect(e.io, sessionHandshake(h.Fork()))
	if err != nil {
		return
	}
	_ = conn.Text("0")
	_, _ = conn.Next(e.t.Context())
	_ = fn(h, context.Background())
	conn.Leave("transport close", nil)
}

func (e *callbackEnv) visitRoot() { e.visit("0") }

func (e *callbackEnv) onAsk(fn func() error) {
	e.io.On("ask", func(p *socketbridge.Packet) error {
		e.packet.Store(p)
		defer e.packet.Store(nil)
		return fn()
	})
}

// callbacks are the places where a server runs code of the app outside of HTTP requests.
var callbacks = map[string]callback{
	"Use": {
		early: func(e *callbackEnv) {
			e.io.Use(func(c *socketbridge.Connect) error { e.run(); return c.Next() })
		},
		fire: (*callbackEnv).visitRoot,
	},
	"OnConnection": {
		early: func(e *callbackEnv) { e.io.OnConnection(func(*socketbridge.Socket) { e.run() }) },
		fire:  (*callbackEnv).visitRoot,
	},
	"On": {
		arm:  func(e *callbackEnv) { e.onAsk(func() error { e.run(); return nil }) },
		fire: (*callbackEnv).ask,
	},
	"Socket.On": {
		arm: func(e *callbackEnv) {
			e.socket.Load().On("ask", func(*socketbridge.Packet) error { e.run(); return nil })
		},
		fire: (*callbackEnv).ask,
	},
	"Socket.Use": {
		arm: func(e *callbackEnv) {
			e.socket.Load().Use(func(p *socketbridge.Packet) error { e.run(); return p.Next() })
		},
		fire: (*callbackEnv).ask,
	},
	"OnAny": {
		arm: func(e *callbackEnv) {
			e.socket.Load().OnAny(func(*socketbridge.Packet) error { e.run(); return nil })
		},
		fire: (*callbackEnv).ask,
	},
	"OnError": {
		arm: func(e *callbackEnv) {
			e.onAsk(func() error { return errors.New("failed") })
			e.socket.Load().OnError(func(*socketbridge.Packet, error) { e.run() })
		},
		fire: (*callbackEnv).ask,
	},
	"Idempotent": {
		arm: func(e *callbackEnv) {
			e.io.On("ask", socketbridge.Idempotent(), func(*socketbridge.Packet) error { e.run(); return nil })
		},
		fire: func(e *callbackEnv) {
			n := e.n.Add(1)
			_ = e.client.conn.Text(fmt.Sprintf(`2%d["ask","a-%d"]`, n, n))
		},
	},
	"MarshalJSON of an answer": {
		arm: func(e *callbackEnv) {
			e.io.On("ask", func(p *socketbridge.Packet) error { return p.Ack(jsonOfApp{e.run}) })
		},
		fire: (*callbackEnv).ask,
	},
	"MarshalJSON of an EventError": {
		arm: func(e *callbackEnv) {
			e.onAsk(func() error { return &socketbridge.EventError{Code: "mine", Data: jsonOfApp{e.run}} })
		},
		fire: (*callbackEnv).ask,
	},
	"MarshalJSON of a ConnectError": {
		early: func(e *callbackEnv) {
			e.io.Of("/closed").Use(func(*socketbridge.Connect) error {
				return &socketbridge.ConnectError{Message: "no", Data: jsonOfApp{e.run}}
			})
		},
		fire: func(e *callbackEnv) { e.visit("0/closed,") },
	},
	"MarshalJSON of what is emitted": {
		fire:   func(e *callbackEnv) { _ = e.io.Emit("news", jsonOfApp{e.run}) },
		caller: true,
	},
	"EmitWithAckFunc": {
		fire: func(e *callbackEnv) {
			s := e.socket.Load()
			_ = s.Timeout(1).EmitWithAckFunc("asks", func(socketbridge.Answer, error) { e.run() }) // its time is over at once
		},
	},
	"OnDisconnecting": {
		early: func(e *callbackEnv) {
			e.io.OnConnection(func(s *socketbridge.Socket) { s.OnDisconnecting(func(socketbridge.Reason) { e.run() }) })
		},
		fire: (*callbackEnv).visitRoot,
	},
	"OnDisconnect": {
		early: func(e *callbackEnv) {
			e.io.OnConnection(func(s *socketbridge.Socket) { s.OnDisconnect(func(socketbridge.Reason) { e.run() }) })
		},
		fire: (*callbackEnv).visitRoot,
	},
	"OnSessionChange": {
		early: func(e *callbackEnv) { e.io.OnSessionChange(func(*socketbridge.Socket, []string) { e.run() }) },
		fire:  (*callbackEnv).change,
	},
	"Socket.OnSessionChange": {
		arm:  func(e *callbackEnv) { e.socket.Load().OnSessionChange(func([]string) { e.run() }) },
		fire: (*callbackEnv).change,
	},
	"OnInvalidSession": {
		early: func(e *callbackEnv) {
			e.io.Of("/members").RequireSession().OnInvalidSession(func(*socketbridge.Socket, error) { e.run() })
		},
		fire: func(e *callbackEnv) {
			conn, err := transporttest.Connect(e.io, nil)
			if err == nil {
				_ = conn.Text("0/members,")
				_, _ = conn.Next(e.t.Context())
				conn.Leave("transport close", nil)
			}
		},
	},
	"OnInvalidSession at the session's end": {
		early: func(e *callbackEnv) { e.io.OnInvalidSession(func(*socketbridge.Socket, error) { e.run() }) },
		fire:  func(e *callbackEnv) { e.withSocket((*fibersession.Handle).Destroy) },
	},
	"OnAnyOutgoing": {
		arm:  func(e *callbackEnv) { e.socket.Load().OnAnyOutgoing(func(*socketbridge.OutgoingEvent) { e.run() }) },
		fire: func(e *callbackEnv) { _ = e.io.Emit("news") },
	},
	"OnAnyOutgoing for another node": {
		arm:  func(e *callbackEnv) { e.socket.Load().OnAnyOutgoing(func(*socketbridge.OutgoingEvent) { e.run() }) },
		fire: func(e *callbackEnv) { _ = e.other.Emit("news") },
	},
	"OnRoomEvent": {
		early: func(e *callbackEnv) { e.io.OnRoomEvent(func(socketbridge.RoomEvent) { e.run() }) },
		fire:  (*callbackEnv).visitRoot,
	},
	"OnPresence": {
		config: func(_ *callbackEnv, cfg *socketbridge.Config) { cfg.Presence.Grace = -1 },
		early:  func(e *callbackEnv) { e.io.OnPresence(func(string, bool) { e.run() }) },
		fire: func(e *callbackEnv) {
			h := newStoredSession(e.t, e.store, map[string]any{"user": fmt.Sprint("visitor", e.n.Add(1))})
			conn, err := transporttest.Connect(e.io, sessionHandshake(h))
			if err == nil {
				_ = conn.Text("0")
				_, _ = conn.Next(e.t.Context())
				e.t.Cleanup(func() { conn.Leave("transport close", nil) }) // later: a short visit may not be reported
			}
		},
	},
	"OnNewNamespace": {
		early: func(e *callbackEnv) {
			e.io.OfFunc(func(name string, _ json.RawMessage) bool { return strings.HasPrefix(name, "/new") })
			e.io.OnNewNamespace(func(*socketbridge.Namespace) { e.run() })
		},
		fire: func(e *callbackEnv) { e.visit(fmt.Sprintf("0/new%d,", e.n.Add(1))) },
	},
	"OfFunc": {
		early: func(e *callbackEnv) {
			e.io.OfFunc(func(string, json.RawMessage) bool { e.run(); return true })
		},
		fire: func(e *callbackEnv) { e.visit(fmt.Sprintf("0/new%d,", e.n.Add(1))) },
	},
	"OnServerSideEmit": {
		early: func(e *callbackEnv) {
			e.io.OnServerSideEmit("server event", func(*socketbridge.ServerEvent) { e.run() })
		},
		fire: func(e *callbackEnv) { _ = e.other.ServerSideEmit("server event") },
	},
	"OnRegenerate": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.OnRegenerate = func(*socketbridge.Socket) socketbridge.Action { e.run(); return socketbridge.ActionStay }
		},
		fire: func(e *callbackEnv) { e.withSocket((*fibersession.Handle).Regenerate) },
	},
	"Trace.Connected": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Connected = func(*socketbridge.Socket) { e.run() }
		},
		fire: (*callbackEnv).visitRoot,
	},
	"Trace.Disconnected": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Disconnected = func(*socketbridge.Socket, socketbridge.Reason) { e.run() }
		},
		fire: (*callbackEnv).visitRoot,
	},
	"Trace.Handled": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Handled = func(*socketbridge.Packet, error) { e.run() }
		},
		arm:  func(e *callbackEnv) { e.onAsk(func() error { return nil }) },
		fire: (*callbackEnv).ask,
	},
	"Trace.Operation": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Operation = func(context.Context, *socketbridge.Operation) (context.Context, func(error)) {
				e.run()
				return nil, func(error) { e.run() }
			}
		},
		fire: (*callbackEnv).visitRoot,
	},
	"Trace.Operation of an event": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Operation = func(_ context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
				if op.Kind == socketbridge.OpHandle {
					e.run()
				}
				return nil, nil
			}
		},
		arm:  func(e *callbackEnv) { e.onAsk(func() error { return nil }) },
		fire: (*callbackEnv).ask,
	},
	"Trace.Operation at the end of an event": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Operation = func(_ context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
				if op.Kind == socketbridge.OpHandle {
					return nil, func(error) { e.run() }
				}
				return nil, nil
			}
		},
		arm:  func(e *callbackEnv) { e.onAsk(func() error { return nil }) },
		fire: (*callbackEnv).ask,
	},
	"Trace.Emitted": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Emitted = func(*socketbridge.Emission) { e.run() }
		},
		fire:   func(e *callbackEnv) { _ = e.io.Emit("news") },
		caller: true,
	},
	"Trace.SessionChanged": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.SessionChanged = func(*socketbridge.Socket, fibersession.Event) { e.run() }
		},
		fire: (*callbackEnv).change,
	},
	"Trace.Reported": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Trace.Reported = func(socketbridge.Report) { e.run() }
		},
		fire: func(e *callbackEnv) { e.visit(fmt.Sprintf("0/none%d,", e.n.Add(1))) },
	},
	"Store.Observe": {
		arm: func(e *callbackEnv) {
			e.t.Cleanup(e.store.Observe(fibersession.Trace{
				Operation: func(context.Context, *fibersession.Operation) (context.Context, func(error)) {
					e.run()
					return nil, nil
				},
			}))
		},
		fire: (*callbackEnv).change,
	},
	"Handle.Watch": {
		arm:  func(e *callbackEnv) { e.t.Cleanup(e.session.Watch(func(fibersession.Event) { e.run() })) },
		fire: (*callbackEnv).change,
	},
	"Handle.Update": {
		fire: func(e *callbackEnv) {
			_ = e.session.Update(context.Background(), func(*fibersession.Tx) error { e.run(); return nil })
		},
		caller: true,
	},
	"Store.UpdateUser": {
		fire: func(e *callbackEnv) {
			_, _ = e.store.UpdateUser(context.Background(), "ann", func(*fibersession.Tx) error { e.run(); return nil })
		},
		caller: true,
	},
	"Logger": {
		config: func(e *callbackEnv, cfg *socketbridge.Config) {
			cfg.Logger = slog.New(logOfApp{cfg.Logger.Handler(), e.run})
		},
		fire: func(e *callbackEnv) { e.visit(fmt.Sprintf("0/none%d,", e.n.Add(1))) },
	},
}
