package socketbridge

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/hooklist"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Trace is a set of hooks that observe a server, for metrics, traces and logs: see
// Config.Trace and Server.Observe. A nil hook is skipped. What a hook reports waits for it, so
// hooks must not block. They must be safe for concurrent use. A hook that panics is logged.
// fibersession.Trace has the hooks for what the session store does.
type Trace struct {
	// Operation is called before each operation. The operation runs with the context that it
	// returns, and the function that it returns, unless nil, is called with the outcome at the
	// end. op is valid until then.
	Operation func(ctx context.Context, op *Operation) (context.Context, func(err error))

	// Handshake is called for each request that opens a connection, with its user context
	// (Fiber's UserContext), which must not be kept. The string that it returns, such as a W3C
	// traceparent, is kept as long as the connection: the connects of the connection have it as
	// Operation.Handshake. If several hooks return one, the last counts.
	Handshake func(ctx context.Context) string

	// Connected is called after a socket has joined its namespace, before the connection
	// handlers.
	Connected func(s *Socket)

	// Disconnected is called after a socket's disconnect handlers.
	Disconnected func(s *Socket, reason Reason)

	// Handled is called after an event was handled, its session saved and its
	// acknowledgement sent. err joins the errors of the handlers and of the save; nil
	// means that there was none.
	Handled func(p *Packet, err error)

	// Emitted is called by Emit, EmitWithAck and EmitWithAckFunc of sockets and broadcasts,
	// on the goroutine of the caller, after the event was queued on this node. It is not
	// called for what other nodes emit, nor for acknowledgements.
	Emitted func(e *Emission)

	// RoomChanged is called with the events of Namespace.OnRoomEvent, of all namespaces. The
	// events of one namespace come one at a time, in the order of the changes.
	RoomChanged func(e RoomEvent)

	// SessionChanged is called when a socket is told that its session has changed, has a new
	// ID or has ended.
	SessionChanged func(s *Socket, e fibersession.Event)

	// Reported is called with everything that the server refuses, drops, closes, ignores or
	// fails to do: all that it counts in Stats.Notices and Stats.Engine.Notices, except for
	// those of the adapter, also if it is not logged. A client can cause many of them.
	Reported func(r Report)
}

// OperationKind is what an Operation does.
type OperationKind string

// The kinds of operations.
const (
	// OpConnect is a client's CONNECT to a namespace, from the opening of its session to the
	// confirmation. Its error is the reason why the client was refused.
	OpConnect OperationKind = "connect"
	// OpHandle is the handling of an event, from the loading of its session to its
	// acknowledgement. Its context becomes that of the packet (Packet.Context). Its error is
	// that of Trace.Handled.
	OpHandle OperationKind = "handle"
	// OpAsk is an event that requests an acknowledgement, until the answer or answers have
	// arrived. Its error is that of EmitWithAck or EmitWithAckFunc.
	OpAsk OperationKind = "ask"
	// OpPublish is a message to the other nodes.
	OpPublish OperationKind = "publish"
	// OpRequest is a message to the other nodes that they reply to, until all have.
	OpRequest OperationKind = "request"
	// OpDeliver is the handling of a message from another node, and of its replies to a request.
	// A message of an adapter.Log that this node has sent comes back, and is delivered too.
	OpDeliver OperationKind = "deliver"
	// OpRecover is the attempt of a client that reconnects to get its socket back. Its error
	// is the reason why the client gets a new socket.
	OpRecover OperationKind = "recover"
)

// Operation is something that a server does and that can take a while.
type Operation struct {
	Kind      OperationKind
	Namespace string
	Socket    *Socket // nil for OpPublish, OpRequest, OpDeliver and broadcasts
	Event     string  // of OpHandle and OpAsk. For OpHandle, the client chooses it: see Registered
	Packet    *Packet // of OpHandle

	// Handshake is what Trace.Handshake returned for the request that opened the connection of an
	// OpConnect, or "".
	Handshake string

	// Message is what OpPublish and OpRequest send and what OpDeliver received. A hook may
	// set Message.Trace before it is sent, and must not modify it otherwise.
	Message *adapter.Message
}

