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

	local      bool // this node alone
	noCompress bool // told to other nodes
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
// To or In, all sockets are addressed; with an empty list of rooms, other than in
// Socket.IO for Node, nobody is.
func (b Broadcast) To(rooms ...string) Broadcast {
	if len(rooms) == 0 {
		rooms = []string{emptyRoom}
	}
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

// Local addresses the sockets of this node only.
func (b Broadcast) Local() Broadcast {
	b.local = true
	return b
}

// Compress says whether the event is worth compressing; false tells servers of other
// nodes not to. This one compresses nothing.
func (b Broadcast) Compress(compress bool) Broadcast {
	b.noCompress = !compress
	return b
}

// Timeout bounds how long EmitWithAck waits.
func (b Broadcast) Timeout(d time.Duration) Broadcast {
	b.timeout = d
	return b
}

// Emit sends an event to the addressed sockets, on all nodes. It is encoded once. A
// client that does not keep up is disconnected, and delays nobody else. When args
// cannot be encoded, or with ErrReservedEvent, nothing was sent. An error that wraps
// adapter.ErrUnavailable or adapter.ErrUnknownOutcome is about the other nodes: the
// sockets of this one have the event. Without an adapter Emit never waits; with one, it
// waits until the adapter has passed the event on.
//
// With Config.Recovery and an adapter that is an adapter.Log, an event that is neither
// Volatile nor Local goes through the log to all nodes, this one included, and Emit
// waits until it is back. After adapter.ErrUnknownOutcome it may come, or not, to all.
func (b Broadcast) Emit(event string, args ...any) error {
	msgs, err := encodeEvent(b.ns.name, event, 0, false, args)
	if err != nil {
		return err
	}
	if t, ok := b.ns.past.(*tail); ok && !b.local && b.flags&transport.Volatile == 0 {
		return t.emit(b, msgs)
	}
	b.ns.deliver(b.to, b.except, b.from, b.flags, msgs)
	if m := b.message(adapter.Broadcast); m != nil {
		m.Payload = payloadOf(msgs)
		return b.ns.server.publish(m)
	}
	return nil
}

// deliver queues an event to the sockets of this node that are in any of to (all when
// it is empty) and in none of except, but for from.
func (n *Namespace) deliver(to, except []string, from *Socket, f transport.Flags, msgs []transport.Message) {
	if h, ok := n.past.(*history); ok && f&transport.Volatile == 0 {
		e := &sent{to: to, except: except, share: n.share(to), msgs: msgs}
		if from != nil {
			e.except = append(slices.Clip(except), from.id)
		}
		_ = h.emit(e, from, f, func() []*Socket { return n.rooms.find(to, except) })
		return
	}
	for _, s := range n.rooms.find(to, except) {
		if s != from && !s.muted.Load() {
			_ = s.send(f, msgs) // one that has gone, or was too slow, is its own affair
		}
	}
}

// EmitWithAck sends an event and collects the answers of all addressed sockets, on
// all nodes. It waits until all have come, or until ctx or the Timeout ends
// (Config.Timeouts.Ack when neither says how long): then it returns those that came,
// with ErrAckTimeout. A socket of this node that disconnects meanwhile is not waited
// for, and one that owes 1024 answers already is not asked. Of an
// answer on another node, an adapter may carry the first argument only.
func (b Broadcast) EmitWithAck(ctx context.Context, event string, args ...any) ([]Answer, error) {
	id := b.ns.acks.Add(1)
	msgs, err := encodeEvent(b.ns.name, event, id, true, args)
	if err != nil {
		return nil, err
	}
	cfg := b.ns.server.cfg
	ctx, cancel := ackContext(ctx, b.timeout, cfg.Timeouts.Ack)
	defer cancel()
	var (
		elsewhere    []Answer
		errElsewhere error
		asking       sync.WaitGroup
	)
	if m := b.message(adapter.Broadcast); m != nil {
		m.Payload = payloadOf(msgs)
		if deadline, ok := ctx.Deadline(); ok {
			m.Timeout = time.Until(deadline)
		}
		asking.Go(func() { elsewhere, errElsewhere = b.askAnswers(ctx, m) }) // ends with ctx; waited for below
	}
	g := collectAcks(id, b.flags, msgs, b.Sockets(), maxPendingAcks)
	answers := make([]Answer, 0, len(g.asked))
	err = g.each(ctx, func(a Answer) bool {
		answers = append(answers, a)
		return true
	})
	asking.Wait()
	if err == nil {
		err = errElsewhere
	}
	return append(answers, elsewhere...), err
}

// askAnswers collects the answers of the sockets of other nodes.
func (b Broadcast) askAnswers(ctx context.Context, m *adapter.Message) (answers []Answer, err error) {
	for r, e := range b.ns.server.ask(ctx, m) {
		switch {
		case errors.Is(e, adapter.ErrIncomplete) && ctx.Err() != nil:
			err = ackTimeoutError(ctx)
		case e != nil:
			err = e
		case r.Kind == adapter.Answered:
			a, bad := answerOf(r.Payload)
			if bad != nil {
				b.ns.server.cluster.malformed(m, bad)
				continue
			}
			answers = append(answers, a)
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

// Join adds the addressed sockets to rooms, on all nodes. It returns what went wrong
// with any of this node, and whether the others could be told; it does not wait for
// them to do it.
func (b Broadcast) Join(rooms ...string) error {
	var errs []error
	for _, s := range b.Sockets() {
		if err := s.Join(rooms...); err != nil && !errors.Is(err, ErrDisconnected) {
			errs = append(errs, err)
		}
	}
	if checkRoomNames(rooms) == nil {
		errs = append(errs, b.tell(adapter.Join, rooms, false))
	}
	return errors.Join(errs...)
}

// Leave takes the addressed sockets out of rooms, on all nodes. It returns whether the
// others could be told; it does not wait for them to do it.
func (b Broadcast) Leave(rooms ...string) error {
	for _, s := range b.Sockets() {
		s.Leave(rooms...)
	}
	return b.tell(adapter.Leave, rooms, false)
}

// Disconnect disconnects the addressed sockets, on all nodes; with closeConn their
// clients' connections are closed with all their namespaces. It returns whether the
// other nodes could be told; it does not wait for them to do it.
func (b Broadcast) Disconnect(closeConn bool) error {
	for _, s := range b.Sockets() {
		s.disconnect(closeConn)
	}
	return b.tell(adapter.Disconnect, nil, closeConn)
}

func (s *Socket) disconnect(closeConn bool) {
	if closeConn {
		s.Close()
	} else {
		s.Disconnect()
	}
}

// tell has other nodes do to the addressed sockets what was done to those of this one.
func (b Broadcast) tell(kind adapter.Kind, rooms []string, closeConn bool) error {
	m := b.message(kind)
	if m != nil {
		m.Targets, m.Close = rooms, closeConn
	}
	return b.ns.server.publish(m)
}
