package socketbridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Broadcast addresses sockets of a namespace. It is an immutable value: each method
// returns a new Broadcast, so that one can be kept and reused by many goroutines.
type Broadcast struct {
	ns      *Namespace
	from    *Socket // excluded; may be nil
	to      []string
	except  []string
	flags   transport.Flags
	timeout time.Duration
	err     error           // of To or Except; b then addresses no socket
	ctx     context.Context // of WithContext; may be nil

	local      bool // this node only
	noCompress bool // a hint to other nodes
}

// To addresses the namespace's sockets that are in any of rooms.
func (n *Namespace) To(rooms ...string) Broadcast { return n.Broadcast().To(rooms...) }

// In is an alias of To.
func (n *Namespace) In(rooms ...string) Broadcast { return n.To(rooms...) }

// Except addresses the namespace's sockets that are in none of rooms.
func (n *Namespace) Except(rooms ...string) Broadcast { return n.Broadcast().Except(rooms...) }

// Emit sends an event to all sockets of the namespace. See Broadcast.Emit.
func (n *Namespace) Emit(event string, args ...any) error {
	return n.Broadcast().Emit(event, args...)
}

// Broadcast addresses all sockets of the namespace.
func (n *Namespace) Broadcast() Broadcast { return Broadcast{ns: n.live()} }

// Volatile addresses all sockets of the namespace. See Broadcast.Volatile.
func (n *Namespace) Volatile() Broadcast { return n.Broadcast().Volatile() }

// Local addresses the sockets of the namespace on this node.
func (n *Namespace) Local() Broadcast { return n.Broadcast().Local() }

// Compress addresses all sockets of the namespace. See Broadcast.Compress.
func (n *Namespace) Compress(compress bool) Broadcast { return n.Broadcast().Compress(compress) }

// Timeout addresses all sockets of the namespace. See Broadcast.Timeout.
func (n *Namespace) Timeout(d time.Duration) Broadcast { return n.Broadcast().Timeout(d) }

// ToSession addresses all sockets of a session in this namespace: the tabs of one
// browser. ref is a *fibersession.Session, a *fibersession.Handle or a SessionName.
func (n *Namespace) ToSession(ref SessionRef) Broadcast {
	return n.Broadcast().ToSession(ref)
}

// Broadcast addresses all sockets of the namespace except s.
func (s *Socket) Broadcast() Broadcast { return Broadcast{ns: s.ns, from: s} }

// To addresses the sockets in any of rooms, except s.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// In is an alias of To.
func (s *Socket) In(rooms ...string) Broadcast { return s.To(rooms...) }

// Except addresses the sockets in none of rooms, except s.
func (s *Socket) Except(rooms ...string) Broadcast { return s.Broadcast().Except(rooms...) }

// ToSession addresses the other sockets of this socket's session. If the namespace
// shares no session, it addresses no socket.
func (s *Socket) ToSession() Broadcast {
	if s.session == nil {
		return s.Broadcast().toRooms(s.id)
	}
	return s.Broadcast().toRooms(sessionRoom(s.session))
}

// To adds the sockets that are in any of rooms. Without a call of To or In, all sockets
// are addressed. A call with an empty list adds no socket; in Socket.IO for Node it
// addresses all.
//
// If a name is one that Socket.Join refuses, such as that of a room of the server, the
// Broadcast addresses no socket, and its methods that return an error return ErrRoomName.
func (b Broadcast) To(rooms ...string) Broadcast {
	if len(rooms) == 0 {
		return b.toRooms(emptyRoom)
	}
	return b.check(rooms).toRooms(rooms...)
}

// toRooms is To for all names, including reserved ones.
func (b Broadcast) toRooms(rooms ...string) Broadcast {
	b.to = slices.Concat(b.to, rooms)
	return b
}

// ToSession adds the sockets of a session. See Namespace.ToSession.
func (b Broadcast) ToSession(ref SessionRef) Broadcast { return b.toRooms(sessionRoom(ref)) }

// In is an alias of To.
func (b Broadcast) In(rooms ...string) Broadcast { return b.To(rooms...) }

