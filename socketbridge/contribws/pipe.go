package contribws

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// pipe is the network connection that the library believes to have: it lives in
// memory, belongs to one client for ever, and is never used again. What the library
// reads from it are a request and then the client's messages; what it writes are
// its answer and then messages, which go on to the real connection.
type pipe struct {
	conn    *conn
	limit   int           // of messages that wait
	reading chan struct{} // closed when the library waits for the first message

	mu      sync.Mutex
	changed *sync.Cond // what waits has changed
	in      []byte     // what the library reads next
	queue   [][]byte   // frames for after that
	deaf    bool       // messages are not taken any more
	ended   bool       // the goodbye was queued
	broken  bool       // the library has hung up

	out parser // used by the library's one writer at a time
}

// handshake is the request that makes the library begin.
const handshake = "GET / HTTP/1.1\r\nHost: pipe\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

func newPipe(k *conn, limit int) *pipe {
	p := &pipe{conn: k, limit: limit, in: []byte(handshake), reading: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// feed gives the library a copy of a message. It waits while too many wait.
func (p *pipe) feed(m transport.Message) {
	op := wsframe.Text
	if m.Binary {
		op = wsframe.Binary
	}
	f := frame(op, m.Data)
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) >= p.limit && !p.deaf {
		p.changed.Wait()
	}
	if !p.deaf {
		p.queue = append(p.queue, f)
		p.changed.Broadcast()
	}
}

// drop forgets what waits, and takes no more.
func (p *pipe) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = true
	if !p.ended {
		p.queue = nil
	}
	p.changed.Broadcast()
}

// hangUp says goodbye to the library, after what waits.
func (p *pipe) hangUp(code uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.deaf, p.ended = true, true
		p.queue = append(p.queue, frame(wsframe.Close, binary.BigEndian.AppendUint16(nil, code)))
		p.changed.Broadcast()
	}
}

// frame makes a frame as a client sends it, with a mask of zeros.
func frame(op wsframe.Opcode, data []byte) []byte {
	b := make([]byte, 0, len(data)+wsframe.MaxHeader)
	b = wsframe.AppendHeader(b, wsframe.Header{Fin: true, Op: op, Masked: true, Length: uint64(len(data))})
	return append(b, data...)
}

// Read gives the library what comes next, and waits for it.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.in) == 0 {
		select {
		case <-p.reading:
		default:
			close(p.reading)
		}
		switch {
		case p.broken:
			return 0, net.ErrClosed
		case len(p.queue) > 0:
			p.in, p.queue[0] = p.queue[0], nil
			p.queue = p.queue[1:]
			if len(p.queue) == 0 {
				p.queue = nil
			}
			p.changed.Broadcast()
		case p.ended:
			return 0, io.EOF
		default:
			p.changed.Wait()
		}
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

// Write takes what the library writes. It never waits.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	broken := p.broken
	p.mu.Unlock()
	if broken {
		return 0, net.ErrClosed
	}
	for _, m := range p.out.add(b) {
		switch m.op {
		case wsframe.Text, wsframe.Binary:
			_ = p.conn.Send(0, transport.Message{Binary: m.op == wsframe.Binary, Data: m.data}) // a client that has gone, or is too slow, is the transport's affair
		case wsframe.Close:
			p.conn.Close(transport.ForcedClose)
		}
	}
	return len(b), nil
}

// Close lets go of whoever waits.
func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf, p.broken = true, true
	p.in, p.queue = nil, nil
	p.changed.Broadcast()
	return nil
}

// The rest of net.Conn. There are no deadlines: the real connection has them, and
// nothing here waits for a network.

func (p *pipe) LocalAddr() net.Addr              { return pipeAddr{} }
func (p *pipe) RemoteAddr() net.Addr             { return pipeAddr{} }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "memory" }
func (pipeAddr) String() string  { return "pipe" }

// parser takes apart what a server writes: an HTTP answer, then frames.
type parser struct {
	answered bool
	rest     []byte
	op       wsframe.Opcode // of the message whose fragments are in joined
	joined   []byte
}

// written is a message or a control frame.
type written struct {
	op   wsframe.Opcode
	data []byte
}

// add returns what b completes. The data is new memory.
func (r *parser) add(b []byte) (all []written) {
	r.rest = append(r.rest, b...)
	if !r.answered {
		end := bytes.Index(r.rest, []byte("\r\n\r\n"))
		if end < 0 {
			return nil
		}
		r.rest, r.answered = r.rest[end+4:], true
	}
	for {
		h, n, err := wsframe.ParseHeader(r.rest)
		if err != nil || n == 0 || uint64(len(r.rest)-n) < h.Length {
			if len(r.rest) == 0 {
				r.rest = nil
			}
			return all
		}
		payload := bytes.Clone(r.rest[n : n+int(h.Length)])
		r.rest = r.rest[n+int(h.Length):]
		switch {
		case h.Op >= wsframe.Close:
			all = append(all, written{h.Op, payload})
		case h.Fin && h.Op != wsframe.Continuation:
			all = append(all, written{h.Op, payload})
		default:
			if h.Op != wsframe.Continuation {
				r.op, r.joined = h.Op, nil
			}
			if r.joined = append(r.joined, payload...); h.Fin {
				all = append(all, written{r.op, r.joined})
				r.joined = nil
			}
		}
	}
}
