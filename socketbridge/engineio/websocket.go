package engineio

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

const (
	writeBatch = 64 << 10 // a write is sent when it is this large
	writeAlone = 16 << 10 // the data of a message this large is not copied
)

// writeBuffers are used within one call of wsWriter.write, and never seen outside.
var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// wsWriter writes to one WebSocket. At any time one goroutine writes: the one that
// handles the probe, then the queue's worker.
type wsWriter struct {
	nc      net.Conn
	timeout time.Duration

	mu          sync.Mutex // guards the deadlines: an interrupt is final
	interrupted bool
	deadline    time.Time
}

var errInterrupted = errors.New("engineio: the connection has ended")

// interrupt makes reads and writes return. The connection is closed by the hijack
// handler's return.
func (w *wsWriter) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted = true
	_ = w.nc.SetDeadline(time.Unix(1, 0))
}

// setReadDeadline sets when reading gives up; zero is never.
func (w *wsWriter) setReadDeadline(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.interrupted {
		_ = w.nc.SetReadDeadline(t)
	}
}

// allow gives the next write its time. The deadline moves in steps, as moving it
// is not free: a write has at least three quarters of the timeout.
func (w *wsWriter) allow() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.interrupted {
		return errInterrupted
	}
	now := time.Now()
	if w.deadline.Sub(now) < w.timeout*3/4 {
		w.deadline = now.Add(w.timeout)
		return w.nc.SetWriteDeadline(w.deadline)
	}
	return nil
}

func (w *wsWriter) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := w.allow(); err != nil {
		return err
	}
	_, err := w.nc.Write(b)
	return err
}

