package socketbridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Socket is one client in one namespace. All methods are safe for concurrent use.
//
// Its handlers run one at a time, in the order in which the events came (unless
// Config.Concurrency says otherwise), and never before the connection handlers have
// returned.
type Socket struct {
	id       string
	ns       *Namespace
	client   *client
	auth     json.RawMessage
	ticketed *lifted              // what a ticket gave it; nil without one
	session  *fibersession.Handle // nil when none is shared; set before user code sees the socket
	settings *settings            // of the namespace, when it connected
	mode     SessionMode
	epoch    atomic.Uint64 // of the session's IDs, the one that it goes along with; see renewed
	muted    atomic.Bool   // broadcasts pass it by: its session is no good, and it is about to end
	inbox    inbox
	acks     pendingAcks
	life     serial.Context
	gone     serial.Signal // fired when it is disconnected
	data     Data
	seats    seats

	*trail                 // of recovery; noTrail without it
	finished serial.Signal // fired when nothing of it runs any more

	identity identity

	mu      sync.Mutex // guards what follows
	state   socketState
	early   []early               // what was emitted before the client was told that it is connected
	entered bool                  // it is in its namespace's tables
	waiting []string              // rooms to join when it is
	held    [][]transport.Message // events to add to the log when it is
	reason  Reason
	unwatch func()
	hooks   *hooks // noHooks until it is given some
	news    news   // of its session, that its handlers are still to be told
	lapsed  bool   // its session has ended, and somebody sees to the rest
	guest   bool   // it was never admitted: it is there for OnInvalidSession alone
}

// trail is what recovery knows of a socket.
type trail struct {
	pid    string   // the private ID, which only the client knows
	left   *remains // what it took over; nil when it is new
	missed *catchUp // what it has missed, until the client is told; nil when it is new
	since  uint64   // the last place in the past before it was there
	base   uint64   // the last place that its client had got then; 0: none
	placed uint64   // the place of the last event queued to it; guarded by the past's lock
	caught uint64   // the place up to which it was told what it missed; likewise
	share  string   // under which what is emitted to it alone is counted
}

// noTrail stands for the trails of all sockets where there is no recovery. It never
// changes.
var noTrail trail

// noHooks stands for the hooks of all sockets that have none. It never changes.
var noHooks hooks

