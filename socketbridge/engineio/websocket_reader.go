package engineio

import (
	"net"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// readBuffers hold bytes that have been read but not handled. An idle connection holds no
// buffer.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, 8<<10); return &b }}

// reader reads messages from a WebSocket. It is used by one goroutine at a time.
type reader struct {
	server   *Server
	nc       net.Conn
	hijacked bool // fasthttp closes nc when its hijack handler returns
	stall    *stall
	dec      wsframe.Decoder

	handledFirst bool // see conn.read

	buf    []byte // buf[from:to] has been read but not handled
	from   int
	to     int
	pooled *[]byte  // the pooled buffer behind buf; nil if buf is small or was grown
	small  [96]byte // receives the first bytes, so that an idle reader needs no buffer
}

// newReader returns a reader for a WebSocket that the server has counted. early holds the
// bytes that have already been read from nc.
func newReader(s *Server, nc net.Conn, early []byte) *reader {
	return &reader{server: s, nc: nc, dec: wsframe.Decoder{MaxMessage: s.cfg.MaxPayload}, buf: early, to: len(early)}
}

// close closes the WebSocket.
func (r *reader) close() {
	r.releaseBuffer()
	_ = r.nc.Close()
	r.server.webSocketEnded()
}

// next returns the next message or control frame. Its data is valid until the next call. It
// returns an *wsframe.Error for an invalid frame; all other errors come from the network.
func (r *reader) next() (wsframe.Message, error) {
	for {
		m, n, err := r.dec.Next(r.buf[r.from:r.to])
		r.from += n
		if err != nil || m.Op != wsframe.None {
			return m, err
		}
		if n > 0 { // part of a message
			continue
		}
		if err := r.fill(); err != nil {
			return m, err
		}
	}
}

// empty reports whether all bytes that were read have been handled.
func (r *reader) empty() bool { return r.from == r.to }

// fill reads once. If buf has no room, it makes some.
func (r *reader) fill() error {
	switch rest := r.buf[r.from:r.to]; {
	case len(rest) == 0:
		r.releaseBuffer()
		r.buf = r.small[:]
	case r.pooled == nil && len(r.buf) <= len(r.small):
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
	r.stall.stop(r.server.now())
	n, err := r.nc.Read(r.buf[r.to:])
	r.stall.start(r.server.now())
	r.to += n
	if n > 0 {
		return nil // the next read returns err again
	}
	return err
}

// releaseBuffer returns the buffer to the pool. Bytes that were not handled are lost.
func (r *reader) releaseBuffer() {
	if r.pooled != nil {
		readBuffers.Put(r.pooled)
		r.pooled = nil
	}
	r.buf, r.from, r.to = nil, 0, 0
}

// drain reads and discards bytes until a read fails.
func (r *reader) drain() {
	r.stall.stop(r.server.now())
	if r.pooled == nil {
		r.pooled = readBuffers.Get().(*[]byte)
	}
	for {
		if _, err := r.nc.Read(*r.pooled); err != nil {
			return
		}
	}
}
