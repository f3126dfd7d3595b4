package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
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

// pendingAcks are the answers that one socket owes. The zero value is ready.
type pendingAcks struct {
	mu     sync.Mutex
	wait   map[uint64]chan Answer // of size 1; closed when no answer can come any more
	closed bool
}

// expect registers an ID. The channel gives the answer, or is closed.
func (a *pendingAcks) expect(id uint64, limit int) (<-chan Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return nil, ErrDisconnected
	case len(a.wait) >= limit:
		return nil, ErrTooManyAcks
	case a.wait == nil:
		a.wait = make(map[uint64]chan Answer)
	}
	ch := make(chan Answer, 1)
	a.wait[id] = ch
	return ch, nil
}

// take ends the wait for id and returns its channel, or nil when nobody waits.
func (a *pendingAcks) take(id uint64) chan Answer {
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
		close(ch)
		delete(a.wait, id)
	}
}

// answered takes an ACK packet. One that nobody waits for is ignored, as the
// protocol wants it.
func (s *Socket) answered(p siopacket.Packet) error {
	if ch := s.acks.take(p.ID); ch != nil {
		ch <- Answer{args: p.AppendArgs(nil), attachments: p.Attachments}
	}
	return nil
}

// EmitWithAck sends an event and waits for the client's answer. It waits until ctx
// ends, or Config.AckTimeout when ctx has no deadline, and returns ErrAckTimeout
// then; ErrDisconnected when the client goes first. It may be called in a handler:
// answers are taken in while handlers run.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Answer, error) {
	id := s.ns.acks.Add(1)
	msgs, err := encodeEvent(s.ns.name, event, id, true, args)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := ackContext(ctx, 0, s.server().cfg.AckTimeout)
	defer cancel()
	ch, err := s.acks.expect(id, s.server().cfg.MaxPendingAcks)
	if err != nil {
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
func (s *Socket) await(ctx context.Context, id uint64, ch <-chan Answer) (Answer, error) {
	select {
	case a, ok := <-ch:
		return a, answeredOr(ok)
	case <-ctx.Done():
	}
	if s.acks.take(id) == nil { // it came at the same moment
		a, ok := <-ch
		return a, answeredOr(ok)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Answer{}, ErrAckTimeout
	}
	return Answer{}, ctx.Err()
}

// answeredOr is nil for an answer, and otherwise says that none can come.
func answeredOr(ok bool) error {
	if !ok {
		return ErrDisconnected
	}
	return nil
}
