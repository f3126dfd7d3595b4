package socketbridge

import (
	"context"
	"time"
)

// ackCallback calls a function with the answer to an event, as a step of the socket's life.
type ackCallback struct {
	socket *Socket
	id     uint64
	fn     func(Answer, error)
	ctx    context.Context // of the operation of the trace; it does not end
	finish func(error)     // ends the operation
	timer  *time.Timer     // set before the callback is in pendingAcks
}

// EmitWithAckFunc sends an event and returns. fn is called once with the client's answer, or
// with ErrAckTimeout after Config.Timeouts.Ack (see Timeout for another limit), or with
// ErrDisconnected, before the disconnect handlers, if the socket ends first.
//
// fn runs in the order of the socket's events: after the events that arrived before the
// answer, and before those that arrived after it. So it sees what their handlers changed, and
// while a handler waits, fn waits too. Changes of Socket.Session are saved when fn returns
// (except in SessionManual). The session is not loaded before; to see the changes of other
// nodes in any case, call its Reload.
//
// If the client is behind (see Emit), EmitWithAckFunc first waits until it has caught up.
// If EmitWithAckFunc returns an error, nothing was sent and fn is not called. The errors are
// those of Emit, and ErrTooManyAcks if 1024 answers of this socket are pending or wait for
// their fn.
func (s *Socket) EmitWithAckFunc(event string, fn func(a Answer, err error), args ...any) error {
	return Emitter{socket: s}.EmitWithAckFunc(event, fn, args...)
}

// registerCallback starts waiting for c.id, at most for timeout.
func (a *pendingAcks) registerCallback(c *ackCallback, limit int, timeout time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.add(c.id, limit, c)
	if err == nil {
		c.timer = time.AfterFunc(timeout, c.expire) // expire waits for a.mu
	}
	return err
}

func (c *ackCallback) expire() { c.socket.acks.deliver(c.id, ackResult{err: ErrAckTimeout}) }

// deliver implements ackWaiter. The step is queued while the lock of pendingAcks is held: the
// socket's last step is queued after pendingAcks.close, so that no callback comes after it.
func (c *ackCallback) deliver(r ackResult) {
	c.timer.Stop()
	s := c.socket
	s.acks.queued++
	s.inbox.pushStep(func() {
		if quota := &s.client.events; r.size > 0 {
			quota.begin()
			defer quota.end(s.server(), r.size)
		}
		c.finish(r.err)
		s.guard("EmitWithAckFunc", func() { c.fn(r.answer, r.err) })
		if err := s.saveLifeStep(context.WithoutCancel(c.ctx)); err != nil {
			s.report(&changesLostNotice, "EmitWithAckFunc", "handler", "EmitWithAckFunc", "error", err)
		}
		s.acks.callbackReturned()
	})
}

// callbackReturned makes room for another callback.
func (a *pendingAcks) callbackReturned() {
	a.mu.Lock()
	a.queued--
	a.mu.Unlock()
}
