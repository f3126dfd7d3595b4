package engineio

import (
	"io"
	"net"
	"os"
	"time"
)

// stream is what a WebSocket needs of its network connection.
type stream interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// ownTCP is a plain TCP connection that was taken from fasthttp. It has no addresses, unlike a
// net.TCPConn, which takes 400 bytes more.
type ownTCP struct{ *os.File }

// detach takes a hijacked connection away from fasthttp. It returns a new descriptor of the
// same TCP connection, and the bytes that fasthttp has read from it after the request. The
// hijack handler can then return, which frees its goroutine, the read buffer and the
// request: 8 KB together, which fasthttp would otherwise hold as long as the WebSocket is
// open. detach returns nil for a connection that is not plain TCP: TLS, or one that a
// listener wraps.
func detach(hijacked net.Conn) (own stream, early []byte) {
	u, ok := hijacked.(interface{ UnsafeConn() net.Conn })
	if !ok {
		return nil, nil
	}
	tcp, ok := u.UnsafeConn().(*net.TCPConn)
	if !ok {
		return nil, nil
	}
	f, err := tcp.File() // does not wait for reads and writes, either; not supported on Windows
	if err != nil {
		return nil, nil
	}
	return ownTCP{f}, drainBuffer(hijacked)
}

// drainBuffer returns the bytes in nc's read buffer. The expired deadline keeps nc from
// reading from the network.
func drainBuffer(nc net.Conn) (early []byte) {
	_ = nc.SetReadDeadline(time.Unix(1, 0))
	b := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(b)
	for {
		n, err := nc.Read(*b)
		early = append(early, (*b)[:n]...)
		if err != nil {
			return early
		}
	}
}
