package engineio

import (
	"net"
	"time"
)

// detach takes a hijacked connection away from fasthttp. It returns a new descriptor of the
// same TCP connection, and the bytes that fasthttp has read from it after the request. The
// hijack handler can then return, which frees its goroutine, the read buffer and the
// request: 8 KB together, which fasthttp would otherwise hold as long as the WebSocket is
// open. detach returns nil for a connection that is not plain TCP: TLS, or one that a
// listener wraps.
func detach(hijacked net.Conn) (own net.Conn, early []byte) {
	u, ok := hijacked.(interface{ UnsafeConn() net.Conn })
	if !ok {
		return nil, nil
	}
	tcp, ok := u.UnsafeConn().(*net.TCPConn)
	if !ok {
		return nil, nil
	}
	f, err := tcp.File()
	if err != nil {
		return nil, nil
	}
	defer func() { _ = f.Close() }()
	if own, err = net.FileConn(f); err != nil { // not supported on Windows
		return nil, nil
	}
	return own, drainBuffer(hijacked)
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
