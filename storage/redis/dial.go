package redis

import (
	"context"
	"net"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// dialHook turns a failed dial into a connection on which everything fails. go-redis
// counts failed dials; after some of them it dials only once a second, on a
// goroutine that outlives Close, and so notices late that a server is back. The hook
// also distinguishes dial errors from errors of a request that was sent.
type dialHook struct{}

func (dialHook) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return &failedConn{&dialError{err}}, nil
		}
		return conn, nil
	}
}

func (dialHook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

func (dialHook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
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
