package socketbridge

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Socket is one client in one namespace. All methods are safe for concurrent use.
//
// Its handlers run one at a time, in the order in which the events arrived (see
// Config.Concurrency), and never before the connection handlers have returned.
type Socket struct {
	id       string
	ns       *Namespace
	client   *client
	auth     json.RawMessage
	ticketed *lifted              // the session of a ticket; nil without one
	session  *fibersession.Handle // nil if none is shared; set before user code sees the socket
	settings *settings            // of the namespace, at the time of the connect
	mode     SessionMode
	epoch    atomic.Uint64 // of the session ID that the socket accepted; see sessionRegenerated
	muted    atomic.Bool   // broadcasts skip the socket: its session is invalid, and it is about to end
	observed atomic.Bool   // there are listeners of OnAnyOutgoing
	opened   atomic.Bool   // session is set
	inbox    inbox
	acks     pendingAcks
	ctx      serial.Context // see Context
	done     serial.Signal  // fired when the socket is disconnected
	data     Data
	joined   joinedRooms

	recovery *recoveryRecord // noRecovery without Config.Recovery
	finished serial.Signal   // fired after the socket's last handler has returned

	identity identity

	state atomicState           // written under mu
	hooks atomic.Pointer[hooks] // noHooks until a handler is added; written under mu

	mu       sync.Mutex  // guards the fields below
	early    *earlyQueue // emitted before the client's CONNECT was confirmed
	entered  bool        // the socket is in its namespace's tables
	pending  []string    // rooms to join once it is
	reason   Reason
	unwatch  func()
	changes  changedKeys // of the session; OnSessionChange handlers were not called for them yet
	expelled bool        // the session has ended and sessionEnded disconnects the socket
	refused  bool        // the client was not admitted; the socket only runs OnInvalidSession handlers
}

// noHooks is shared by all sockets without handlers of their own. It is never modified.
var noHooks hooks

// hooks are the handlers of one socket. They are replaced, never modified in place, so that
// readers need no lock.
type hooks struct {
	uses          []Handler
	handlers      map[string][]chain
	any           []chain
	outgoing      []*outgoingListener
	errors        []func(*Packet, error)
	change        []func([]string)
	disconnecting []func(Reason)
	disconnect    []func(Reason)
}

type socketState uint8

const (
	connecting socketState = iota
	connected
	ended
)

// atomicState is a socketState that can be read without a lock.
type atomicState struct{ v atomic.Uint32 }

func (a *atomicState) Load() socketState   { return socketState(a.v.Load()) }
func (a *atomicState) Store(s socketState) { a.v.Store(uint32(s)) }

func newSocket(ns *Namespace, c *client, auth json.RawMessage) *Socket {
	s := &Socket{id: newSocketID(), ns: ns, client: c, auth: auth, recovery: ns.recovery.newRecord()}
	s.hooks.Store(&noHooks)
	s.inbox.socket, s.inbox.width, s.inbox.limit = s, ns.server.cfg.Concurrency, ns.server.cfg.Limits.MaxInbox
	return s
}

