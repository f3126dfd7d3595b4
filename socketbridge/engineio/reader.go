package engineio

import (
	"net"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// readBuffers hold what arrived and was not handled yet. An idle connection holds
// none.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, 8<<10); return &b }}

// reader takes messages from a WebSocket. It is used by one goroutine.
type reader struct {
	server *Server
	nc     net.Conn
	lent   bool // by fasthttp, which closes nc when its hijack handler returns
	stall  *stall
	dec    wsframe.Decoder

	greeted bool // the first message was handled: see conn.read

	buf    []byte // what was read is buf[from:to]
	from   int
	to     int
	pooled *[]byte  // where buf is from; nil: it is small, or grown
	small  [96]byte // waits for the first bytes, so that waiting needs no buffer
}

// newReader returns a reader for a WebSocket that the server has counted. What it
// reads first is early.
func newReader(s *Server, nc net.Conn, early []byte) *reader {
	return &reader{server: s, nc: nc, dec: wsframe.Decoder{MaxMessage: s.cfg.MaxPayload}, buf: early, to: len(early)}
}

// close ends the WebSocket.
func (r *reader) close() {
	r.release()
	_ = r.nc.Close()
	r.server.carried()
}

// next returns the next message or control frame. Its data is valid until the
// next call. Errors are the network's, or of type *wsframe.Error.
func (r *reader) next() (wsframe.Message, error) {
	for {
		m, n, err := r.dec.Next(r.buf[r.from:r.to])
		r.from += n
		if err != nil || m.Op != wsframe.None {
			return m, err
		}
		if n > 0 { // a part of a message
			continue
		}
		if err := r.fill(); err != nil {
			return m, err
		}
	}
}

// empty tells that nothing waits to be handled.
func (r *reader) empty() bool { return r.from == r.to }

// fill reads once, into the room that there is or that it makes.
func (r *reader) fill() error {
	switch rest := r.buf[r.from:r.to]; {
	case len(rest) == 0:
		r.release()
		r.buf = r.small[:]
	case r.pooled == nil && len(r.buf) <= len(r.small):
		r.pooled = readBuffers.Get().(*[]byte)
		r.to = copy(*r.pooled, rest)
		r.buf = *r.pooled
	case r.from > 0:
		r.to = copy(r.buf, rest)
	case r.to == len(r.buf): // the decoder bounds how often
		grown := make([]byte, 2*len(r.buf))
		r.to = copy(grown, rest)
		r.release()
		r.buf, r.to = grown, len(rest)
	}
	r.from = 0
	r.stall.leave(r.server.now())
	n, err := r.nc.Read(r.buf[r.to:])
	r.stall.enter(r.server.now())
	r.to += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// release gives the buffer back. What was not handled is lost.
func (r *reader) release() {
	if r.pooled != nil {
		readBuffers.Put(r.pooled)
		r.pooled = nil
	}
	r.buf, r.from, r.to = nil, 0, 0
}

// discard reads to nowhere until reading fails.
func (r *reader) discard() {
	r.stall.leave(r.server.now())
	if r.pooled == nil {
		r.pooled = readBuffers.Get().(*[]byte)
	}
	for {
		if _, err := r.nc.Read(*r.pooled); err != nil {
			return
		}
	}
}
