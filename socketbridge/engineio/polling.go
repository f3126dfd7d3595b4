package engineio

import (
	"time"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// probePace is how long a poll may wait while an upgrade is under way. The client
// sends no upgrade packet before its poll has ended (and, where a proxy swallows
// frames, polls on as fast as it is answered).
const probePace = 100 * time.Millisecond

// poll waits until there is something to send, and appends it to body in wire
// form. It returns an error for a poll that must not be there; a second one at the
// same time ends the connection, and the first poll with it.
func (c *conn) poll(body []byte) ([]byte, *Error) {
	c.mu.Lock()
	if err := c.mayPoll(); err != nil {
		c.mu.Unlock()
		return body, err
	}
	if c.polling {
		c.mu.Unlock()
		c.end(transport.TransportError, ErrOverlap)
		return body, ErrBadRequest
	}
	c.polling = true
	c.mu.Unlock()

	var pace *time.Timer
	var paced <-chan time.Time
	for {
		batch, farewell, pacing := c.takePoll()
		if len(batch) > 0 {
			for _, p := range batch {
				body = appendPolling(body, p)
			}
			if batch[len(batch)-1].kind == goodbye {
				c.end(transport.ForcedClose, nil) // the reason was settled by close
			}
			return body, nil
		}
		if farewell != 0 {
			return append(body, byte(farewell)), nil
		}
		if pacing && pace == nil {
			pace = time.NewTimer(probePace)
			defer pace.Stop()
			paced = pace.C
		}
		select {
		case <-c.wake:
		case <-paced:
			c.mu.Lock()
			c.release = true
			c.mu.Unlock()
		}
	}
}

// mayPoll reports why polling is no longer, or not, the way to reach this
// connection. The lock is held.
func (c *conn) mayPoll() *Error {
	switch {
	case c.state.Load() == closed, c.state.Load() == opening:
		return ErrUnknownSID
	case c.ws != nil || c.wake == nil:
		return ErrBadRequest
	}
	return nil
}

// takePoll ends the waiting poll if there is something to answer it with: packets,
// or a packet type alone. Otherwise the poll waits on, for a short while if pacing.
func (c *conn) takePoll() (batch []packet, farewell eiopacket.Type, pacing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ws != nil: // what is queued belongs to the WebSocket
		farewell = eiopacket.Noop
	case c.state.Load() == closed:
		farewell = c.farewell
	default:
		if batch = c.out.Drain(nil); len(batch) == 0 && c.release {
			farewell = eiopacket.Noop
		}
	}
	if len(batch) > 0 || farewell != 0 {
		c.polling, c.release = false, false
	}
	return batch, farewell, c.probed
}

func appendPolling(body []byte, p packet) []byte {
	switch p.kind {
	case textMessage:
		return eiopacket.AppendPayload(body, eiopacket.Packet{Type: eiopacket.Message, Data: p.data})
	case binaryMessage:
		return eiopacket.AppendPayload(body, eiopacket.Packet{Type: eiopacket.Message, Binary: true, Data: p.data})
	case openPacket:
		return eiopacket.AppendPayload(body, eiopacket.Packet{Type: eiopacket.Open, Data: p.data})
	case pingPacket:
		return eiopacket.AppendPayload(body, eiopacket.Packet{Type: eiopacket.Ping})
	case goodbye:
		return eiopacket.AppendPayload(body, eiopacket.Packet{Type: eiopacket.Close})
	}
	return body
}

// post handles a polling body, in the request's goroutine. A second post at the
// same time ends the connection.
func (c *conn) post(body []byte) *Error {
	if err := c.beginPost(); err != nil {
		return err
	}
	defer func() { <-c.turn }()
	if fail := c.readPost(body); fail != nil {
		if fail.cause == nil { // the client's own goodbye
			c.mu.Lock()
			c.farewell = eiopacket.Noop
			c.mu.Unlock()
			c.end(fail.reason, nil)
			return nil
		}
		c.end(fail.reason, fail.cause)
		return ErrBadRequest
	}
	return nil
}

// beginPost takes the turn, or says why it cannot be had.
func (c *conn) beginPost() *Error {
	c.mu.Lock()
	if err := c.mayPoll(); err != nil {
		c.mu.Unlock()
		return err
	}
	select {
	case c.turn <- struct{}{}:
		c.mu.Unlock()
		return nil
	default:
	}
	switching := c.switching
	c.mu.Unlock()
	if !switching {
		c.end(transport.TransportError, ErrOverlap)
	}
	return ErrBadRequest
}

func (c *conn) readPost(body []byte) *failure {
	c.stall.enter(c.server.now())
	defer func() { c.stall.leave(c.server.now()) }()
	if !utf8.Valid(body) || eiopacket.Count(body) > c.server.cfg.Limits.MaxPollPackets {
		return &failure{reason: transport.ParseError, cause: eiopacket.ErrPacket}
	}
	for p, err := range eiopacket.Payload(body) {
		if err != nil {
			return &failure{reason: transport.ParseError, cause: err}
		}
		if fail := c.handle(p); fail != nil {
			return fail
		}
	}
	return nil
}
