package engineio

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// rawRead reads from a descriptor into a pooled buffer, which it takes only when there is
// something to read. So an idle reader has no buffer, and the first read takes all that has
// arrived.
type rawRead struct {
	conn   syscall.RawConn       // nil if the connection cannot be read this way
	call   func(fd uintptr) bool // read, allocated once
	buf    *[]byte
	n      int
	err    error
	waited bool
}

func (r *rawRead) init(conn syscall.RawConn) { r.conn, r.call = conn, r.read }

// next waits until there is something to read. It returns the buffer, which the caller then
// owns, and the number of bytes, or nil and an error. waited is false if the bytes were there
// at once.
func (r *rawRead) next() (buf *[]byte, n int, waited bool, err error) {
	r.n, r.waited = 0, false
	if err = r.conn.Read(r.call); err == nil {
		err = r.err
	}
	buf, r.buf, r.err = r.buf, nil, nil
	return buf, r.n, r.waited, err
}

func (r *rawRead) read(fd uintptr) bool {
	buf := readBuffers.Get().(*[]byte)
	n, err := readFD(fd, *buf)
	for errors.Is(err, syscall.EINTR) {
		n, err = readFD(fd, *buf)
	}
	if n > 0 {
		r.buf, r.n = buf, n
		return true
	}
	readBuffers.Put(buf)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		r.waited = true
		return false
	case err == nil:
		r.err = io.EOF
	default:
		r.err = os.NewSyscallError("read", err)
	}
	return true
}
