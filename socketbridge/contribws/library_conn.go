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

// libraryConn is the net.Conn that the library serves. It exists in memory only, belongs to
// one client and is never reused. The library reads a handshake request from it, and then
// the one message that ends its reader (see library_listeners.go). It writes a response, and
// then messages, which are sent on the real connection. No call on it blocks.
type libraryConn struct {
	conn      *conn
	in        [][]byte      // what is to be read; one goroutine reads at a time
	out       libraryParser // one goroutine writes at a time
	connected chan struct{} // closed at the first pong: the listeners of "connect" have returned
	once      sync.Once     // closes connected

	// pongError, if set, is the error of the write of the next pong.
	pongError atomic.Pointer[websocket.CloseError]
}

// libraryRequest is the handshake request that the library reads.
const libraryRequest = "GET / HTTP/1.1\r\nHost: pipe\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

func newLibraryConn(k *conn) *libraryConn {
	return &libraryConn{
		conn:      k,
		in:        [][]byte{[]byte(libraryRequest), clientFrame(wsframe.Text, stopReader)},
		connected: make(chan struct{}),
	}
}

// clientFrame returns a frame as a client sends it, with a mask of zeros.
func clientFrame(op wsframe.Opcode, data string) []byte {
	b := wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: op, Masked: true, Length: uint64(len(data))})
	return append(b, data...)
}

// Read returns the request, and then the message. It never returns parts of both at once.
func (p *libraryConn) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.in[0])
	if p.in[0] = p.in[0][n:]; len(p.in[0]) == 0 {
		p.in = p.in[1:]
	}
	return n, nil
}

// Write sends the messages that the library writes. It ignores errors of Send: the transport
// closes a client that is too slow.
func (p *libraryConn) Write(b []byte) (int, error) {
	all, err := p.out.add(b)
	for _, m := range all {
		switch m.op {
		case wsframe.Text, wsframe.Binary:
			_ = p.conn.Send(0, transport.Message{Binary: m.op == wsframe.Binary, Data: m.data})
		case wsframe.Close:
			p.conn.Close(transport.ForcedClose)
		case wsframe.Pong:
			p.once.Do(func() { close(p.connected) })
			if e := p.pongError.Load(); e != nil {
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
func (p *libraryConn) Close() error {
	p.conn.Close(transport.ForcedClose)
	return nil
}

// LocalAddr returns an empty address.
func (p *libraryConn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr returns the client's address.
func (p *libraryConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(p.conn.Handshake().RemoteIP)}
}

// The deadlines are those of the real connection.

func (p *libraryConn) SetDeadline(time.Time) error      { return nil }
func (p *libraryConn) SetReadDeadline(time.Time) error  { return nil }
func (p *libraryConn) SetWriteDeadline(time.Time) error { return nil }
