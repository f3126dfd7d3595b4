package engineio

import (
	"runtime"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

const (
	readSize  = 8 << 10 // of a pooled buffer
	smallSize = 96      // of reader.small

	// holdTime is how long the answers to messages that arrived together are held, so that one
	// write can send them.
	holdTime = 200 * time.Microsecond

	// drainPause is the least time between two reads of drain.
	drainPause = 5 * time.Millisecond
)

// readBuffers hold bytes that have been read but not handled. An idle connection holds no
// buffer.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

// reader reads messages from a WebSocket. It is used by one goroutine at a time.
type reader struct {
	server   *Server
	nc       stream
	hijacked bool // fasthttp closes nc when its hijack handler returns
	conn     *conn
	stall    *stall
	dec      wsframe.Decoder

	deadlines *wsWriter // sets the read deadline; nil while that is the deadline of an upgrade
	deadline  bool      // a read deadline is set
	timed     bool      // it is that of the message in progress

	handledFirst bool // see conn.read

	raw     rawRead       // of plain TCP
	epoll   int32         // the instance of idleWaits that knows fd, or -1
	fd      int32         // of raw
	ahead   bool          // what was read last had arrived before
	holding bool          // hold was called, and flush was not
	heldAt  time.Duration // when hold was called, by Server.now

	buf    []byte // buf[from:to] has been read but not handled
	from   int
	to     int
	pooled *[]byte          // the pooled buffer behind buf; nil if buf is small or was grown
	small  *[smallSize]byte // without raw: receives the first bytes, so that an idle reader needs no buffer
}

// newReader returns a reader for a WebSocket that the server has counted. early holds the
// bytes that have already been read from nc.
func newReader(s *Server, nc stream, early []byte) *reader {
	r := &reader{server: s, nc: nc, epoll: -1, dec: wsframe.Decoder{MaxMessage: s.cfg.MaxPayload}, buf: early, to: len(early)}
	if raw := rawOf(nc); raw != nil {
		r.raw.init(raw)
	} else {
		r.small = new([smallSize]byte)
	}
	return r
}

// close closes the WebSocket.
func (r *reader) close() {
	r.releaseBuffer()
	r.server.idle.unregister(r)
	_ = r.nc.Close()
	r.server.webSocketEnded()
}

// next returns the next message or control frame. Its data is valid until the next call. It
// counts each frame, and waits if the client sends too fast. It returns an *wsframe.Error for
// an invalid frame, errSlowMessage, or an error of limit; all other errors come from the
// network.
func (r *reader) next() (wsframe.Message, error) {
	for {
		rest := r.buf[r.from:r.to]
		m, n, err := r.dec.Next(rest)
		if err != nil {
			return m, err
		}
		if n == 0 {
			if err := r.fill(); err != nil {
				return m, err
			}
			continue
		}
		r.from += n
		r.timed = r.timed && r.dec.Pending()
		packets := 1
		if wsframe.IsContinuation(rest) && n >= paidFragment {
			packets = 0
		}
		if err := r.conn.limit(packets, n); err != nil {
			return wsframe.Message{Op: wsframe.None}, err
		}
		if m.Op != wsframe.None {
			return m, nil
		}
	}
}

// empty reports whether all bytes that were read have been handled.
func (r *reader) empty() bool { return r.from == r.to }

// fill reads once. If buf has no room, it makes some: buf grows with what has arrived, not
// with the length that a frame announces. After a large frame, it shrinks.
func (r *reader) fill() error {
	r.flush()
	switch rest := r.buf[r.from:r.to]; {
	case len(rest) == 0:
		r.releaseBuffer()
		if r.small != nil {
			r.buf = r.small[:]
		}
	case r.pooled == nil && (len(r.buf) < readSize || r.from > 0 && len(rest) < readSize):
		r.pooled = readBuffers.Get().(*[]byte)
		r.to = copy(*r.pooled, rest)
		r.buf = *r.pooled
	case r.from > 0:
		r.to = copy(r.buf, rest)
	case r.to == len(r.buf): // the decoder limits how large buf can get
		grown := make([]byte, 2*len(r.buf))
		r.to = copy(grown, rest)
		r.releaseBuffer()
		r.buf, r.to = grown, len(rest)
	}
	r.from = 0
	r.boundMessage()
	r.stall.stop(r.server.now())
	n, err := r.read()
	now := r.server.now()
	r.stall.start(now)
	r.hold(now)
	r.to += n
	switch {
	case n > 0:
		return nil // the next read returns err again
	case r.timed && isTimeout(err): // or the connection has ended, and the error does not matter
		return errSlowMessage
	}
	return err
}

// read reads once, and waits for something to read.
func (r *reader) read() (n int, err error) {
	if r.raw.conn == nil || r.to > 0 {
		return r.nc.Read(r.buf[r.to:])
	}
	if r.ahead {
		runtime.Gosched() // other connections have waited meanwhile
	}
	var waited bool
	if r.pooled, n, waited, err = r.raw.next(); r.pooled != nil {
		r.buf = *r.pooled
	}
	r.ahead = !waited
	return n, err
}

// begin is called when another goroutine begins to use the reader.
func (r *reader) begin() { r.holding = false }

// hold keeps the answers to what has just been read in the queue until flush, which must be
// called before anything that waits.
func (r *reader) hold(now time.Duration) {
	if r.raw.conn != nil && r.deadlines != nil {
		r.conn.out.Hold()
		r.holding, r.heldAt = true, now
	}
}

// flush writes the answers that were held.
func (r *reader) flush() {
	if r.holding {
		r.holding = false
		r.conn.out.Flush()
	}
}

// flushOld is flush if the first answers have been held for holdTime, and more messages are to
// be handled.
func (r *reader) flushOld() {
	if !r.holding || r.empty() {
		return
	}
	if now := r.server.now(); now-r.heldAt >= holdTime {
		r.flush()
		r.hold(now)
	}
}

// boundMessage sets the read deadline of a message of which the first bytes have arrived,
// and removes it when no message is in progress any more. Control frames between the
// fragments of a message do not extend it. It must be called before each read.
//
// A client on Socket.IO's protocol cannot answer a ping before its message has ended. So the
// deadline is as long as the heartbeat allows anyway.
func (r *reader) boundMessage() {
	if r.deadlines == nil {
		return
	}
	pending := r.to > 0 || r.dec.Pending()
	switch {
	case pending && !r.timed:
		r.deadlines.setReadDeadline(time.Now().Add(r.server.cfg.PingInterval + r.server.cfg.PingTimeout))
	case !pending && r.deadline:
		r.deadlines.setReadDeadline(time.Time{})
	}
	r.timed, r.deadline = pending, pending
}

// betweenMessages reports whether all that was read has been handled, and no message is in
// progress. Within a message, the reader must wait: only a read notices the message's deadline.
func (r *reader) betweenMessages() bool { return r.empty() && !r.dec.Pending() }

// rest is called between two messages, before a wait without a reader.
func (r *reader) rest() {
	r.flush()
	r.releaseBuffer()
	r.boundMessage()
	r.stall.stop(r.server.now())
}

// releaseBuffer returns the buffer to the pool. Bytes that were not handled are lost.
func (r *reader) releaseBuffer() {
	if r.pooled != nil {
		readBuffers.Put(r.pooled)
		r.pooled = nil
	}
	r.buf, r.from, r.to = nil, 0, 0
}

// drain reads and discards bytes until a read fails or stop is closed. A client that goes on
// sending is read from slowly: during Timeouts.Close, as much as one message of MaxPayload is
// discarded, in at most 200 reads per second.
func (r *reader) drain(stop <-chan struct{}) {
	r.stall.stop(r.server.now())
	if r.deadline {
		r.deadlines.setReadDeadline(time.Time{})
	}
	r.releaseBuffer()
	r.pooled = readBuffers.Get().(*[]byte)
	perByte := float64(r.server.cfg.Timeouts.Close) / float64(max(r.server.cfg.MaxPayload, readSize))
	for {
		n, err := r.nc.Read(*r.pooled)
		if err != nil || !pause(max(drainPause, time.Duration(float64(n)*perByte)), stop) {
			return
		}
	}
}
