package engineio

import (
	"time"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// upgradePollTimeout is how long a poll may wait during an upgrade. The client sends its
// upgrade packet only after its poll has ended. If a proxy swallows WebSocket frames, the
// client keeps polling as fast as it is answered, so the poll must not end at once either.
const upgradePollTimeout = 100 * time.Millisecond

// pollSize is how much a poll takes from the queue, unless its first packet is larger. The
// next poll shows that the client has received all of it. A response without a bound could
// take longer than the time in which the client has to show progress.
const pollSize = 256 << 10

// poll waits until there is something to send and appends it, encoded, to body. It returns
// an error if the connection cannot be polled. A second poll at the same time ends the
// connection, and with it the first poll.
//
// When the WebSocket takes over, a poll that was waiting before the probe was answered gets
// a noop. A later one is refused, like those that arrive after the upgrade packet: a client
// ends its polling before it sends that packet, so this poll has only overtaken it on
// another network connection.
func (c *conn) poll(body []byte) ([]byte, *Error) {
	c.mu.Lock()
	if err := c.checkOnPolling(); err != nil {
		c.mu.Unlock()
		return body, err
	}
	if c.pollWaiting {
		c.mu.Unlock()
		c.terminate(transport.TransportError, ErrOverlap)
		return body, ErrBadRequest
	}
	c.pollWaiting = true
	late := c.probeAnswered
	c.mu.Unlock()

	var timer *time.Timer
	var timeout <-chan time.Time
	for {
		batch, only, upgrading := c.dequeuePoll()
		if len(batch) > 0 {
			for _, p := range batch {
				body = appendPolling(body, p)
			}
			if batch[len(batch)-1].kind == closePacket {
				c.terminate(transport.ForcedClose, nil) // close has recorded the reason
			}
			return body, nil
		}
		if only == eiopacket.Upgrade {
			if late {
				return body, ErrBadRequest
			}
			only = eiopacket.Noop
		}
		if only != 0 {
			return append(body, byte(only)), nil
		}
		if upgrading && timer == nil {
			timer = time.NewTimer(upgradePollTimeout)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-c.wake:
		case <-timeout:
			c.mu.Lock()
			c.releasePoll = true
			c.mu.Unlock()
		}
	}
}

// checkOnPolling returns an error unless the connection is open and on polling. The caller
// holds mu.
func (c *conn) checkOnPolling() *Error {
	switch {
	case c.state.Load() == closed, c.state.Load() == opening:
		return ErrUnknownSID
	case c.ws != nil || c.wake == nil:
		return ErrBadRequest
	}
	return nil
}

// dequeuePoll returns the packets that answer the waiting poll, or the type of the only
// packet that does: Upgrade if the connection has moved to a WebSocket. If it returns
// neither, the poll goes on waiting, but only for upgradePollTimeout if upgrading is true.
func (c *conn) dequeuePoll() (batch []packet, only eiopacket.Type, upgrading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ws != nil: // the queue now belongs to the WebSocket
		only = eiopacket.Upgrade
	case c.state.Load() == closed:
		only = c.finalPoll
	default:
		if batch = c.out.Drain(nil, pollSize); len(batch) == 0 && c.releasePoll {
			only = eiopacket.Noop
		}
	}
	if len(batch) > 0 || only != 0 {
		c.pollWaiting, c.releasePoll = false, false
	}
	if len(batch) > 0 {
		c.polled = c.server.now()
		c.pingTaken(batch)
		c.released(batch)
	}
	return batch, only, c.probeAnswered
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
	case closePacket:
		return eiopacket.AppendPayload(body, eiopacket.Packet{Type: eiopacket.Close})
	}
	return body
}

// pollNotTaken ends the connection of a client that took nothing of the answer to its poll for
// Timeouts.Write. Packets of that answer are lost.
func (c *conn) pollNotTaken() { c.closeSlow("Config.Timeouts.Write", c.server.cfg.Timeouts.Write) }

// beginPost is called before the body of a post is read, so that a connection never has two in
// memory. A second post at the same time ends the connection.
func (c *conn) beginPost() *Error {
	c.mu.Lock()
	if err := c.checkOnPolling(); err != nil {
		c.mu.Unlock()
		return err
	}
	overlap, switching := c.posting, c.switching
	c.posting = true
	c.mu.Unlock()
	if overlap {
		return c.refuseOverlap(switching)
	}
	return nil
}

// refuseOverlap refuses a post while another post or an upgrade has the connection, and ends the
// connection, unless its WebSocket is about to take over: then the post has only come late.
func (c *conn) refuseOverlap(switching bool) *Error {
	if !switching {
		c.terminate(transport.TransportError, ErrOverlap)
	}
	return ErrBadRequest
}

// endPost is called when the body of a post is not used any more.
func (c *conn) endPost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posting = false
}

// post handles a polling request body on the request's goroutine, between beginPost and endPost.
//
// If the body violates the protocol, the connection ends after the client's polls have
// fetched what is queued, as on a WebSocket. The post is answered with an error if the body
// is malformed, but not if the receiver refused a message: a client that sees its post fail
// stops polling.
func (c *conn) post(body []byte) *Error {
	if err := c.acquirePost(); err != nil {
		return err
	}
	defer c.releaseReceiver()
	fail := c.handlePost(body)
	switch {
	case fail == nil:
		return nil
	case fail.cause == nil: // the client has closed the connection
		c.mu.Lock()
		c.finalPoll = eiopacket.Noop
		c.mu.Unlock()
		c.terminate(fail.reason, nil)
		return nil
	case c.out.Load().Items == 0:
		c.terminate(fail.reason, fail.cause)
	default:
		c.close(fail.reason, fail.cause, fail.code)
	}
	if fail.refused {
		return nil
	}
	return ErrBadRequest
}

// acquirePost acquires receiverSem without waiting. It returns an error if an upgrade has it.
func (c *conn) acquirePost() *Error {
	c.mu.Lock()
	if err := c.checkOnPolling(); err != nil {
		c.mu.Unlock()
		return err
	}
	select {
	case c.receiverSem <- struct{}{}:
		c.mu.Unlock()
		return nil
	default:
	}
	switching := c.switching
	c.mu.Unlock()
	return c.refuseOverlap(switching)
}

func (c *conn) handlePost(body []byte) *failure {
	c.stall.start(c.server.now())
	defer func() { c.stall.stop(c.server.now()) }()
	if err := c.limit(1, len(body)); err != nil { // the request, and its first packet
		return rateFailure(err)
	}
	if !utf8.Valid(body) || eiopacket.Count(body) > c.server.cfg.Limits.MaxPollPackets {
		return &failure{reason: transport.ParseError, cause: eiopacket.ErrPacket}
	}
	first := true
	for p, err := range eiopacket.Payload(body) {
		if err != nil {
			return &failure{reason: transport.ParseError, cause: err}
		}
		if !first {
			if err := c.limit(1, 0); err != nil {
				return rateFailure(err)
			}
		}
		first = false
		if fail := c.handlePacket(p); fail != nil {
			return fail
		}
	}
	return nil
}
