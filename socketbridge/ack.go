package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Answer is one client's acknowledgement of an event.
type Answer struct {
	args        []json.RawMessage
	attachments [][]byte
}

// Values returns the answer's arguments as they came. See Packet.Values.
func (a Answer) Values() []any { return valuesOf(a.args, a.attachments) }

// Args returns the answer's arguments as raw JSON, in which binary data is a placeholder.
func (a Answer) Args() []json.RawMessage { return a.args }

// Bind decodes the answer's arguments like Packet.Bind. Its errors say what was expected where, and
// hold nothing that the client has sent. They wrap those of encoding/json and of types that decode
// themselves, which can.
func (a Answer) Bind(ptrs ...any) error {
	if len(a.args) < len(ptrs) {
		return fmt.Errorf("%w: the answer has %d arguments, Bind wants %d", ErrMissingArg, len(a.args), len(ptrs))
	}
	for i, ptr := range ptrs {
		if ptr == nil {
			continue
		}
		if err := siopacket.Unmarshal(a.args[i], a.attachments, ptr); err != nil {
			return &bindError{fmt.Sprintf("argument %d of an answer", i), err}
		}
	}
	return nil
}

// ackResult is an answer, or the error that the caller gets instead: ErrDisconnected if the
// socket disconnected without answering, ErrBadAnswer if its answer was refused.
type ackResult struct {
	answer Answer
	err    error
	size   int // that eventQuota counts until an EmitWithAckFunc has returned, or 0
}

// ackWaiter gets the result of one acknowledgement. deliver is called once, with the lock of
// pendingAcks held, and does not block.
type ackWaiter interface{ deliver(r ackResult) }

// ackChannel is an ackWaiter with room for the result.
type ackChannel chan<- ackResult

func (c ackChannel) deliver(r ackResult) { c <- r }

// pendingAcks holds the acknowledgements that one socket still owes, by ID. The zero
// value is ready to use.
type pendingAcks struct {
	mu      sync.Mutex
	waiting map[uint64]ackWaiter
	queued  int // callbacks that have their result, but have not returned
	closed  bool
}

// register starts waiting for id. Exactly one result is delivered to w, unless remove is
// called first.
func (a *pendingAcks) register(id uint64, limit int, w ackWaiter) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.add(id, limit, w)
}

// add is register for a caller that holds the lock.
func (a *pendingAcks) add(id uint64, limit int, w ackWaiter) error {
	switch {
	case a.closed:
		return ErrDisconnected
	case len(a.waiting)+a.queued >= limit:
		return ErrTooManyAcks
	case a.waiting == nil:
		a.waiting = make(map[uint64]ackWaiter)
	}
	a.waiting[id] = w
	return nil
}

// remove stops waiting for id. It returns false if id is not waited for: its result was
// delivered.
func (a *pendingAcks) remove(id uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, waiting := a.waiting[id]
	delete(a.waiting, id)
	return waiting
}

// deliver ends the wait for id with a result. It returns false if id is not waited for.
func (a *pendingAcks) deliver(id uint64, r ackResult) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.waiting[id]
	if w == nil {
		return false
	}
	delete(a.waiting, id)
	w.deliver(r)
	return true
}

// close ends all waits without an answer.
func (a *pendingAcks) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for id, w := range a.waiting {
		delete(a.waiting, id)
		w.deliver(ackResult{err: ErrDisconnected})
	}
}

// queues reports whether the answer for id waits in the socket's inbox, for EmitWithAckFunc.
func (a *pendingAcks) queues(id uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.waiting[id].(*ackCallback)
	return ok
}

// receiveAck delivers an ACK packet of the client to the caller that waits for it. As
// the protocol demands, an unknown ID is ignored. It runs on the reader goroutine. An answer
// that has to wait behind events counts like them, and blocks the reader in the same way.
func (s *Socket) receiveAck(p siopacket.Packet) error {
	r, quota := ackResult{answer: Answer{args: p.AppendArgs(nil), attachments: p.Attachments}}, &s.client.events
	if s.acks.queues(p.ID) {
		size := packetSize(&p)
		if !quota.acquire(s, size) {
			return nil // the socket has ended, and with it the wait
		}
		r.size = size
	}
	if !s.acks.deliver(p.ID, r) {
		if r.size > 0 {
			quota.drop(s.server(), r.size)
		}
		s.server().notices.Report(&ackUnknownNotice, "", "", (*loggedSocket)(s))
	}
	return nil
}

