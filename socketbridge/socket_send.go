package socketbridge

import (
	"context"
	"errors"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// There are two kinds of senders. A sender that can wait (Emit, EmitWithAck, an answer to
// the client) sends with transport.Paced and calls waitUntilDrained, with no lock held and
// never on the reader goroutine. Its event has its place in the queue before it waits, so
// nothing overtakes it. All others (broadcasts, CONNECT, CONNECT_ERROR and DISCONNECT
// packets) only send.

// send queues messages to the client and does not wait. While the socket is connecting, they
// are kept until the client's CONNECT is confirmed.
func (s *Socket) send(f transport.Flags, msgs []transport.Message) error {
	return s.queue(f, msgs, 0)
}

// sendAndWait queues messages, and waits if the client is behind.
func (s *Socket) sendAndWait(msgs []transport.Message) error {
	if err := s.send(transport.Paced, msgs); err != nil {
		return err
	}
	return s.waitUntilDrained(context.Background())
}

// waitUntilDrained waits while the client is behind with what was sent to it. It returns
// ErrDisconnected if the socket or its connection ends first, or the error of ctx. The
// transport ends the connection of a client that takes nothing.
func (s *Socket) waitUntilDrained(ctx context.Context) error {
	drained, err := s.client.conn.Drained()
	if drained == nil {
		return disconnectedError(err)
	}
	s.client.detach()
	select {
	case <-drained:
		_, err = s.client.conn.Drained() // the connection may have ended
		return disconnectedError(err)
	case <-s.Done():
		return ErrDisconnected
	case <-ctx.Done():
		return ctx.Err()
	}
}

// queue is send for an event at a position of the recovery log; 0 for none.
func (s *Socket) queue(f transport.Flags, msgs []transport.Message, position uint64) error {
	if s.state.Load() == connecting {
		s.mu.Lock()
		if s.state.Load() == connecting {
			err := s.queueEarly(early{f, msgs, position})
			s.mu.Unlock()
			return s.earlyError(f, err)
		}
		s.mu.Unlock()
	}
	if s.state.Load() == ended {
		return ErrDisconnected
	}
	err := s.client.conn.Send(f, msgs...)
	if err != nil && f&transport.Volatile != 0 && errors.Is(err, transport.ErrQueueFull) {
		s.server().notices.Report(&volatileNotice, "", "", (*loggedSocket)(s))
	}
	return disconnectedError(err)
}

// disconnectedError returns ErrDisconnected in place of transport.ErrClosed.
func disconnectedError(err error) error {
	if errors.Is(err, transport.ErrClosed) {
		return ErrDisconnected
	}
	return err
}
