package socketbridge

import (
	"fmt"
	"sync/atomic"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

const (
	// maxClientBytes bounds the events of one client, of all its sockets together, that wait
	// or are being handled. Engine.MaxPayload is added, so that there is room beside the
	// largest message.
	maxClientBytes = 1 << 20
	// maxServerBytes bounds the same of all clients. Above it, each client can have one
	// event that waits, so that all of them make progress.
	maxServerBytes = 64 << 20
	// packetOverhead is roughly what a queued event takes in addition to its data.
	packetOverhead = 512
)

// eventQuota counts the memory of one client's events, and of the answers that wait for
// their EmitWithAckFunc. It holds back the reader goroutine, which alone calls acquire. The
// other methods are safe for concurrent use.
//
// An event that is being handled counts, because its handler can be as slow as the events
// behind it. If nothing of the client waits, one more event is admitted beside those being
// handled, so that a handler that waits for the client's answer gets it.
type eventQuota struct {
	held    atomic.Int64  // bytes of what waits or is being handled
	waiting atomic.Int32  // number of events and answers that wait
	blocked atomic.Bool   // acquire waits for freed
	freed   chan struct{} // set before blocked
}

// acquire counts an event of n bytes that is about to wait. If it does not fit, acquire
// blocks, at most until the connection has ended. It returns false if the server ends the
// client or the socket first.
func (q *eventQuota) acquire(s *Socket, n int) bool {
	if why := q.refusal(s, n); why != "" {
		s.report(&inboxFullNotice, why, "waiting", why)
		if !q.wait(s, n) {
			return false
		}
	}
	q.waiting.Add(1)
	q.held.Add(int64(n))
	s.server().heldBytes.Add(int64(n))
	return true
}

func (q *eventQuota) wait(s *Socket, n int) bool {
	if q.freed == nil {
		q.freed = make(chan struct{}, 1)
	}
	s.client.detach()
	q.blocked.Store(true)
	defer q.blocked.Store(false)
	for q.refusal(s, n) != "" { // read after blocked is set: a release before that sends nothing
		select {
		case <-q.freed:
		case <-s.client.broken.Done():
			return true
		case <-s.client.stop.Done():
			return false
		case <-s.done.Done():
			return false
		}
	}
	return true
}

// refusal returns why an event of n bytes has to wait, or "" if it does not.
func (q *eventQuota) refusal(s *Socket, n int) string {
	held, limit := q.held.Load(), int64(maxClientBytes+s.server().cfg.Engine.MaxPayload)
	switch {
	case q.waiting.Load() == 0 && held < limit:
		return ""
	case held+int64(n) > limit:
		return fmt.Sprintf("%d bytes of this client", limit)
	case s.server().heldBytes.Load()+int64(n) > maxServerBytes:
		return fmt.Sprintf("%d bytes of all clients", maxServerBytes)
	}
	return ""
}

// begin is called when a handler gets an event.
func (q *eventQuota) begin() {
	q.waiting.Add(-1)
	q.wake()
}

// end is called when the handler has returned.
func (q *eventQuota) end(s *Server, n int) {
	q.held.Add(int64(-n))
	s.heldBytes.Add(int64(-n))
	q.wake()
}

// drop is called for an event that no handler gets.
func (q *eventQuota) drop(s *Server, n int) {
	q.begin()
	q.end(s, n)
}

func (q *eventQuota) wake() {
	if q.blocked.Load() {
		select {
		case q.freed <- struct{}{}:
		default: // there is a signal already
		}
	}
}

// packetSize returns the size that a packet counts with while it waits. The packet shares no
// memory with the buffer that it was read into.
func packetSize(p *siopacket.Packet) int {
	n := packetOverhead + cap(p.Data)
	for _, b := range p.Attachments {
		n += cap(b)
	}
	return n
}