// write sends packets, many with one system call.
func (w *wsWriter) write(batch []packet) (err error) {
	pooled := writeBuffers.Get().(*[]byte)
	buf := (*pooled)[:0]
	for i := range batch {
		p := &batch[i]
		if len(p.data) >= writeAlone {
			buf = appendFrameHeader(buf, p)
			if err = w.send(buf); err == nil {
				err = w.send(p.data)
			}
			buf = buf[:0]
		} else if buf = appendFrame(buf, p); len(buf) >= writeBatch {
			err = w.send(buf)
			buf = buf[:0]
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = w.send(buf)
	}
	if cap(buf) <= 2*writeBatch {
		*pooled = buf
		writeBuffers.Put(pooled)
	}
	return err
}

// hangUp says that nothing more will be written, where the network can: then a
// client that waits for the server to close has its answer.
func (w *wsWriter) hangUp() {
	nc := w.nc
	if u, ok := nc.(interface{ UnsafeConn() net.Conn }); ok {
		nc = u.UnsafeConn() // fasthttp's hijacked connection hides what it wraps
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// appendFrame appends p as a frame: one packet a frame, a binary message as it is.
func appendFrame(dst []byte, p *packet) []byte {
	return append(appendFrameHeader(dst, p), p.data...)
}

// appendFrameHeader appends all of the frame but p's data.
func appendFrameHeader(dst []byte, p *packet) []byte {
	h := wsframe.Header{Fin: true, Op: wsframe.Text, Length: uint64(len(p.data)) + 1}
	var t eiopacket.Type
	switch p.kind {
	case textMessage:
		t = eiopacket.Message
	case openPacket:
		t = eiopacket.Open
	case pingPacket:
		t = eiopacket.Ping
	case probePong:
		return append(wsframe.AppendHeader(dst, wsframe.Header{Fin: true, Op: wsframe.Text, Length: 6}), "3probe"...)
	case binaryMessage:
		h.Op, h.Length = wsframe.Binary, h.Length-1
		return wsframe.AppendHeader(dst, h)
	case plainText:
		h.Length--
		return wsframe.AppendHeader(dst, h)
	case wsPing:
		return wsframe.AppendHeader(dst, wsframe.Header{Fin: true, Op: wsframe.Ping})
	case wsPong:
		h.Op, h.Length = wsframe.Pong, h.Length-1
		return wsframe.AppendHeader(dst, h)
	case goodbye:
		return wsframe.AppendClose(dst, p.code)
	}
	return append(wsframe.AppendHeader(dst, h), byte(t))
}

// write is the work of a connection's queue.
func (c *conn) write(batch []packet) {
	if err := c.ws.write(batch); err != nil {
		reason := transport.TransportClose
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			reason = transport.TransportError
		}
		c.end(reason, err)
		return
	}
	if batch[len(batch)-1].kind != goodbye {
		return
	}
	c.mu.Lock()
	c.said = true
	heard := c.heard
	c.mu.Unlock()
	if heard {
		c.end(transport.TransportClose, nil) // the reason was settled by close
	} else {
		c.ws.hangUp()
	}
}

// serveWebSocket carries a connection that begins on a WebSocket.
func (c *conn) serveWebSocket(r *reader) {
	if !c.takeTurn() {
		r.close()
		return
	}
	w := &wsWriter{nc: r.nc, timeout: c.server.cfg.Timeouts.Write}
	c.mu.Lock()
	if c.state.Load() == closed {
		c.mu.Unlock()
		c.readNoMore(r)
		return
	}
	c.ws = w
	c.mu.Unlock()
	if !c.plain {
		_ = c.out.Push(packet{kind: openPacket, data: c.server.openJSON(c.id, WebSocket)})
	}
	if err := c.accept(); err != nil {
		_ = w.write([]packet{{kind: goodbye, code: wsframe.PolicyViolation}})
		c.end(transport.ForcedClose, err)
		c.readNoMore(r)
		return
	}
	c.out.Start(c.write)
	r.stall = &c.stall
	c.read(r)
}

// read handles what comes on the WebSocket until the connection has ended. The
// caller has the turn, and no more to do.
//
// An idle connection is above all the stack of who waits for it. One that grew
// while messages were handled does not shrink to where it began. So whenever the
// client is likely to be silent for a while, a new goroutine goes on: after its
// first message, which joins a namespace, and after each answer to a ping.
func (c *conn) read(r *reader) {
	for {
		m, err := r.next()
		if err != nil {
			c.readFailed(r, err)
			break
		}
		if fail := c.handleFrame(m); fail != nil {
			c.hangUp(r, fail)
			break
		}
		if m.Op == wsframe.Close {
			c.peerClosed(r, m)
			break
		}
		if (!r.greeted || isPong(m)) && !r.lent && r.empty() {
			r.greeted = true
			go c.read(r) // has the turn; Shutdown waits for it
			return
		}
	}
	c.readNoMore(r)
}

// isPong tells the answer to a ping, of Engine.IO or of the WebSocket.
func isPong(m wsframe.Message) bool {
	return m.Op == wsframe.Pong || m.Op == wsframe.Text && len(m.Data) == 1 && m.Data[0] == byte(eiopacket.Pong)
}

// readNoMore gives back the turn, and ends the WebSocket when nothing of the
// connection runs any more (D2).
func (c *conn) readNoMore(r *reader) {
	<-c.turn
	<-c.Done()
	r.close()
}

// readFailed ends the connection after a failed read: of the network, or of
// frames that break the rules.
func (c *conn) readFailed(r *reader, err error) {
	var bad *wsframe.Error
	if errors.As(err, &bad) {
		c.hangUp(r, &failure{transport.TransportError, bad.Code, err})
		return
	}
	c.end(transport.TransportClose, err)
}

// peerClosed answers the client's close frame, if ours is not what it answers.
func (c *conn) peerClosed(r *reader, m wsframe.Message) {
	code, err := wsframe.ParseClose(m.Data)
	if err != nil {
		c.hangUp(r, &failure{transport.TransportError, wsframe.CodeOf(err), err})
		return
	}
	c.mu.Lock()
	c.heard = true
	said := c.said
	c.mu.Unlock()
	if said {
		c.end(transport.TransportClose, nil)
		return
	}
	c.hangUp(r, &failure{transport.TransportClose, code, nil})
}

// hangUp says goodbye and reads on, to nowhere, until the client has hung up too:
// closing a socket with unread bytes could destroy the goodbye on its way. The
// connection's timer bounds it.
func (c *conn) hangUp(r *reader, f *failure) {
	c.close(f.reason, f.cause, f.code)
	r.discard()
	c.end(f.reason, f.cause)
}

// handleFrame takes one message or control frame from the client.
func (c *conn) handleFrame(m wsframe.Message) *failure {
	switch m.Op {
	case wsframe.Text:
		if c.plain {
			return c.receive(transport.Message{Data: m.Data})
		}
		p, err := eiopacket.Decode(m.Data)
		if err != nil {
			return &failure{transport.ParseError, wsframe.PolicyViolation, err}
		}
		return c.handle(p)
	case wsframe.Binary:
		return c.receive(transport.Message{Binary: true, Data: m.Data})
	case wsframe.Pong:
		if c.plain {
			c.pong()
		}
	case wsframe.Ping:
		if err := c.out.Push(packet{kind: wsPong, data: append([]byte(nil), m.Data...)}); err == serial.ErrFull {
			return &failure{transport.TransportError, wsframe.PolicyViolation, transport.ErrQueueFull}
		}
	}
	return nil
}
