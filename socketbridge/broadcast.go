package socketbridge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Broadcast addresses sockets of a namespace. It is a value: each method returns a
// narrower or wider one and leaves its own alone, so that one may be kept and used
// again, by many goroutines.
type Broadcast struct {
	ns      *Namespace
	from    *Socket // left out; nil when nobody is
	to      []string
	except  []string
	flags   transport.Flags
	timeout time.Duration
}

// To addresses the namespace's sockets that are in any of rooms.
func (n *Namespace) To(rooms ...string) Broadcast { return Broadcast{ns: n}.To(rooms...) }

// In is another word for To.
func (n *Namespace) In(rooms ...string) Broadcast { return n.To(rooms...) }

// Except addresses the namespace's sockets that are in none of rooms.
func (n *Namespace) Except(rooms ...string) Broadcast { return Broadcast{ns: n}.Except(rooms...) }

// Emit sends an event to all sockets of the namespace. See Broadcast.Emit.
func (n *Namespace) Emit(event string, args ...any) error {
	return Broadcast{ns: n}.Emit(event, args...)
}

// Broadcast addresses all sockets of the namespace.
func (n *Namespace) Broadcast() Broadcast { return Broadcast{ns: n} }

// ToSession addresses all sockets of a session in this namespace: the tabs of one
// browser. ref is a *fibersession.Session or *fibersession.Handle.
func (n *Namespace) ToSession(ref SessionRef) Broadcast { return n.To(sessionRoom(ref)) }

// Broadcast addresses all sockets of the namespace but s.
func (s *Socket) Broadcast() Broadcast { return Broadcast{ns: s.ns, from: s} }

// To addresses the sockets in any of rooms, but s.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// In is another word for To.
func (s *Socket) In(rooms ...string) Broadcast { return s.To(rooms...) }

// Except addresses the sockets in none of rooms, but s.
func (s *Socket) Except(rooms ...string) Broadcast { return s.Broadcast().Except(rooms...) }

// ToSession addresses the other sockets of this socket's session, or nobody when it
// shares none.
func (s *Socket) ToSession() Broadcast {
	if s.session == nil {
		return s.To(s.id)
	}
	return s.To(sessionRoom(s.session))
}

// To widens the address to the sockets that are in any of rooms too. Without any
// To or In, all sockets are addressed.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.to = slices.Concat(b.to, rooms)
	return b
}

// In is another word for To.
func (b Broadcast) In(rooms ...string) Broadcast { return b.To(rooms...) }

// Except leaves out the sockets that are in any of rooms.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.except = slices.Concat(b.except, rooms)
	return b
}

// Volatile sends only to clients that can take the event at once; for the others
// it is dropped.
func (b Broadcast) Volatile() Broadcast {
	b.flags |= transport.Volatile
	return b
}

// Timeout bounds how long EmitWithAck waits.
func (b Broadcast) Timeout(d time.Duration) Broadcast {
	b.timeout = d
	return b
}

// Emit sends an event to the addressed sockets. It is encoded once, and never
// waits: a client that does not keep up is disconnected, and delays nobody else.
// An error means that nothing was sent: args cannot be encoded, or ErrReservedEvent.
func (b Broadcast) Emit(event string, args ...any) error {
	msgs, err := encodeEvent(b.ns.name, event, 0, false, args)
	if err != nil {
		return err
	}
	for _, s := range b.ns.rooms.find(b.to, b.except) {
		if s != b.from && !s.muted.Load() {
			_ = s.send(b.flags, msgs) // one that has gone, or was too slow, is its own affair
		}
	}
	return nil
}

// EmitWithAck sends an event and collects the answers of all addressed sockets. It
// waits until all have come, or until ctx or the Timeout ends (Config.AckTimeout
// when neither says how long): then it returns those that came, with ErrAckTimeout.
// A socket that disconnects meanwhile is not waited for.
func (b Broadcast) EmitWithAck(ctx context.Context, event string, args ...any) ([]Answer, error) {
	id := b.ns.acks.Add(1)
	msgs, err := encodeEvent(b.ns.name, event, id, true, args)
	if err != nil {
		return nil, err
	}
	cfg := b.ns.server.cfg
	type waiting struct {
		socket *Socket
		ch     <-chan Answer
	}
	var all []waiting
	for _, s := range b.Sockets() {
		if s.muted.Load() {
			continue
		}
		ch, err := s.acks.expect(id, cfg.MaxPendingAcks)
		if err != nil {
			continue
		}
		if s.send(b.flags, msgs) != nil {
			s.acks.take(id)
			continue
		}
		all = append(all, waiting{s, ch})
	}
	ctx, cancel := ackContext(ctx, b.timeout, cfg.AckTimeout)
	defer cancel()
	answers := make([]Answer, 0, len(all))
	for _, w := range all {
		a, e := w.socket.await(ctx, id, w.ch)
		switch {
		case e == nil:
			answers = append(answers, a)
		case !errors.Is(e, ErrDisconnected):
			err = e
		}
	}
	return answers, err
}

// Sockets returns the addressed sockets of this node.
func (b Broadcast) Sockets() []*Socket {
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

// Join adds the addressed sockets to rooms. It returns what went wrong with any of
// them.
func (b Broadcast) Join(rooms ...string) error {
	var errs []error
	for _, s := range b.Sockets() {
		if err := s.Join(rooms...); err != nil && !errors.Is(err, ErrDisconnected) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Leave takes the addressed sockets out of rooms.
func (b Broadcast) Leave(rooms ...string) {
	for _, s := range b.Sockets() {
		s.Leave(rooms...)
	}
}

// Disconnect disconnects the addressed sockets; with closeConn their clients'
// connections are closed with all their namespaces.
func (b Broadcast) Disconnect(closeConn bool) {
	for _, s := range b.Sockets() {
		if closeConn {
			s.Close()
		} else {
			s.Disconnect()
		}
	}
}