// hooks are what the user gave a socket. Each slice and map is replaced, never
// changed in place, so that a reader needs the lock only to fetch it.
type hooks struct {
	uses          []Handler
	handlers      map[string][]chain
	any           []Handler
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

type early struct {
	flags transport.Flags
	msgs  []transport.Message
	place uint64 // in the past; 0 for none
}

func newSocket(ns *Namespace, c *client, auth json.RawMessage) *Socket {
	s := &Socket{id: newSocketID(), ns: ns, client: c, auth: auth, trail: &noTrail, hooks: &noHooks}
	if ns.server.recovery != nil {
		s.trail = new(trail)
	}
	s.inbox.socket, s.inbox.width, s.inbox.limit = s, ns.server.cfg.Concurrency, ns.server.cfg.Limits.MaxInbox
	return s
}

// newSocketID draws a public ID: it names a socket in rooms and to other clients,
// and opens nothing.
func newSocketID() string {
	var b [15]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("socketbridge: the system's random source failed: " + err.Error()) // crypto/rand never returns an error
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ID returns the socket's public ID. It is another one than the connection's.
func (s *Socket) ID() string { return s.id }

// Namespace returns the namespace that the socket is in.
func (s *Socket) Namespace() *Namespace { return s.ns }

// Handshake tells the HTTP request that opened the connection. It is put together for
// each call: keep it where it is needed often.
func (s *Socket) Handshake() *transport.Handshake { return s.client.conn.Handshake() }

// Transport names what carries the connection at present: "polling" or "websocket".
func (s *Socket) Transport() string { return s.client.conn.Transport() }

// Session returns the session that the handshake's cookie named, or nil when the
// namespace shares none. What is set through it is saved when a handler returns,
// or by Save. In an event handler Packet.Session is the better one: there, changes
// of handlers that run at the same time do not mix.
func (s *Socket) Session() *fibersession.Handle { return s.session }

// Auth decodes what the client gave as its auth option into v. Without one it
// leaves v alone.
func (s *Socket) Auth(v any) error {
	if len(s.auth) == 0 {
		return nil
	}
	return json.Unmarshal(s.auth, v)
}

// Data holds whatever the app wants to keep with the socket.
func (s *Socket) Data() *Data { return &s.data }

// Context ends when the server disconnects the socket, or when the client has gone
// and everything that it sent before was handled.
func (s *Socket) Context() context.Context { return s.life.Get() }

// Done is closed as soon as the socket is disconnected.
func (s *Socket) Done() <-chan struct{} { return s.gone.Done() }

// Connected tells whether the client can be reached.
func (s *Socket) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == connected
}

// Use adds packet middlewares (socket.use). They run in order before every
// incoming event's handlers; each goes on with Next, may change the arguments, or
// stops the event with an error, which does not disconnect the socket.
func (s *Socket) Use(mw ...Handler) {
	s.hook(func(h *hooks) { h.uses = with(h.uses, mw...) })
}

// On adds an event chain: any number of middlewares, each calling Next, and a
// handler. Several chains of one event run one after the other, each by itself. It
// panics without a handler, and for an event name that the protocol keeps.
func (s *Socket) On(event string, handlers ...Handler) {
	s.hook(func(h *hooks) { h.handlers = withChain(h.handlers, event, handlers) })
}

// OnAny adds a catch-all listener. It runs for every event, before the event's own
// chains and (other than in Socket.IO for Node) after the packet middlewares, so
// that it sees no packet whose session was not checked.
func (s *Socket) OnAny(fn Handler) {
	s.hook(func(h *hooks) { h.any = with(h.any, fn) })
}

// OnError adds a handler for errors that middlewares and handlers of this socket
// return. Without one they are logged.
func (s *Socket) OnError(fn func(p *Packet, err error)) {
	s.hook(func(h *hooks) { h.errors = with(h.errors, fn) })
}

// OnDisconnecting adds a handler for the socket's end that runs while it is still
// in its rooms.
func (s *Socket) OnDisconnecting(fn func(reason Reason)) {
	s.hook(func(h *hooks) { h.disconnecting = with(h.disconnecting, fn) })
}

// OnDisconnect adds a handler for the socket's end that runs when it has left its
// rooms, after the events that came before were handled.
func (s *Socket) OnDisconnect(fn func(reason Reason)) {
	s.hook(func(h *hooks) { h.disconnect = with(h.disconnect, fn) })
}

// Emit sends an event to the client. A []byte anywhere in args travels as binary.
// It never waits: ErrDisconnected when the client has gone, transport.ErrQueueFull
// when it does not keep up (and is therefore being closed), an error when args
// cannot be encoded. With Config.Recovery, an event that met the first two is sent
// when the client comes back in time; and when the nodes share a log (adapter.Log), it
// goes through the log first, so that Emit waits for it and returns what Broadcast.Emit
// does.
func (s *Socket) Emit(event string, args ...any) error {
	msgs, err := encodeEvent(s.ns.name, event, 0, false, args)
	if err != nil {
		return err
	}
	switch h := s.ns.past.(type) {
	case *tail:
		return h.emitTo(s, msgs)
	case *history:
		return h.emit(&sent{to: []string{s.id}, share: s.share, msgs: msgs}, nil, 0, func() []*Socket { return []*Socket{s} })
	}
	return s.send(0, msgs)
}

// Join adds the socket to rooms: to all of them or, with ErrTooManyRooms,
// ErrRoomName or ErrDisconnected, to none. In a connect middleware the rooms are
// joined when the socket is connected, and a room that cannot be joined refuses it.
func (s *Socket) Join(rooms ...string) error {
	s.mu.Lock()
	if !s.entered {
		defer s.mu.Unlock()
		s.waiting = append(s.waiting, rooms...)
		return nil
	}
	gone := s.state == ended
	s.mu.Unlock()
	if gone {
		return ErrDisconnected
	}
	return s.ns.rooms.join(s, rooms, s.server().cfg.Limits.MaxRooms)
}

// Leave takes the socket out of rooms. It stays in the room of its own ID and in
// those of its session and user.
func (s *Socket) Leave(rooms ...string) { s.ns.rooms.leave(s, appRooms(rooms)) }

// Rooms returns the rooms that the socket is in: first that of its own ID, the
// others sorted.
func (s *Socket) Rooms() []string { return s.ns.rooms.names(s) }

// Disconnect takes the socket out of its namespace and tells the client, which
// does not come back by itself. Events that wait are not handled any more. It
// returns at once.
func (s *Socket) Disconnect() {
	s.client.forget(s, true) // before the client hears of it: it may join again at once
	if msgs, err := encode(siopacket.Disconnect, s.ns.name, 0, false); err == nil {
		_ = s.send(0, msgs) // a client that has gone need not be told
	}
	s.end(ServerDisconnect, true)
}

// Close ends the client's connection with all its namespaces
// (socket.disconnect(true)). It returns at once.
func (s *Socket) Close() {
	for _, other := range s.client.list() {
		other.Disconnect()
	}
	s.client.conn.Close(transport.ForcedClose)
}

// send queues messages to the client. Until the client was told that it is
// connected they are kept.
func (s *Socket) send(f transport.Flags, msgs []transport.Message) error {
	return s.queue(f, msgs, 0)
}

// queue is send, for events that have their place in the past too.
func (s *Socket) queue(f transport.Flags, msgs []transport.Message, place uint64) error {
	s.mu.Lock()
	state := s.state
	if state == connecting {
		s.early = append(s.early, early{f, msgs, place})
	}
	s.mu.Unlock()
	switch state {
	case connecting:
		return nil
	case ended:
		return ErrDisconnected
	}
	if err := s.client.conn.Send(f, msgs...); !errors.Is(err, transport.ErrClosed) {
		return err
	}
	return ErrDisconnected
}

// received takes an event from the reading goroutine.
func (s *Socket) received(in siopacket.Packet) error {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if state == connecting && s.client.plain == nil {
		return fmt.Errorf("%w: event before the namespace was joined", errProtocol)
	}
	if s.server().closing.Load() {
		return nil // what came before is being handled; this comes too late
	}
	s.inbox.push(&Packet{socket: s, came: time.Now(), event: string(in.Name), in: in}, &s.client.stop)
	return nil
}

func (s *Socket) server() *Server { return s.ns.server }

func (s *Socket) log() *slog.Logger {
	return s.server().log.With("namespace", s.ns.name, "socket", s.id)
}

// hook lets fn add to the socket's hooks.
func (s *Socket) hook(fn func(h *hooks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks == &noHooks {
		s.hooks = new(hooks)
	}
	fn(s.hooks)
}

func (s *Socket) middlewares() []Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks.uses
}

func (s *Socket) listeners(event string) (any []Handler, chains []chain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks.any, s.hooks.handlers[event]
}

func (s *Socket) errorHandlers() []func(*Packet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks.errors
}