// Registered reports whether the app handles the event of an OpHandle by its name. Labels of
// metrics must not have the names of others, because clients can make up any number of them.
func (o *Operation) Registered() bool {
	return o.Packet != nil && o.Socket.eventKey(o.Event) != ""
}

// Emission is an event that was emitted.
type Emission struct {
	Namespace string
	Socket    *Socket  // that the event was sent to; nil for a broadcast
	Event     string   // its name
	Rooms     []string // of a broadcast; empty for all sockets, or for a session or a user
	Except    []string
	Volatile  bool
	Err       error // that the caller gets

	broadcast *Broadcast
}

// Sockets returns the number of sockets of this node that the event was for. It is counted
// when Sockets is called.
func (e *Emission) Sockets() int {
	if e.broadcast == nil {
		return 1
	}
	return len(e.broadcast.Sockets())
}

// Reaches reports whether the event was for a socket of this node. It looks at the socket's
// rooms when it is called.
func (e *Emission) Reaches(s *Socket) bool {
	b := e.broadcast
	if b == nil {
		return e.Socket == s
	}
	if b.err != nil || s == b.from || s.ns != b.ns && s.ns.child.parent != b.ns {
		return false
	}
	rooms := s.ns.rooms.names(s, true) // none if the socket has disconnected
	in := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(rooms, name) })
	}
	return (len(b.to) == 0 && len(rooms) > 0 || in(b.to)) && !in(b.except)
}

// Report is something that was refused, dropped, closed, ignored or failed.
// docs/troubleshooting.md lists all of them.
type Report struct {
	Name    string     // the stable name, as in Stats.Notices
	Level   slog.Level // of the line in the log
	Text    string     // what happened
	Setting string     // the fields of Config that decide it, or ""
	Socket  *Socket    // that it happened to, or nil

	attrs func() []slog.Attr
}

// Attrs returns the attributes that the line in the log has. Texts of clients are escaped and
// cut. It is costly, and must not be called after the hook has returned.
func (r Report) Attrs() []slog.Attr {
	if r.attrs == nil {
		return nil
	}
	return r.attrs()
}

// Observe adds hooks to those of Config.Trace, until stop is called.
func (s *Server) Observe(t Trace) (stop func()) { return s.tracing.add(s, &t) }

// tracing holds the hooks of a server. The zero value has none.
type tracing struct {
	hooks      hooklist.List[Trace]
	operations atomic.Bool // there are Operation hooks: without, an event costs no more than this
	emissions  atomic.Bool // there are Emitted hooks
	emitted    atomic.Uint64
	free       sync.Pool // of *handling
}

// add adds hooks until stop is called.
func (t *tracing) add(s *Server, hooks *Trace) (stop func()) {
	return t.hooks.Add(hooks, func(all []*Trace) {
		has := func(hook func(h *Trace) bool) bool { return slices.ContainsFunc(all, hook) }
		t.operations.Store(has(func(h *Trace) bool { return h.Operation != nil }))
		t.emissions.Store(has(func(h *Trace) bool { return h.Emitted != nil }))
		if has(func(h *Trace) bool { return h.Reported != nil }) {
			s.notices.Observe(s.noticed)
			s.engine.ObserveNotices(s.engineNoticed)
		} else {
			s.notices.Observe(nil)
			s.engine.ObserveNotices(nil)
		}
		s.observeRooms(has(func(h *Trace) bool { return h.RoomChanged != nil }))
	})
}

// begin calls the Operation hooks, in order. finish calls the functions that they returned, in
// reverse order.
func (t *tracing) begin(ctx context.Context, op *Operation, guard func(name string, fn func()) bool) (_ context.Context, finish func(err error)) {
	var ends []func(error)
	for _, hooks := range t.hooks.All() {
		if hooks.Operation == nil {
			continue
		}
		guard("Trace.Operation", func() {
			next, end := hooks.Operation(ctx, op)
			if next != nil {
				ctx = next
			}
			if end != nil {
				ends = append(ends, end)
			}
		})
	}
	return ctx, func(err error) {
		for _, end := range slices.Backward(ends) {
			guard("Trace.Operation", func() { end(err) })
		}
	}
}

