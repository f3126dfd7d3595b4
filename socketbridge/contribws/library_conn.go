package contribws

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// pipe is the network connection that the library believes to have: it lives in
// memory, belongs to one client for ever, and is never used again. What the library
// reads from it is a request, and then the one message that ends its reader (see
// tricks.go); what it writes are its answer, and then messages, which go on to the
// real connection. Nothing here waits.
type pipe struct {
	conn  *conn
	in    [][]byte      // what is to be read; one goroutine reads at a time
	out   parser        // one goroutine writes at a time
	begun chan struct{} // closed when the library writes frames: it has called the listeners of "connect"
	once  sync.Once

	// goodbye is what the next pong that is written fails with.
	goodbye atomic.Pointer[websocket.CloseError]
}

// handshake is the request that makes the library begin.
const handshake = "GET / HTTP/1.1\r\nHost: pipe\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

func newPipe(k *conn) *pipe {
	return &pipe{
		conn:  k,
		in:    [][]byte{[]byte(handshake), frame(wsframe.Text, readerEnd)},
		begun: make(chan struct{}),
	}
}

// frame makes a frame as a client sends it, with a mask of zeros.
func frame(op wsframe.Opcode, data string) []byte {
	b := wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: op, Masked: true, Length: uint64(len(data))})
	return append(b, data...)
}

// Read gives the library what comes next: the request alone, then the message.
func (p *pipe) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.in[0])
	if p.in[0] = p.in[0][n:]; len(p.in[0]) == 0 {
		p.in = p.in[1:]
	}
	return n, nil
}

// Write takes what the library writes. What cannot be sent is the transport's
// affair: it closes clients that are too slow.
func (p *pipe) Write(b []byte) (int, error) {
	all, err := p.out.add(b)
	for _, m := range all {
		switch m.op {
		case wsframe.Text, wsframe.Binary:
			_ = p.conn.Send(0, transport.Message{Binary: m.op == wsframe.Binary, Data: m.data})
		case wsframe.Close:
			p.conn.Close(transport.ForcedClose)
		case wsframe.Pong:
			p.once.Do(func() { close(p.begun) })
			if e := p.goodbye.Load(); e != nil {
				return 0, e
			}
		}
	}
	if err != nil {
		p.conn.Close(transport.TransportError)
		return 0, err
	}
	return len(b), nil
}

// Close ends the real connection.
func (p *pipe) Close() error {
	p.conn.Close(transport.ForcedClose)
	return nil
}

// The rest of net.Conn. There are no deadlines: the real connection has them.

func (p *pipe) LocalAddr() net.Addr { return &net.TCPAddr{} }
func (p *pipe) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(p.conn.Handshake().RemoteIP)}
}
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
