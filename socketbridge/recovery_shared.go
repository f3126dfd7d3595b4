package socketbridge

import (
	"context"
	"errors"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// tail is a namespace's end of the adapter's log. Events are queued to this node's
// sockets as they come from there, those of this node too: so every client gets them
// in the log's order, and the last offset that it got says what it missed.
type tail struct {
	sync.Mutex
	log       adapter.Log
	namespace string
}

var _ past = (*tail)(nil)

// kept returns the log that all nodes share, or nil.
func (s *Server) kept() adapter.Log {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.log
}

func (t *tail) position() uint64                   { return t.log.Position() }
func (t *tail) place(offset string) (uint64, bool) { return t.log.Place(offset) }
func (t *tail) close()                             {}

// emit adds an event to the log, which brings it back to this node. What the log did
// not take is sent to the sockets of this node alone.
func (t *tail) emit(b Broadcast, msgs []transport.Message) error {
	m := b.message(adapter.Broadcast)
	if m == nil {
		return nil // for nobody
	}
	m.Payload = payloadOf(msgs)
	err := t.log.Append(b.ns.server.cluster.ctx, m)
	if err != nil && !errors.Is(err, adapter.ErrUnknownOutcome) {
		b.ns.deliver(b.to, b.except, b.from, b.flags, msgs)
	}
	return err
}

// deliver queues an event of the log.
func (t *tail) deliver(n *Namespace, m *adapter.Message, msgs []transport.Message) {
	numbered := withOffset(msgs, m.Offset)
	t.Lock()
	defer t.Unlock()
	for _, s := range n.rooms.find(m.Rooms, m.Except) {
		_ = s.take(m.Place, flagsOf(m), numbered, msgs) // one that has gone, or was too slow, is its own affair
	}
}

// catchUp implements past.
func (t *tail) catchUp(ctx context.Context, c *catchUp) error {
	var failed error
	end, err := t.log.Since(ctx, t.namespace, c.upTo, func(m *adapter.Message) bool {
		if !meant(c.rooms, m.Rooms, m.Except) {
			return true
		}
		msgs, _, err := open(m.Payload, siopacket.Header{Type: siopacket.Event, Namespace: t.namespace})
		if err != nil {
			return true // nobody has got it: see cluster.Deliver
		}
		failed = c.add(m.Place, sizeOf(msgs), withOffset(msgs, m.Offset))
		return failed == nil
	})
	if err = errors.Join(err, failed); err == nil {
		c.upTo = end
	}
	return err
}

// emitTo is Socket.Emit.
func (t *tail) emitTo(s *Socket, msgs []transport.Message) error {
	s.mu.Lock()
	switch {
	case s.refused:
		s.mu.Unlock()
		return s.send(0, msgs) // it is in no room: nothing of the log reaches it
	case !s.entered && s.state == connecting:
		s.held = append(s.held, msgs)
		s.mu.Unlock()
		return nil
	}
	gone, reason := s.state == ended, s.reason
	s.mu.Unlock()
	if s.muted.Load() {
		return nil
	}
	var err error
	if !gone || s.server().recoverable(reason) {
		err = t.emit(s.ns.To(s.id), msgs)
	}
	if gone {
		return errors.Join(ErrDisconnected, err)
	}
	return err
}

// emitHeld emits what was emitted to the socket before the log could reach it.
func (s *Socket) emitHeld() {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	for _, msgs := range held {
		if err := s.ns.past.(*tail).emitTo(s, msgs); err != nil && !errors.Is(err, ErrDisconnected) {
			s.log().Warn("socketbridge: an event of a connect middleware may be lost", "error", err)
		}
	}
}