// noFinish is the finish of an operation without hooks.
func noFinish(error) {}

// trace begins an operation. The caller calls finish with its outcome.
func (s *Server) trace(ctx context.Context, op Operation) (_ context.Context, finish func(err error)) {
	if !s.tracing.operations.Load() {
		return ctx, noFinish
	}
	kept := op // a copy, so that an operation without hooks needs no allocation
	return s.tracing.begin(ctx, &kept, s.guard)
}

// traceHandshake returns what the Handshake hooks keep of a request.
func (s *Server) traceHandshake(userContext func() context.Context) (kept string) {
	for _, t := range s.tracing.hooks.All() {
		if t.Handshake == nil {
			continue
		}
		ctx := userContext()
		s.guard("Trace.Handshake", func() {
			if text := t.Handshake(ctx); text != "" {
				kept = text
			}
		})
	}
	return kept
}

// withoutEnd returns a context with the values of ctx, which may be nil, that does not end.
func withoutEnd(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return context.WithoutCancel(ctx)
}

// traceConnect runs fn as the operation of the socket's connect, with its context, or with nil
// if there are no hooks.
func (s *Socket) traceConnect(fn func(ctx context.Context) error) error {
	if !s.server().tracing.operations.Load() {
		return fn(nil)
	}
	ctx, finish := s.server().tracing.begin(s.Context(), &Operation{Kind: OpConnect, Namespace: s.ns.name, Socket: s, Handshake: s.client.handshakeTrace()}, s.guard)
	err := fn(ctx)
	finish(err)
	return err
}

// traceConnected calls the Connected hooks.
func (s *Socket) traceConnected() {
	for _, t := range s.server().tracing.hooks.All() {
		if t.Connected != nil {
			s.guard("Trace.Connected", func() { t.Connected(s) })
		}
	}
}

// traceDisconnected calls the Disconnected hooks.
func (s *Socket) traceDisconnected(reason Reason) {
	for _, t := range s.server().tracing.hooks.All() {
		if t.Disconnected != nil {
			s.guard("Trace.Disconnected", func() { t.Disconnected(s, reason) })
		}
	}
}

// handling is the operation of an event that is being handled. It is used again: its allocation
// was half of the cost of a hook.
type handling struct {
	op    Operation
	ends  []func(error)
	space [2]func(error) // for ends
}

// traceHandling begins the operation of handling the event, whose context becomes the packet's.
// The hooks run on the worker, and without closures: a goroutine for each would cost as much as
// the event.
func (p *Packet) traceHandling() {
	s := p.socket
	t := &s.server().tracing
	if !t.operations.Load() {
		return
	}
	h, _ := t.free.Get().(*handling)
	if h == nil {
		h = &handling{}
	}
	h.op = Operation{Kind: OpHandle, Namespace: s.ns.name, Socket: s, Event: p.event, Packet: p}
	h.ends, p.handling = h.space[:0], h
	ctx := p.Context()
	for _, hooks := range t.hooks.All() {
		if hooks.Operation == nil {
			continue
		}
		next, end := s.beginHere(hooks, ctx, &h.op)
		if next != nil {
			ctx = next
		}
		if end != nil {
			h.ends = append(h.ends, end)
		}
	}
	p.SetContext(ctx)
}

// beginHere calls an Operation hook on the caller's goroutine.
func (s *Socket) beginHere(hooks *Trace, ctx context.Context, op *Operation) (next context.Context, end func(error)) {
	returned := false
	defer func() {
		if !returned {
			s.server().reportPanic("a callback", "Trace.Operation", (*loggedSocket)(s), recover())
		}
	}()
	next, end = hooks.Operation(ctx, op)
	returned = true
	return next, end
}

// traceEnd ends the operation of handling the event.
func (p *Packet) traceEnd(err error) {
	h := p.handling
	if h == nil {
		return
	}
	for _, end := range slices.Backward(h.ends) {
		p.socket.endHere(end, err)
	}
	p.handling = nil
	*h = handling{} // an operation is valid until its end
	p.socket.server().tracing.free.Put(h)
}