// Except excludes the sockets that are in any of rooms. It treats names that Socket.Join
// refuses like To does.
func (b Broadcast) Except(rooms ...string) Broadcast { return b.check(rooms).exceptRooms(rooms...) }

// exceptRooms is Except for all names, including reserved ones.
func (b Broadcast) exceptRooms(rooms ...string) Broadcast {
	b.except = slices.Concat(b.except, rooms)
	return b
}

// check records that one of the names is invalid.
func (b Broadcast) check(rooms []string) Broadcast {
	if err := checkRoomNames(rooms); err != nil {
		b.err = err
	}
	return b
}

// Volatile drops the event for clients whose connection is not ready to send it at once.
func (b Broadcast) Volatile() Broadcast {
	b.flags |= transport.Volatile
	return b
}

// Local addresses the sockets of this node only.
func (b Broadcast) Local() Broadcast {
	b.local = true
	return b
}

// Compress sets whether other nodes may compress the event. This server never compresses
// events.
func (b Broadcast) Compress(compress bool) Broadcast {
	b.noCompress = !compress
	return b
}

// Timeout sets how long EmitWithAck waits at most.
func (b Broadcast) Timeout(d time.Duration) Broadcast {
	b.timeout = d
	return b
}

// WithContext sets a context whose values the message to the other nodes is sent with: that of
// the request or event that the broadcast belongs to, such as fiber.Ctx.UserContext or
// Packet.Context. Traces then show the message as a part of it. The end of ctx has no effect, so
// that a broadcast still reaches the other nodes when its client disconnects. Methods with a
// context of their own use that one.
func (b Broadcast) WithContext(ctx context.Context) Broadcast {
	b.ctx = ctx
	return b
}

// Emit sends an event to the addressed sockets, on all nodes. The event is encoded once.
// Emit never waits for a client: a slow one does not delay the others (see
// engineio.Limits.MaxBacklogBytes for what is queued for it).
//
// If args cannot be encoded, if event is reserved (ErrReservedEvent) or if the name of a
// room is invalid (ErrRoomName), nothing is sent. An
// error that wraps adapter.ErrUnavailable or adapter.ErrUnknownOutcome concerns the other
// nodes only: the event was sent to the sockets of this node. Without an adapter Emit
// never blocks; with one, it waits until the adapter has published the event.
//
// With Config.Recovery and an adapter that is an adapter.Log, an event that is neither
// Volatile nor Local goes through the log to all nodes, including this one, and Emit
// waits until the log has delivered it back. After adapter.ErrUnknownOutcome the event
// reaches either all nodes or none.
func (b Broadcast) Emit(event string, args ...any) error {
	if b.err != nil {
		return b.err
	}
	if b.ns.pattern != nil {
		return b.inChildren(func(b Broadcast) error { return b.Emit(event, args...) })
	}
	msgs, err := encodeEvent(b.ns.name, event, 0, false, args)
	if err != nil {
		return err
	}
	return b.traceEmit(event, b.ns.recovery.broadcast(b, msgs))
}

// sendLocal sends an event to the sockets of this node that are in any of to (all if to
// is empty) and in none of except, other than from. It bypasses the recovery log.
func (n *Namespace) sendLocal(to, except []string, from *Socket, f transport.Flags, msgs []transport.Message) {
	for _, s := range n.rooms.find(to, except) {
		if s != from && !s.muted.Load() {
			_ = s.sendEvent(f, msgs) // a socket that is closed or too slow handles this itself
		}
	}
}

