package socketbridge

import "github.com/fiberbridge/fiberbridge/socketbridge/transport"

// earlyQueue holds what is sent to a socket before its client's CONNECT is confirmed: the client
// must not get it earlier. The sender is what delays the CONNECT, so it cannot wait. The bound is
// that of broadcasts to one connection, a quarter of Engine.Limits.MaxBacklogBytes. A single
// larger event is kept. nil is an empty queue. Socket.mu guards it.
type earlyQueue struct {
	packets []early
	held    [][]transport.Message // events to append to the recovery log once the socket is in its namespace's tables
	size    int                   // bytes of both, with earlyOverhead for each message
	over    bool                  // something was dropped, so the client must connect anew
}

const (
	earlyShare    = 4  // of MaxBacklogBytes, as one connection may use of it
	earlyOverhead = 64 // bytes of a message in addition to its data, as MaxBacklogBytes counts it
)

// early is a packet that was emitted while the socket was connecting.
type early struct {
	flags    transport.Flags
	msgs     []transport.Message
	position uint64 // in the recovery log, or 0
}

// queueEarly keeps a packet until the CONNECT is confirmed. The caller holds s.mu, and passes the
// error to earlyError when it has released it.
func (s *Socket) queueEarly(e early) error {
	err := s.countEarly(e.flags, e.msgs)
	if err == nil {
		s.early.packets = append(s.early.packets, e)
	}
	return err
}

// holdEarly keeps an event for the recovery log, as queueEarly does.
func (s *Socket) holdEarly(msgs []transport.Message) error {
	err := s.countEarly(0, msgs)
	if err == nil {
		s.early.held = append(s.early.held, msgs)
	}
	return err
}

func (s *Socket) countEarly(f transport.Flags, msgs []transport.Message) error {
	if s.early == nil {
		s.early = new(earlyQueue)
	}
	q, limits := s.early, &s.server().cfg.Engine.Limits
	if q.over {
		return transport.ErrClosed
	}
	size := messagesSize(msgs)
	if q.size > 0 && q.size+size > limits.MaxBacklogBytes/earlyShare {
		q.over = f&transport.Volatile == 0
		return transport.ErrQueueFull
	}
	q.size += size
	return nil
}

// dropped reports whether something did not fit.
func (q *earlyQueue) dropped() bool { return q != nil && q.over }

// takeHeld returns the events for the recovery log, which come back from there.
func (q *earlyQueue) takeHeld() [][]transport.Message {
	if q == nil {
		return nil
	}
	held := q.held
	q.held = nil
	for _, msgs := range held {
		q.size -= messagesSize(msgs)
	}
	return held
}

func messagesSize(msgs []transport.Message) (n int) {
	for _, m := range msgs {
		n += earlyOverhead + len(m.Data)
	}
	return n
}

// earlyError handles an error of queueEarly or holdEarly. If an event was dropped that is not
// volatile, the connection is closed, so that the client does not miss it unnoticed.
func (s *Socket) earlyError(f transport.Flags, err error) error {
	switch {
	case err != transport.ErrQueueFull:
	case f&transport.Volatile != 0:
		s.server().notices.Report(&volatileNotice, "", "", (*loggedSocket)(s))
	default:
		s.client.conn.Close(transport.TransportClose) // the client connects anew; Socket.end reports it, because a log may be locked here
		return ErrDisconnected
	}
	return disconnectedError(err)
}