// endHere calls the function that an Operation hook returned, on the caller's goroutine.
func (s *Socket) endHere(end func(error), err error) {
	returned := false
	defer func() {
		if !returned {
			s.server().reportPanic("a callback", "Trace.Operation", (*loggedSocket)(s), recover())
		}
	}()
	end(err)
	returned = true
}

// traceHandled calls the Handled hooks.
func (s *Socket) traceHandled(p *Packet, err error) {
	for _, t := range s.server().tracing.hooks.All() {
		if t.Handled != nil {
			s.guardHere("Trace.Handled", func() { t.Handled(p, err) })
		}
	}
}

// traceRoom calls the RoomChanged hooks.
func (s *Server) traceRoom(e RoomEvent) {
	for _, t := range s.tracing.hooks.All() {
		if t.RoomChanged != nil {
			s.guard("Trace.RoomChanged", func() { t.RoomChanged(e) })
		}
	}
}

// traceSession calls the SessionChanged hooks.
func (s *Socket) traceSession(e fibersession.Event) {
	for _, t := range s.server().tracing.hooks.All() {
		if t.SessionChanged != nil {
			s.guard("Trace.SessionChanged", func() { t.SessionChanged(s, e) })
		}
	}
}

// traceEmit counts an event to one socket, and calls the Emitted hooks. It returns err.
func (s *Socket) traceEmit(event string, volatile bool, err error) error {
	s.server().tracing.emitted.Add(1)
	if s.server().tracing.emissions.Load() {
		s.server().traceEmission(&Emission{Namespace: s.ns.name, Socket: s, Event: event, Volatile: volatile, Err: err})
	}
	return err
}

// traceEmit counts a broadcast, and calls the Emitted hooks. It returns err.
func (b Broadcast) traceEmit(event string, err error) error {
	b.ns.server.tracing.emitted.Add(1)
	if s := b.ns.server; s.tracing.emissions.Load() {
		kept := b // a copy, so that a broadcast without hooks needs no allocation
		s.traceEmission(&Emission{
			Namespace: b.ns.name, Event: event, Rooms: appRooms(b.to), Except: appRooms(b.except),
			Volatile: b.flags&transport.Volatile != 0, Err: err, broadcast: &kept,
		})
	}
	return err
}

func (s *Server) traceEmission(e *Emission) {
	for _, t := range s.tracing.hooks.All() {
		if t.Emitted != nil {
			var returned bool
			s.call("a callback", "Trace.Emitted", nil, &returned, func() { t.Emitted(e) })
		}
	}
}

// noticed reports a notice of this package to the hooks.
func (s *Server) noticed(k *notice.Kind, args []any) {
	r := Report{
		Name: k.Name, Level: k.Level, Text: k.Text, Setting: k.Setting,
		attrs: func() []slog.Attr { return notice.Attrs(args) },
	}
	for _, arg := range args {
		if about, ok := arg.(*loggedSocket); ok {
			r.Socket = (*Socket)(about)
		}
	}
	s.reported(r)
}

// engineNoticed reports a notice of the Engine.IO server to the hooks.
func (s *Server) engineNoticed(n engineio.Notice) {
	s.reported(Report{Name: n.Name, Level: n.Level, Text: n.Text, Setting: n.Setting, attrs: n.Attrs})
}

// reported calls the Reported hooks.
func (s *Server) reported(r Report) {
	for _, t := range s.tracing.hooks.All() {
		if t.Reported == nil {
			continue
		}
		done := make(chan struct{})
		go func() { // received below
			defer close(done)
			returned := false
			defer func() {
				if !returned { // not reported to hooks, which would not end
					s.notices.ReportUnobserved(&panicNotice, "Trace.Reported", append([]any{"where", "a callback", "name", "Trace.Reported"}, notice.Panic(recover())...)...)
				}
			}()
			t.Reported(r)
			returned = true
		}()
		<-done
	}
}