// EmitWithAck sends an event and collects the answers of all addressed sockets, on all
// nodes. It waits until all have answered, until ctx ends or the Timeout expires, or for
// Config.Timeouts.Ack if neither is set. When the time is over, it returns the answers it
// has, with ErrAckTimeout.
//
// It does not wait for sockets of this node that disconnect meanwhile, and skips sockets
// that owe 1024 answers already. Of an answer on another node, some adapters carry the
// first argument only.
func (b Broadcast) EmitWithAck(ctx context.Context, event string, args ...any) (answers []Answer, err error) {
	if b.err != nil {
		return nil, b.err
	}
	if b.ns.pattern != nil {
		return fromChildren(b, func(b Broadcast) ([]Answer, error) { return b.EmitWithAck(ctx, event, args...) })
	}
	id := b.ns.acks.Add(1)
	msgs, err := encodeEvent(b.ns.name, event, id, true, args)
	if err != nil {
		return nil, err
	}
	cfg := b.ns.server.cfg
	ctx, cancel := ackContext(ctx, b.timeout, cfg.Timeouts.Ack)
	defer cancel()
	ctx, finish := b.ns.server.trace(ctx, Operation{Kind: OpAsk, Namespace: b.ns.name, Event: event})
	defer func() { finish(err) }()
	var (
		remote     []Answer
		errRemote  error
		requesting sync.WaitGroup
	)
	if m := b.message(adapter.Broadcast); m != nil {
		m.Payload = encodePayload(msgs)
		if deadline, ok := ctx.Deadline(); ok {
			m.Timeout = time.Until(deadline)
		}
		requesting.Go(func() { remote, errRemote = b.requestAnswers(ctx, m) }) // ends with ctx; waited for below
	}
	g := collectAcks(id, b.flags, msgs, b.Sockets(), maxPendingAcks)
	_ = b.traceEmit(event, nil)
	answers = make([]Answer, 0, len(g.asked))
	err = g.each(ctx, func(a Answer) bool {
		answers = append(answers, a)
		return true
	})
	requesting.Wait()
	if err == nil {
		err = errRemote
	}
	return append(answers, remote...), err
}

// Sockets returns the addressed sockets of this node.
func (b Broadcast) Sockets() []*Socket {
	if b.err != nil {
		return nil
	}
	if b.ns.pattern != nil {
		var all []*Socket
		for _, b := range b.perChild() {
			all = append(all, b.Sockets()...)
		}
		return all
	}
	found := b.ns.rooms.find(b.to, b.except)
	if b.from == nil {
		return slices.Clone(found)
	}
	others := make([]*Socket, 0, len(found))
	for _, s := range found {
		if s != b.from {
			others = append(others, s)
		}
	}
	return others
}

// Join adds the addressed sockets to rooms, on all nodes. It returns the errors of the
// sockets on this node, and an error if the other nodes could not be notified. If a name is
// invalid (ErrRoomName), no socket joins. It does not wait for the other nodes.
func (b Broadcast) Join(rooms ...string) error {
	if err := b.check(rooms).err; err != nil {
		return err
	}
	if b.ns.pattern != nil {
		return b.inChildren(func(b Broadcast) error { return b.Join(rooms...) })
	}
	var errs []error
	for _, s := range b.Sockets() {
		if err := s.Join(rooms...); err != nil && !errors.Is(err, ErrDisconnected) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, b.publishCommand(adapter.Join, rooms, false))
	return errors.Join(errs...)
}

// Leave takes the addressed sockets out of rooms, on all nodes. It returns an error if
// the other nodes could not be notified, and ErrRoomName, without any effect, if a name is
// invalid. It does not wait for the other nodes.
func (b Broadcast) Leave(rooms ...string) error {
	if err := b.check(rooms).err; err != nil {
		return err
	}
	if b.ns.pattern != nil {
		return b.inChildren(func(b Broadcast) error { return b.Leave(rooms...) })
	}
	for _, s := range b.Sockets() {
		s.Leave(rooms...)
	}
	return b.publishCommand(adapter.Leave, rooms, false)
}

// Disconnect disconnects the addressed sockets, on all nodes. With closeConn it closes
// the connections of their clients, with all their namespaces. It returns an error if the
// other nodes could not be notified. It does not wait for the other nodes.
func (b Broadcast) Disconnect(closeConn bool) error {
	if b.err != nil {
		return b.err
	}
	if b.ns.pattern != nil {
		return b.inChildren(func(b Broadcast) error { return b.Disconnect(closeConn) })
	}
	for _, s := range b.Sockets() {
		s.disconnect(closeConn)
	}
	return b.publishCommand(adapter.Disconnect, nil, closeConn)
}

func (s *Socket) disconnect(closeConn bool) {
	if closeConn {
		s.Close()
	} else {
		s.Disconnect()
	}
}
