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

// Answer is what one client answered to an event.
type Answer struct {
	args        []json.RawMessage
	attachments [][]byte
}

// Args returns the answer's arguments: raw JSON.
func (a Answer) Args() []json.RawMessage { return a.args }

// Bind decodes the answer's arguments as Packet.Bind does.
func (a Answer) Bind(ptrs ...any) error {
	if len(a.args) < len(ptrs) {
		return fmt.Errorf("%w: the answer has %d arguments, %d are wanted", ErrMissingArg, len(a.args), len(ptrs))
	}
	for i, ptr := range ptrs {
		if ptr == nil {
			continue
		}
		if err := siopacket.Unmarshal(a.args[i], a.attachments, ptr); err != nil {
			return fmt.Errorf("socketbridge: argument %d of an answer: %w", i, err)
		}
	}
	return nil
}

// result is one answer or, without ok, that none can come any more.
type result struct {
	answer Answer
	ok     bool
}

// pendingAcks are the answers that one socket owes. The zero value is ready.
type pendingAcks struct {
	mu     sync.Mutex
	wait   map[uint64]chan<- result
	closed bool
}

// expect registers an ID: to has room for the one result that will be sent to it.
func (a *pendingAcks) expect(id uint64, limit int, to chan<- result) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return ErrDisconnected
	case len(a.wait) >= limit:
		return ErrTooManyAcks
	case a.wait == nil:
		a.wait = make(map[uint64]chan<- result)
	}
	a.wait[id] = to
	return nil
}

// take ends the wait for id and returns its channel, or nil when nobody waits.
func (a *pendingAcks) take(id uint64) chan<- result {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch := a.wait[id]
	delete(a.wait, id)
	return ch
}

// close tells all who wait that no answer will come.
func (a *pendingAcks) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for id, ch := range a.wait {
		ch <- result{}
		delete(a.wait, id)
	}
}

// answered takes an ACK packet. One that nobody waits for is ignored, as the
// protocol wants it.
func (s *Socket) answered(p siopacket.Packet) error {
	if ch := s.acks.take(p.ID); ch != nil {
		ch <- result{Answer{args: p.AppendArgs(nil), attachments: p.Attachments}, true}
	}
	return nil
}

// EmitWithAck sends an event and waits for the client's answer. It waits until ctx
// ends, or Config.Timeouts.Ack when ctx has no deadline, and returns ErrAckTimeout
// then; ErrDisconnected when the client goes first. It may be called in a handler:
// answers are taken in while handlers run.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Answer, error) {
	id := s.ns.acks.Add(1)
	msgs, err := encodeEvent(s.ns.name, event, id, true, args)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := ackContext(ctx, 0, s.server().cfg.Timeouts.Ack)
	defer cancel()
	ch := make(chan result, 1)
	if err := s.acks.expect(id, maxPendingAcks, ch); err != nil {
		return Answer{}, err
	}
	if err := s.send(0, msgs); err != nil {
		s.acks.take(id)
		return Answer{}, err
	}
	return s.await(ctx, id, ch)
}

// ackContext bounds ctx by d, or by def when neither says how long.
func ackContext(ctx context.Context, d, def time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		if _, ok := ctx.Deadline(); ok {
			return ctx, func() {}
		}
		d = def
	}
	return context.WithTimeout(ctx, d)
}

// await waits for one answer.
func (s *Socket) await(ctx context.Context, id uint64, ch <-chan result) (Answer, error) {
	select {
	case r := <-ch:
		return r.answer, answeredOr(r.ok)
	case <-ctx.Done():
	}
	if s.acks.take(id) == nil { // it came at the same moment
		r := <-ch
		return r.answer, answeredOr(r.ok)
	}
	return Answer{}, timeoutOr(ctx)
}

// answeredOr is nil for an answer, and otherwise says that none can come.
func answeredOr(ok bool) error {
	if !ok {
		return ErrDisconnected
	}
	return nil
}

// timeoutOr says why a context that has ended is no longer waited for.
func timeoutOr(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ErrAckTimeout
	}
	return ctx.Err()
}

// gathering collects the answers of several sockets to one event.
type gathering struct {
	id      uint64
	results chan result
	asked   []*Socket
}

// gather sends an event that wants answers to sockets.
func gather(id uint64, f transport.Flags, msgs []transport.Message, sockets []*Socket, limit int) *gathering {
	g := &gathering{id: id, results: make(chan result, len(sockets)), asked: make([]*Socket, 0, len(sockets))}
	for _, s := range sockets {
		if s.muted.Load() || s.acks.expect(id, limit, g.results) != nil {
			continue
		}
		if s.send(f, msgs) != nil && s.acks.take(id) != nil {
			continue
		}
		g.asked = append(g.asked, s)
	}
	return g
}

// each calls fn for each answer as it comes, until fn has enough, all have come or
// ctx ends. A socket that disconnects is not waited for.
func (g *gathering) each(ctx context.Context, fn func(Answer) bool) error {
	for n := range g.asked {
		var r result
		select {
		case r = <-g.results:
		default:
			select {
			case r = <-g.results:
			case <-ctx.Done():
				g.forget()
				return g.rest(n, fn, timeoutOr(ctx))
			}
		}
		if r.ok && !fn(r.answer) {
			g.forget()
			return nil
		}
	}
	return nil
}

// rest takes what came at the moment when the time was over. Of n results the first
// have been taken.
func (g *gathering) rest(n int, fn func(Answer) bool, err error) error {
	for ; n < len(g.asked); n++ {
		select {
		case r := <-g.results:
			if r.ok && !fn(r.answer) {
				return nil
			}
		default:
			return err
		}
	}
	return nil
}

// forget ends all waiting.
func (g *gathering) forget() {
	for _, s := range g.asked {
		s.acks.take(g.id)
	}
}