// EmitWithAck sends an event and waits for the client's answer. It returns
// ErrAckTimeout if ctx's deadline passes (or Config.Timeouts.Ack, if ctx has none),
// ctx.Err() if ctx is canceled, ErrDisconnected if the socket disconnects first,
// ErrBadAnswer if the answer exceeds a limit, and ErrTooManyAcks if 1024 answers of this
// socket are already pending. If the client is behind (see Emit), the event is queued once it
// has caught up; if ctx ends before, it is not sent.
//
// Handlers can call it: answers are received while handlers run. But a handler that waits
// holds back the later events of its socket, because they are handled in order
// (Config.Concurrency). EmitWithAckFunc does not wait.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Answer, error) {
	return Emitter{socket: s}.EmitWithAck(ctx, event, args...)
}

// ackContext limits ctx to timeout. If timeout is not positive and ctx has no deadline,
// it limits ctx to def.
func ackContext(ctx context.Context, timeout, def time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		if _, ok := ctx.Deadline(); ok {
			return ctx, func() {}
		}
		timeout = def
	}
	return context.WithTimeout(ctx, timeout)
}

func (s *Socket) awaitAck(ctx context.Context, id uint64, ch <-chan ackResult) (Answer, error) {
	s.client.detach()
	select {
	case r := <-ch:
		return r.answer, r.err
	case <-ctx.Done():
	}
	if !s.acks.remove(id) { // the answer arrived just after the timeout
		r := <-ch
		return r.answer, r.err
	}
	return Answer{}, ackTimeoutError(ctx)
}

// ackTimeoutError returns the error for a wait that ctx has ended.
func ackTimeoutError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ErrAckTimeout
	}
	return ctx.Err()
}

// ackCollector collects the answers of several sockets to one event.
type ackCollector struct {
	id      uint64
	results chan ackResult
	asked   []*Socket

	detached bool
}

// collectAcks sends an event that requests an acknowledgement to sockets.
func collectAcks(id uint64, f transport.Flags, msgs []transport.Message, sockets []*Socket, limit int) *ackCollector {
	c := &ackCollector{id: id, results: make(chan ackResult, len(sockets)), asked: make([]*Socket, 0, len(sockets))}
	for _, s := range sockets {
		if s.muted.Load() || s.acks.register(id, limit, ackChannel(c.results)) != nil {
			continue
		}
		if s.sendEvent(f, msgs) != nil && s.acks.remove(id) {
			continue
		}
		c.asked = append(c.asked, s)
	}
	return c
}

// each calls fn for every answer as it arrives, until fn returns false, every socket has
// answered or disconnected, or ctx ends.
func (c *ackCollector) each(ctx context.Context, fn func(Answer) bool) error {
	for n := range c.asked {
		var r ackResult
		select {
		case r = <-c.results:
		default:
			c.detach()
			select {
			case r = <-c.results:
			case <-ctx.Done():
				c.cancel()
				return c.drain(n, fn, ackTimeoutError(ctx))
			}
		}
		if r.err == nil && !fn(r.answer) {
			c.cancel()
			return nil
		}
	}
	return nil
}

// drain passes on the answers that arrived while ctx ended, given that the first n
// results were received before. It returns err if any result is missing.
func (c *ackCollector) drain(n int, fn func(Answer) bool, err error) error {
	for ; n < len(c.asked); n++ {
		select {
		case r := <-c.results:
			if r.err == nil && !fn(r.answer) {
				return nil
			}
		default:
			return err
		}
	}
	return nil
}

// detach is called before a wait: the calling goroutine can be the reader of one of the clients.
func (c *ackCollector) detach() {
	if c.detached {
		return
	}
	c.detached = true
	for _, s := range c.asked {
		s.client.detach()
	}
}

// cancel stops waiting for the sockets that have not answered.
func (c *ackCollector) cancel() {
	for _, s := range c.asked {
		s.acks.remove(c.id)
	}
}