// newSocketID returns a random public ID. It names the socket in rooms and to other
// clients, and grants no access to it.
func newSocketID() string {
	var b [15]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("socketbridge: the system's random source failed: " + err.Error()) // crypto/rand.Read never returns an error
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ID returns the socket's public ID. It differs from the connection's ID.
func (s *Socket) ID() string { return s.id }

// ClientID returns the public ID of the socket's client. All sockets of a connection, in all
// its namespaces, have the same one. It is derived from the connection's ID, and does not
// reveal it.
func (s *Socket) ClientID() string {
	sum := sha256.Sum256([]byte(s.client.conn.ID()))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// Namespace returns the namespace that the socket is in.
func (s *Socket) Namespace() *Namespace { return s.ns }

// Handshake returns the HTTP request that opened the connection, and the client's auth. Each
// call builds a new value, so keep the result if you need it often. As JSON, it has the
// fields of Socket.IO for Node without secrets; see transport.Handshake.MarshalJSON.
func (s *Socket) Handshake() *transport.Handshake {
	h := *s.client.conn.Handshake()
	h.Auth = s.auth
	return &h
}

// Transport returns the connection's current transport: "polling" or "websocket".
func (s *Socket) Transport() string { return s.client.conn.Transport() }

// Session returns the session of the handshake's cookie or of the socket's ticket, or
// nil if the namespace shares none. Changes are saved when a handler returns, or by Save.
// In event handlers, prefer Packet.Session: it keeps the changes of handlers that run at
// the same time apart.
func (s *Socket) Session() *fibersession.Handle { return s.session }

// Auth decodes the client's auth option into v. If the client sent none, v stays
// unchanged. Its errors are as those of Answer.Bind.
func (s *Socket) Auth(v any) error {
	return decodeAuth(s.auth, v)
}

// Data returns the socket's store for the app's own values.
func (s *Socket) Data() *Data { return &s.data }

// Context is canceled when the server disconnects the socket, or when the client has
// disconnected and all events it sent before were handled.
func (s *Socket) Context() context.Context { return &s.ctx }

// Done returns a channel that is closed as soon as the socket is disconnected.
func (s *Socket) Done() <-chan struct{} { return s.done.Done() }

// Connected reports whether the socket is connected.
func (s *Socket) Connected() bool { return s.currentState() == connected }

// currentState returns the state. It waits while the client's CONNECT is being confirmed.
func (s *Socket) currentState() socketState {
	if state := s.state.Load(); state != connecting {
		return state
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Load()
}

// Use adds packet middlewares (socket.use). They run in order, before the handlers of
// every incoming event. A middleware calls Next to continue, can change the arguments,
// and can end the event with an error, which does not disconnect the socket.
func (s *Socket) Use(mw ...Handler) {
	needFuncs("Socket.Use", mw...)
	s.updateHooks(func(h *hooks) { h.uses = with(h.uses, mw...) })
}

// On adds an event chain: any number of middlewares, each calling Next, and a handler.
// Several chains of one event run one after the other; an error in one does not stop the
// others. It returns a function that removes the chain; see Off.
//
// On panics without a handler, if one is nil, and for an event that no client can send or
// that has a method of its own, such as "disconnect" (OnDisconnect) and "error" (OnError).
func (s *Socket) On(event string, handlers ...Handler) (off func()) {
	c := newChain("Socket.On", event, handlers)
	s.updateHooks(func(h *hooks) { h.handlers = withChain(h.handlers, event, c) })
	return func() { s.offChain(event, c) }
}

// Once is On for one event: the chain is removed before it runs. With Config.Concurrency, it
// runs once even if several such events are handled at the same time. The returned function
// removes it earlier.
func (s *Socket) Once(event string, handlers ...Handler) (off func()) {
	c := newChain("Socket.Once", event, handlers)
	c = c.once(func() { s.offChain(event, c) })
	s.updateHooks(func(h *hooks) { h.handlers = withChain(h.handlers, event, c) })
	return func() { s.offChain(event, c) }
}

// Off removes the socket's chains for event. The function that On returns removes one of
// them. Chains of the namespace (Namespace.On) stay. An event that is being handled still
// reaches the chains that it had when its handling began.
func (s *Socket) Off(event string) { s.offChain(event, nil) }

func (s *Socket) offChain(event string, c chain) {
	s.updateHooks(func(h *hooks) { h.handlers = withoutChain(h.handlers, event, c) })
}

// OnAny adds a catch-all listener. It runs for every event, before the event's own
// chains. Unlike in Socket.IO for Node, it runs after the packet middlewares, so that it
// never sees a packet that a middleware rejected. It returns a function that removes the
// listener.
func (s *Socket) OnAny(fn Handler) (off func()) {
	needFunc("Socket.OnAny", fn != nil)
	c := chain{fn}
	s.updateHooks(func(h *hooks) { h.any = with(h.any, c) })
	return func() { s.offAny(c) }
}

// PrependAny is OnAny for a listener that runs before the others.
func (s *Socket) PrependAny(fn Handler) (off func()) {
	needFunc("Socket.PrependAny", fn != nil)
	c := chain{fn}
	s.updateHooks(func(h *hooks) { h.any = with([]chain{c}, h.any...) })
	return func() { s.offAny(c) }
}

// OffAny removes all catch-all listeners. The functions that OnAny and PrependAny return
// remove one.
func (s *Socket) OffAny() { s.offAny(nil) }

func (s *Socket) offAny(c chain) {
	s.updateHooks(func(h *hooks) { h.any = withoutOne(h.any, c) })
}

// OnError adds a handler for errors that this socket's middlewares and handlers return.
// Without one, the errors are logged.
func (s *Socket) OnError(fn func(p *Packet, err error)) {
	needFunc("Socket.OnError", fn != nil)
	s.updateHooks(func(h *hooks) { h.errors = with(h.errors, fn) })
}

// OnDisconnecting adds a handler that runs when the socket disconnects, while it is
// still in its rooms.
func (s *Socket) OnDisconnecting(fn func(reason Reason)) {
	needFunc("Socket.OnDisconnecting", fn != nil)
	s.updateHooks(func(h *hooks) { h.disconnecting = with(h.disconnecting, fn) })
}

// OnDisconnect adds a handler that runs after the socket has disconnected and left its
// rooms. If the client disconnected, the events it sent before were handled by then.
func (s *Socket) OnDisconnect(fn func(reason Reason)) {
	needFunc("Socket.OnDisconnect", fn != nil)
	s.updateHooks(func(h *hooks) { h.disconnect = with(h.disconnect, fn) })
}

// Emit sends an event to the client. A []byte anywhere in args is sent as binary.
//
// Emit may wait: while the client is behind with more than Engine.Limits.MaxQueueBytes or
// MaxQueueMessages, it returns only once the client has caught up, so that a handler can
// emit any number of events in a loop. It waits no longer than the connection lasts, and a
// client that takes nothing for Engine.Timeouts.Write is disconnected. Code that must not
// wait for this client can use a broadcast to the room of its ID, which never waits:
// ns.To(s.ID()).Emit(…), with Volatile if the event may be dropped. In a connect middleware
// Emit never waits: above these limits it disconnects the client.
//
// Emit returns ErrDisconnected if the client has disconnected, and another error if args
// cannot be encoded. Events of one socket arrive in the order in which Emit, EmitWithAck,
// Packet.Ack and broadcasts queued them, no matter which of them waited. A call that returns
// before another begins comes first.
//
// With Config.Recovery, an event that failed with ErrDisconnected is sent when the client
// reconnects in time. If the nodes also share a log (adapter.Log), Emit appends the event to
// it first, and returns errors like Broadcast.Emit.
func (s *Socket) Emit(event string, args ...any) error {
	return s.emit(context.Background(), event, args)
}

// emit is Emit with the values of ctx.
func (s *Socket) emit(ctx context.Context, event string, args []any) error {
	msgs, err := encodeEvent(s.ns.name, event, 0, false, args)
	if err != nil {
		return err
	}
	return s.traceEmit(event, false, s.ns.recovery.emit(ctx, s, msgs))
}

// Join adds the socket to all of rooms. If it returns ErrTooManyRooms, ErrRoomName or
// ErrDisconnected, the socket has joined none of them. In a connect middleware, the rooms
// are joined once all middlewares have passed; if that fails, the client is refused.
func (s *Socket) Join(rooms ...string) error {
	s.mu.Lock()
	if !s.entered {
		defer s.mu.Unlock()
		s.pending = append(s.pending, rooms...)
		return nil
	}
	over := s.state.Load() == ended
	s.mu.Unlock()
	if over {
		return ErrDisconnected
	}
	return s.ns.rooms.join(s, rooms, s.server().cfg.Limits.MaxRooms)
}

// Leave removes the socket from rooms. The room of its own ID cannot be left. Names that
// Join refuses are ignored.
func (s *Socket) Leave(rooms ...string) {
	app := appRooms(rooms)
	if len(app) < len(rooms) || slices.Contains(app, s.id) {
		s.report(&leaveIgnoredNotice, "", "caller", notice.Caller{})
	}
	s.ns.rooms.leave(s, app)
}

// Rooms returns the names of the socket's rooms: the room of its own ID first, then the
// others in sorted order. The rooms by which ToSession and ToUser reach the socket are not
// among them.
func (s *Socket) Rooms() []string { return s.ns.rooms.names(s, false) }

// Disconnect disconnects the socket from its namespace. The client is notified and does
// not reconnect on its own. Queued events are dropped. Disconnect returns at once.
func (s *Socket) Disconnect() {
	s.client.removeSocket(s, true) // before the packet is sent: the client may join again at once
	if msgs, err := encode(siopacket.Disconnect, s.ns.name, 0, false); err == nil {
		_ = s.send(0, msgs) // fails only if the client has disconnected
	}
	s.end(ServerDisconnect, true)
}

// Close closes the client's connection with all its namespaces
// (socket.disconnect(true)). It returns at once.
func (s *Socket) Close() {
	for _, other := range s.client.allSockets() {
		other.Disconnect()
	}
	s.client.conn.Close(transport.ForcedClose)
}

// receiveEvent handles an event of the client, or queues it. It runs on the reader goroutine,
// and blocks it while the inbox is full.
func (s *Socket) receiveEvent(in siopacket.Packet) error {
	if err := s.checkConnected(); err != nil {
		return err
	}
	if s.server().closing.Load() { // only events that arrived before the shutdown are handled
		s.server().notices.Report(&eventDroppedNotice, "", "", (*loggedSocket)(s))
		return nil
	}
	err := errNotQueued
	if !s.client.leaving.Load() {
		err = s.inbox.pushEvent(&Packet{socket: s, received: time.Now(), event: string(in.Name), in: in, size: packetSize(&in)})
	}
	if err == errNotQueued {
		s.server().notices.Report(&eventDroppedNotice, "", "", (*loggedSocket)(s))
		return nil
	}
	return err
}

// checkConnected returns an error if the client sends an event before its CONNECT was
// confirmed.
func (s *Socket) checkConnected() error {
	if s.currentState() == connecting && s.client.plain == nil {
		return fmt.Errorf("%w: event before the CONNECT was confirmed", errProtocol)
	}
	return nil
}

func (s *Socket) server() *Server { return s.ns.server }

// updateHooks lets fn add handlers to the socket.
func (s *Socket) updateHooks(fn func(h *hooks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := *s.hooks.Load()
	fn(&h)
	s.hooks.Store(&h)
}

func (s *Socket) middlewares() []Handler { return s.hooks.Load().uses }

// listeners returns the socket's OnAny handlers and its chains for event.
func (s *Socket) listeners(event string) (catchAll, chains []chain) {
	h := s.hooks.Load()
	return h.any, h.handlers[event]
}

func (s *Socket) errorHandlers() []func(*Packet, error) { return s.hooks.Load().errors }
