package engineio

import (
	"net"
	"time"
)

// detach takes a hijacked connection out of fasthttp's hands: it returns another
// descriptor of the same TCP connection, and what fasthttp has read of it beyond
// the request. The hijack handler may then return, and with it go the goroutine,
// the read buffer and the request's memory, of 8 KB together, which fasthttp would
// hold for as long as the WebSocket lives. It returns nil for what is no bare TCP
// connection: TLS, the wrapper of a listener.
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
	defer f.Close()
	if own, err = net.FileConn(f); err != nil { // there is none on Windows
		return nil, nil
	}
	return own, unread(hijacked)
}

// unread returns what is in the buffer of nc: with a deadline that has passed, the
// network is not asked.
func unread(nc net.Conn) (early []byte) {
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
