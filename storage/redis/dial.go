package redis

import (
	"context"
	"net"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// dialHook makes attempts to connect that fail look like connections that do not
// work. go-redis counts failed attempts, and after some of them tries only once a
// second, on a goroutine that outlives Close; a server that is back would be found
// late. It also keeps what happened apart from errors of a request that was sent.
type dialHook struct{}

func (dialHook) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return &unconnected{&dialError{err}}, nil
		}
		return conn, nil
	}
}

func (dialHook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

func (dialHook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// dialError says that there was no connection, and so that nothing was sent. It
// unwraps as a list, since go-redis peels one layer off single ones.
type dialError struct{ err error }

func (e *dialError) Error() string   { return e.err.Error() }
func (e *dialError) Unwrap() []error { return []error{e.err} }

// unconnected is a net.Conn on which everything fails.
type unconnected struct{ err error }

func (c *unconnected) Read([]byte) (int, error)         { return 0, c.err }
func (c *unconnected) Write([]byte) (int, error)        { return 0, c.err }
func (c *unconnected) Close() error                     { return nil }
func (c *unconnected) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *unconnected) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *unconnected) SetDeadline(time.Time) error      { return nil }
func (c *unconnected) SetReadDeadline(time.Time) error  { return nil }
func (c *unconnected) SetWriteDeadline(time.Time) error { return nil }

// SyscallConn fails too: by it go-redis' pool sees that the connection is no good.
func (c *unconnected) SyscallConn() (syscall.RawConn, error) { return nil, c.err }
