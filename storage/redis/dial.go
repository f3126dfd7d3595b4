package redis

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// DialHook registers each connection with the server, and turns a failed dial into a
// connection on which everything fails. go-redis counts failed dials; after some of
// them it dials only once a second, on a goroutine that outlives Close, and so notices
// late that a server is back. The hook also distinguishes dial errors from errors of a
// request that was sent.
func (sv *server) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		generation := sv.generation.Load() // before the name is resolved: it may lead to another server soon
		conn, err := next(ctx, network, addr)
		if err != nil {
			return &failedConn{&dialError{err}}, nil
		}
		return sv.track(conn, generation), nil
	}
}

// dialError means that there was no connection, so nothing was sent. Its Unwrap
// returns a list because go-redis unwraps single errors by one level.
type dialError struct{ err error }

func (e *dialError) Error() string   { return e.err.Error() }
func (e *dialError) Unwrap() []error { return []error{e.err} }

// failedConn is a net.Conn on which every read and write fails.
type failedConn struct{ err error }

func (c *failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c *failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c *failedConn) Close() error                     { return nil }
func (c *failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *failedConn) SetDeadline(time.Time) error      { return nil }
func (c *failedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *failedConn) SetWriteDeadline(time.Time) error { return nil }

// SyscallConn fails so that go-redis' pool discards the connection.
func (c *failedConn) SyscallConn() (syscall.RawConn, error) { return nil, c.err }

// errRetired is the error of the check before a retired connection is used again.
var errRetired = errors.New("redis: the connection leads to a server that refused a request")

// trackedConn is a connection that its server can retire.
type trackedConn struct {
	net.Conn
	server     *server
	generation uint64 // of the server when dialing began
}

// SyscallConn fails if the connection is retired. go-redis' pool calls it each time
// before it uses an idle connection again, and then discards the connection. Requests
// in flight are not disturbed.
func (c *trackedConn) SyscallConn() (syscall.RawConn, error) {
	if c.generation != c.server.generation.Load() {
		return nil, errRetired
	}
	if raw, ok := c.Conn.(syscall.Conn); ok {
		return raw.SyscallConn()
	}
	return uncheckedConn{}, nil
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.server.forget(c)
	return c.Conn.Close()
}

// uncheckedConn is the syscall.RawConn of a TLS connection. The pool looks for unread
// bytes of the socket, which mean nothing on TLS: the check passes without a look.
type uncheckedConn struct{}

func (uncheckedConn) Control(func(uintptr)) error    { return nil }
func (uncheckedConn) Read(func(uintptr) bool) error  { return nil }
func (uncheckedConn) Write(func(uintptr) bool) error { return nil }
