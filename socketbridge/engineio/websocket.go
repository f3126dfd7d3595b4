package engineio

import (
	"errors"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// serveWebSocket serves a connection that was opened on a WebSocket.
func (c *conn) serveWebSocket(r *reader) {
	r.conn = c
	if !c.acquireReceiver() {
		r.close()
		return
	}
	w := &wsWriter{nc: r.nc, timeout: c.server.cfg.Timeouts.Write}
	c.mu.Lock()
	if c.state.Load() == closed {
		c.mu.Unlock()
		c.finishReading(r)
		return
	}
	c.ws = w
	c.mu.Unlock()
	if !c.plain {
		_ = c.out.Push(packet{kind: openPacket, paced: true, data: c.server.openPacketJSON(c.id, nil)})
	}
	r.stall = &c.stall
	if err := c.accept(); err != nil {
		c.refuse(r, err)
		return
	}
	r.deadlines = w
	c.startWriting(r)
	c.read(r)
}

// refuse closes a WebSocket of which the acceptor wants nothing. The client may have sent
// messages already, so it is drained as by closeAndDrain. But the queue is not sent: it has the
// open packet, and perhaps messages of the acceptor.
func (c *conn) refuse(r *reader, cause error) {
	c.close(transport.ForcedClose, cause, wsframe.PolicyViolation) // its timer limits the time
	if c.ws.write([]packet{{kind: closePacket, code: wsframe.PolicyViolation}}) == nil {
		c.ws.closeWrite()
		r.drain(c.stopped.Done())
	}
	c.terminate(transport.ForcedClose, cause)
	c.finishReading(r)
}

// startWriting sends the queue on the WebSocket, of which r reads the messages.
func (c *conn) startWriting(r *reader) {
	if r.raw.conn != nil {
		c.reader = r
		c.out.StartTrying((*wsOutbox)(c))
	} else {
		c.out.Start(c.writeBatch)
	}
}

// read handles the messages of the WebSocket until the connection has ended. The caller has
// receiverSem and passes it on; it must return right after the call.
//
// A reader's stack is much of an idle connection's memory, and does not shrink back to its
// initial size. So the reader ends whenever the client is likely to be silent for a while: after
// the client's first message, which joins a namespace, and after each pong. See awaitMore.
//
// The loop ends without an end of the connection when another goroutine has become the reader.
func (c *conn) read(r *reader) {
	r.begin()
	for {
		m, err := r.next()
		if err != nil {
			c.readFailed(r, err)
			break
		}
		if c.reader != nil { // the message may be handled on this goroutine
			serial.GrowStack(false)
		}
		fail := c.handleFrame(m)
		if fail == detached {
			return
		}
		if fail != nil {
			c.closeAndDrain(r, fail)
			break
		}
		if m.Op == wsframe.Close {
			c.closeFrameReceived(r, m)
			break
		}
		r.flushOld()
		if (!r.handledFirst || isPong(m)) && !r.hijacked && r.betweenMessages() {
			r.handledFirst = true
			c.awaitMore(r)
			return
		}
	}
	c.finishReading(r)
}

// awaitMore has a new goroutine read on when the client sends something, or at once if nothing
// else can wait for that. The caller has receiverSem and passes it on.
func (c *conn) awaitMore(r *reader) {
	r.rest()
	if c.reader == nil || !c.server.idle.wait(c) {
		go c.read(r) // Shutdown waits for it
	}
}

// readAgain starts c's reader if c is idle.
func (c *conn) readAgain() {
	if c.idle.CompareAndSwap(true, false) {
		go c.read(c.reader) // has receiverSem; Shutdown waits for it
	}
}

// isPong reports whether m is an Engine.IO pong or a WebSocket pong.
func isPong(m wsframe.Message) bool {
	return m.Op == wsframe.Pong || m.Op == wsframe.Text && len(m.Data) == 1 && m.Data[0] == byte(eiopacket.Pong)
}

// finishReading releases receiverSem, and closes the WebSocket once nothing of the
// connection runs any more (D2).
func (c *conn) finishReading(r *reader) {
	r.flush()
	c.releaseReceiver()
	<-c.Done()
	r.close()
}

// readFailed ends the connection after an error of reader.next.
func (c *conn) readFailed(r *reader, err error) {
	var bad *wsframe.Error
	switch {
	case errors.As(err, &bad):
		c.closeAndDrain(r, &failure{reason: transport.TransportError, code: bad.Code, cause: err})
	case errors.Is(err, ErrFlood):
		c.closeAndDrain(r, rateFailure(err))
	case err == errSlowMessage:
		c.closeAndDrain(r, &failure{reason: transport.TransportError, code: wsframe.PolicyViolation, cause: err})
	default:
		c.terminate(transport.TransportClose, err)
	}
}

// closeFrameReceived answers the client's close frame, unless it answers the server's.
func (c *conn) closeFrameReceived(r *reader, m wsframe.Message) {
	code, err := wsframe.ParseClose(m.Data)
	if err != nil {
		c.closeAndDrain(r, &failure{reason: transport.TransportError, code: wsframe.CodeOf(err), cause: err})
		return
	}
	c.mu.Lock()
	c.closeReceived = true
	sent := c.closeSent
	c.mu.Unlock()
	if sent {
		c.terminate(transport.TransportClose, nil)
		return
	}
	c.closeAndDrain(r, &failure{reason: transport.TransportClose, code: code})
}

// closeAndDrain sends a close frame, and discards what the client sends until the client
// has closed the connection too. Closing a socket with unread bytes resets the TCP
// connection, and the client might then lose the close frame. The connection's timer limits
// the time, and drain how much is read meanwhile.
func (c *conn) closeAndDrain(r *reader, f *failure) {
	c.close(f.reason, f.cause, f.code)
	r.flush()
	r.drain(c.stopped.Done())
	c.terminate(f.reason, f.cause)
}

// handleFrame handles one message or control frame from the client.
func (c *conn) handleFrame(m wsframe.Message) *failure {
	switch m.Op {
	case wsframe.Text:
		if c.plain {
			return c.receive(transport.Message{Data: m.Data})
		}
		p, err := eiopacket.Decode(m.Data)
		if err != nil {
			return &failure{reason: transport.ParseError, code: wsframe.PolicyViolation, cause: err}
		}
		return c.handlePacket(p)
	case wsframe.Binary:
		return c.receive(transport.Message{Binary: true, Data: m.Data})
	case wsframe.Pong:
		if c.plain {
			c.pongReceived()
		}
	case wsframe.Ping:
		if !c.out.High() { // a pong that would come late is left out, so that a flood of pings queues nothing
			_ = c.out.Push(packet{kind: wsPong, paced: true, data: append([]byte(nil), m.Data...)})
		}
	}
	return nil
}

// writeBatch writes a batch of the connection's queue, and waits for the network.
func (c *conn) writeBatch(batch []packet) {
	if err := c.ws.write(batch); err != nil {
		if isTimeout(err) {
			c.closeSlow("Config.Timeouts.Write", c.sinceProgress())
		} else {
			c.terminate(transport.TransportClose, err)
		}
		return
	}
	c.written(batch)
}

// written is called after a batch has been written.
func (c *conn) written(batch []packet) {
	if c.pingQueued.Load() {
		c.mu.Lock()
		c.pingTaken(batch)
		c.mu.Unlock()
	}
	if batch[len(batch)-1].kind != closePacket {
		return
	}
	c.mu.Lock()
	c.closeSent = true
	received := c.closeReceived
	c.mu.Unlock()
	if received {
		c.terminate(transport.TransportClose, nil) // close has recorded the reason
	} else {
		c.ws.closeWrite()
	}
}
