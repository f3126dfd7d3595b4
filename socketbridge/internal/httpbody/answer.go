package httpbody

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// chunkSize is what a client has to take within the timeout, again and again. Buffers of the
// kernel and of fasthttp make it a little more.
const chunkSize = 16 << 10

// Send makes body the response's body. The response keeps it, so it must not change any more.
// fasthttp's pools do not keep it. A client that does not take 16 KiB, or all of a smaller
// body, within timeout loses its connection, which frees the body. The app's WriteTimeout does
// not apply. onCut is called when that happens within a larger body; it can be nil.
//
// A middleware in front that replaces the response's body also takes the renewal of the timeout
// from it: timeout is then for the whole body.
func Send(ctx *fasthttp.RequestCtx, body []byte, timeout time.Duration, onCut func()) {
	extendDeadline(ctx, timeout)
	if len(body) <= chunkSize {
		ctx.Response.SetBodyRaw(body)
		return
	}
	ctx.Response.SetBodyStream(&answer{body: body, ctx: ctx, timeout: timeout, onCut: onCut}, len(body))
}

// Bound does what Send does for a response that has its body, by SetBodyRaw or fiber.Ctx.Send
// if it is larger than 16 KiB.
func Bound(ctx *fasthttp.RequestCtx, timeout time.Duration) {
	if body := ctx.Response.Body(); len(body) > chunkSize {
		Send(ctx, body, timeout, nil)
	} else {
		extendDeadline(ctx, timeout)
	}
}

// answer is a response body with a deadline for each of its chunks. fasthttp ends the deadline
// with the response.
type answer struct {
	body    []byte
	taken   int
	ctx     *fasthttp.RequestCtx
	timeout time.Duration
	onCut   func()
}

// Read implements io.Reader, for middlewares that read the response.
func (a *answer) Read(p []byte) (int, error) {
	if a.taken == len(a.body) {
		return 0, io.EOF
	}
	n := copy(p, a.body[a.taken:])
	a.taken += n
	return n, nil
}

// WriteTo implements io.WriterTo. fasthttp calls it when it writes the response.
func (a *answer) WriteTo(w io.Writer) (int64, error) {
	from := a.taken
	for a.taken < len(a.body) {
		extendDeadline(a.ctx, a.timeout)
		n, err := w.Write(a.body[a.taken:min(len(a.body), a.taken+chunkSize)])
		a.taken += n
		if err != nil {
			if a.onCut != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				a.onCut()
			}
			return int64(a.taken - from), err
		}
	}
	return int64(a.taken - from), nil
}

// extendDeadline gives the client timeout more. A request of Fiber's adaptor for net/http has no
// connection, which shows in its address; the deadlines of net/http apply to it.
func extendDeadline(ctx *fasthttp.RequestCtx, timeout time.Duration) {
	if tcp, ok := ctx.LocalAddr().(*net.TCPAddr); ok && tcp.Port == 0 {
		return
	}
	_ = ctx.SetWriteDeadline(time.Now().Add(timeout)) // an error means a closed connection, as the write finds out
}
