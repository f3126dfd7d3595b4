package engineio

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

const (
	flushSize  = 64 << 10 // a batch is written whenever it reaches this size
	noCopySize = 16 << 10 // the data of a packet of this size is written without a copy
	chunkSize  = 64 << 10 // at most this is written with one deadline
)

// writeBuffers are used only within one call of wsWriter.write.
var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// wsWriter writes to one WebSocket. Only one goroutine writes at a time: first the one that
// handles the probe, then the queue's worker.
type wsWriter struct {
	nc      stream
	timeout time.Duration
	rest    *[]byte // what tryWrite has left of its batch, or nil

	mu          sync.Mutex // guards the deadlines: none may be set after an interrupt
	interrupted bool
	torn        bool // a write has failed within its data: no frame can follow; for the goroutine that writes
	deadline    time.Time
}

var errInterrupted = errors.New("engineio: the connection has ended")

// interrupt makes reads and writes return. The reader then closes the network connection.
func (w *wsWriter) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted = true
	_ = w.nc.SetDeadline(time.Unix(1, 0))
}

// resume undoes interrupt. The caller makes sure that no other goroutine interrupts w any more.
func (w *wsWriter) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted, w.deadline = false, time.Time{}
	_ = w.nc.SetDeadline(time.Time{})
}

// setReadDeadline sets the read deadline; zero means none.
func (w *wsWriter) setReadDeadline(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.interrupted {
		_ = w.nc.SetReadDeadline(t)
	}
}

// extendDeadline sets the deadline of the next write. Setting it is not free, so it is
// extended in steps: a write has at least three quarters of the timeout.
func (w *wsWriter) extendDeadline() error {
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

// progress returns when a write last began, which is when the network had taken all before
// it. It can be a quarter of the timeout too early. Before the first write it is the zero
// time.
func (w *wsWriter) progress() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deadline.IsZero() {
		return time.Time{}
	}
	return w.deadline.Add(-w.timeout)
}

// writeBytes writes b in chunks, each with a deadline of its own, so that a slow client that
// takes some bytes within the timeout is not cut off.
func (w *wsWriter) writeBytes(b []byte) error {
	for whole := len(b); len(b) > 0; {
		if err := w.extendDeadline(); err != nil {
			w.torn = len(b) < whole
			return err
		}
		n, err := w.nc.Write(b[:min(len(b), chunkSize)])
		b = b[n:]
		if err != nil && (n == 0 || !isTimeout(err)) {
			w.torn = len(b) < whole
			return err
		}
	}
	return nil
}

// isTimeout reports whether err is that of an expired deadline.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// write writes packets, several with one system call.
func (w *wsWriter) write(batch []packet) (err error) {
	if rest := w.rest; rest != nil {
		w.rest = nil
		return w.writeBytes(*rest)
	}
	pooled := writeBuffers.Get().(*[]byte)
	buf := (*pooled)[:0]
	for i := range batch {
		p := &batch[i]
		if len(p.data) >= noCopySize {
			buf = appendFrameHeader(buf, p)
			if err = w.writeBytes(buf); err == nil {
				err = w.writeBytes(p.data)
			}
			buf = buf[:0]
		} else if buf = appendFrame(buf, p); len(buf) >= flushSize {
			err = w.writeBytes(buf)
			buf = buf[:0]
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = w.writeBytes(buf)
	}
	if cap(buf) <= 2*flushSize {
		*pooled = buf
		writeBuffers.Put(pooled)
	}
	return err
}

// closeWrite closes the writing half of the network connection, if it can be closed on its
// own. A client that waits for the server to close then sees the end of the stream.
func (w *wsWriter) closeWrite() {
	var nc any = w.nc
	if u, ok := nc.(interface{ UnsafeConn() net.Conn }); ok {
		nc = u.UnsafeConn() // fasthttp's hijacked connection wraps it
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// appendFrame appends p as one frame.
func appendFrame(dst []byte, p *packet) []byte {
	return append(appendFrameHeader(dst, p), p.data...)
}

// appendFrameHeader appends p's frame up to p.data.
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
	case closePacket:
		return wsframe.AppendClose(dst, p.code)
	}
	return append(wsframe.AppendHeader(dst, h), byte(t))
}
