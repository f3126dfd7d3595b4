package socketbridge

import (
	"context"
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Emitter sends events to one socket with options: see Socket.Volatile, Socket.Timeout and
// Socket.Compress. It is an immutable value, like Broadcast.
type Emitter struct {
	socket  *Socket
	flags   transport.Flags
	timeout time.Duration
	ctx     context.Context // of WithContext; may be nil
}

// Volatile drops an event if the client's connection is not ready to send it at once. Such
// an event is not replayed after a reconnect (Config.Recovery).
func (s *Socket) Volatile() Emitter { return Emitter{socket: s}.Volatile() }

// Timeout sets how long to wait for the client's answer at most.
func (s *Socket) Timeout(d time.Duration) Emitter { return Emitter{socket: s}.Timeout(d) }

// Compress is accepted for programs that come from Socket.IO for Node, and has no effect:
// this server does not compress messages.
func (s *Socket) Compress(compress bool) Emitter { return Emitter{socket: s}.Compress(compress) }

// WithContext sets a context whose values events are emitted with. See Emitter.WithContext.
func (s *Socket) WithContext(ctx context.Context) Emitter { return Emitter{socket: s, ctx: ctx} }

// Volatile drops an event if the client's connection is not ready to send it at once.
func (e Emitter) Volatile() Emitter {
	e.flags |= transport.Volatile
	return e
}

// Timeout sets how long to wait for the client's answer at most. If d is not positive, the
// limit is that of Socket.EmitWithAck.
func (e Emitter) Timeout(d time.Duration) Emitter {
	e.timeout = d
	return e
}

// Compress has no effect. See Socket.Compress.
func (e Emitter) Compress(bool) Emitter { return e }

// WithContext sets a context whose values Emit and EmitWithAckFunc emit with: that of the request
// or event that they belong to, such as Packet.Context. Traces then show the wait for an answer,
// and what the recovery log sends to the other nodes, as a part of it. The end of ctx has no
// effect. EmitWithAck uses the context that it is given.
func (e Emitter) WithContext(ctx context.Context) Emitter {
	e.ctx = ctx
	return e
}

// Emit sends an event to the client. See Socket.Emit. It returns nil for a volatile event
// that was dropped.
func (e Emitter) Emit(event string, args ...any) error {
	if e.flags&transport.Volatile == 0 {
		return e.socket.emit(withoutEnd(e.ctx), event, args)
	}
	msgs, err := encodeEvent(e.socket.ns.name, event, 0, false, args)
	if err != nil {
		return err
	}
	return e.socket.traceEmit(event, true, e.ignoreDropped(e.socket.sendEvent(e.flags, msgs)))
}

// ignoreDropped returns nil for the error of a volatile event that was dropped.
func (e Emitter) ignoreDropped(err error) error {
	if e.flags&transport.Volatile != 0 && errors.Is(err, transport.ErrQueueFull) {
		return nil
	}
	return err
}

// waitUntilDrained waits while the client is behind, unless the event is volatile.
func (e Emitter) waitUntilDrained(ctx context.Context) error {
	if e.flags&transport.Volatile != 0 {
		return nil
	}
	return e.socket.waitUntilDrained(ctx)
}

// pacedFlags returns the flags of an event for which waitUntilDrained was called.
func (e Emitter) pacedFlags() transport.Flags {
	if e.flags&transport.Volatile != 0 {
		return e.flags
	}
	return e.flags | transport.Paced
}

// EmitWithAck sends an event and waits for the client's answer. See Socket.EmitWithAck. A
// volatile event that was dropped is not answered.
func (e Emitter) EmitWithAck(ctx context.Context, event string, args ...any) (answer Answer, err error) {
	s := e.socket
	id := s.ns.acks.Add(1)
	msgs, err := encodeEvent(s.ns.name, event, id, true, args)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := ackContext(ctx, e.timeout, s.server().cfg.Timeouts.Ack)
	defer cancel()
	ctx, finish := s.server().trace(ctx, Operation{Kind: OpAsk, Namespace: s.ns.name, Socket: s, Event: event})
	defer func() { finish(err) }()
	if err := e.waitUntilDrained(ctx); err != nil {
		if ctx.Err() != nil {
			err = ackTimeoutError(ctx)
		}
		return Answer{}, err
	}
	ch := make(chan ackResult, 1)
	if err := s.acks.register(id, maxPendingAcks, ackChannel(ch)); err != nil {
		return Answer{}, err
	}
	if err := e.ignoreDropped(s.sendEvent(e.pacedFlags(), msgs)); err != nil {
		s.acks.remove(id)
		return Answer{}, err
	}
	_ = s.traceEmit(event, e.flags&transport.Volatile != 0, nil)
	return s.awaitAck(ctx, id, ch)
}

// EmitWithAckFunc sends an event and calls fn with the client's answer, without waiting for
// it. See Socket.EmitWithAckFunc.
func (e Emitter) EmitWithAckFunc(event string, fn func(a Answer, err error), args ...any) error {
	needFunc("EmitWithAckFunc", fn != nil)
	s := e.socket
	id := s.ns.acks.Add(1)
	msgs, err := encodeEvent(s.ns.name, event, id, true, args)
	if err != nil {
		return err
	}
	ctx, finish := s.server().trace(withoutEnd(e.ctx), Operation{Kind: OpAsk, Namespace: s.ns.name, Socket: s, Event: event})
	c := &ackCallback{socket: s, id: id, fn: fn, ctx: ctx, finish: finish}
	if err := e.ask(c, msgs); err != nil {
		finish(err)
		return err
	}
	_ = s.traceEmit(event, e.flags&transport.Volatile != 0, nil)
	return nil
}

// ask sends the event of c. If it returns an error, c is not called.
func (e Emitter) ask(c *ackCallback, msgs []transport.Message) error {
	s := e.socket
	if err := e.waitUntilDrained(context.Background()); err != nil {
		return err
	}
	timeout := e.timeout
	if timeout <= 0 {
		timeout = s.server().cfg.Timeouts.Ack
	}
	if err := s.acks.registerCallback(c, maxPendingAcks, timeout); err != nil {
		return err
	}
	if err := e.ignoreDropped(s.sendEvent(e.pacedFlags(), msgs)); err != nil && s.acks.remove(c.id) {
		c.timer.Stop()
		return err // if it was removed before, c is called
	}
	return nil
}
