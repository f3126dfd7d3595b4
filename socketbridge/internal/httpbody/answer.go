package httpbody

import (
	"bufio"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// At most this is written with one deadline. TLS cannot go on after a write that was cut by its
// deadline, so there each record has a deadline of its own.
const (
	chunkSize    = 64 << 10
	chunkSizeTLS = 16 << 10
)

// Answer is a response body. Its client has to take some of it within a timeout, again and
// again. If it does not, the write fails and fasthttp closes the connection, which frees the
// body. A slow client that takes bytes is not cut off; the header counts as one piece. What the app sets as WriteTimeout does
// not apply to it.
type Answer struct {
	body    []byte
	taken   int
	conn    net.Conn
	tls     bool
	timeout time.Duration
	onCut   func()
}

// Send makes body the response's body. The response keeps it, so it must not change any more.
// fasthttp's pools do not keep it. onCut is called when the client took nothing for timeout;
// it can be nil.
//
// A middleware in front that reads the response's body replaces it, and the timeout does not
// apply.
func Send(ctx *fasthttp.RequestCtx, body []byte, timeout time.Duration, onCut func()) {
	ctx.Response.SetBodyStream(&Answer{body: body, conn: ctx.Conn(), tls: ctx.IsTLS(), timeout: timeout, onCut: onCut}, len(body))
}

// Bound does for a response that has its body what Send does. Compressing middlewares in front
// still see a body.
func Bound(ctx *fasthttp.RequestCtx, timeout time.Duration) {
	if body := ctx.Response.Body(); len(body) > 0 {
		Send(ctx, body, timeout, nil)
	}
}

// Read implements io.Reader, for middlewares that read the response.
func (a *Answer) Read(p []byte) (int, error) {
	if a.taken == len(a.body) {
		return 0, io.EOF
	}
	n := copy(p, a.body[a.taken:])
	a.taken += n
	return n, nil
}

// WriteTo implements io.WriterTo. fasthttp calls it with the buffer of the connection.
func (a *Answer) WriteTo(w io.Writer) (int64, error) {
	from := a.taken
	buffer, onConn := w.(*bufio.Writer)
	if !onConn {
		n, err := w.Write(a.body[a.taken:])
		a.taken += n
		return int64(n), err
	}
	err := a.write(buffer)
	if err == nil {
		// The deadline must not apply to the next response.
		err = a.conn.SetWriteDeadline(time.Time{})
	} else if a.onCut != nil && isTimeout(err) {
		a.onCut()
	}
	return int64(a.taken - from), err
}

// write writes the header, which is in the buffer, and the body. Nothing is left in the
// buffer, because it would be written without the deadline.
func (a *Answer) write(buffer *bufio.Writer) error {
	if err := a.extendDeadline(); err != nil {
		return err
	}
	if rest := a.body[a.taken:]; len(rest) <= buffer.Available() { // one system call for both
		n, _ := buffer.Write(rest)
		a.taken += n
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	chunk := chunkSize
	if a.tls {
		chunk = chunkSizeTLS
	}
	for a.taken < len(a.body) {
		if err := a.extendDeadline(); err != nil {
			return err
		}
		n, err := a.conn.Write(a.body[a.taken:min(len(a.body), a.taken+chunk)])
		a.taken += n
		if err != nil && (n == 0 || !isTimeout(err) || a.tls) {
			return err
		}
	}
	return nil
}

func (a *Answer) extendDeadline() error { return a.conn.SetWriteDeadline(time.Now().Add(a.timeout)) }

// isTimeout reports whether err is that of an expired deadline.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
