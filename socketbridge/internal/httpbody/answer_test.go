package httpbody_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/httpbody"
)

const timeout = 10 * time.Second

// The first response starts a goroutine of fasthttp that never ends. It must not be in a bubble.
func init() {
	var r fasthttp.Response
	_ = r.Write(bufio.NewWriter(io.Discard))
}

// send writes a response with body to a client that read runs. It returns the error of the
// write, how long it took, and how often the client was reported.
func send(body []byte, read func(net.Conn)) (took time.Duration, cut int, err error) {
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); read(client) }()
	ctx := &fasthttp.RequestCtx{}
	ctx.Init2(server, nil, false)
	httpbody.Send(ctx, body, timeout, func() { cut++ })
	start := time.Now()
	w := bufio.NewWriter(server)
	if err = ctx.Response.Write(w); err == nil {
		err = w.Flush()
	}
	took = time.Since(start)
	server.Close()
	<-done
	return took, cut, err
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Row 64: a client that takes 16 KiB within the timeout gets all of it, however long that takes.
func TestAnswer_SlowReader(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 100, 4000, 200_000} {
		synctest.Test(t, func(t *testing.T) {
			body, got := random(size), []byte(nil)
			took, cut, err := send(body, func(nc net.Conn) {
				for b := make([]byte, 20<<10); ; { // fasthttp's own buffer comes on top of 16 KiB
					n, err := io.ReadFull(nc, b)
					if got = append(got, b[:n]...); err != nil {
						return
					}
					time.Sleep(timeout - time.Second)
				}
			})
			if err != nil || cut != 0 || !bytes.HasSuffix(got, append([]byte("\r\n\r\n"), body...)) {
				t.Errorf("%d bytes: %v, reported %d times, the client got %d bytes", size, err, cut, len(got))
			}
			if size == 200_000 && took < 8*timeout {
				t.Errorf("the client was not slow: %v", took)
			}
		})
	}
}

// Row 64: a client that takes nothing is cut off after the timeout, wherever it stops.
func TestAnswer_NotRead(t *testing.T) {
	t.Parallel()
	for _, stop := range []int{0, 10, 300, 5000, 150_000} {
		synctest.Test(t, func(t *testing.T) {
			took, cut, err := send(random(200_000), func(nc net.Conn) { _, _ = io.ReadFull(nc, make([]byte, stop)) })
			if !errors.Is(err, os.ErrDeadlineExceeded) || cut != 1 || took < timeout || took > 2*timeout {
				t.Errorf("after %d bytes: %v in %v, reported %d times", stop, err, took, cut)
			}
		})
	}
}

// A client that leaves is not one that reads slowly.
func TestAnswer_ClientLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, cut, err := send(random(200_000), func(nc net.Conn) {
			_, _ = io.ReadFull(nc, make([]byte, 100_000))
			nc.Close()
		})
		if err == nil || cut != 0 {
			t.Errorf("%v, reported %d times", err, cut)
		}
	})
}

// Middlewares can read the response, in pieces or at once.
func TestAnswer_ReadByMiddlewares(t *testing.T) {
	t.Parallel()
	body := random(100_000)
	ctx := &fasthttp.RequestCtx{}
	httpbody.Send(ctx, body, timeout, nil)
	if got, err := io.ReadAll(io.LimitReader(ctx.Response.BodyStream(), 5)); err != nil || !bytes.Equal(got, body[:5]) {
		t.Errorf("got %q, %v", got, err)
	}
	if got := ctx.Response.Body(); !bytes.Equal(got, body[5:]) {
		t.Errorf("got %d bytes", len(got))
	}
	ctx.Response.SetBody(body)
	httpbody.Bound(ctx, timeout)
	if !ctx.Response.IsBodyStream() || !bytes.Equal(ctx.Response.Body(), body) {
		t.Error("Bound has lost the body")
	}
	ctx.Response.ResetBody()
	if httpbody.Bound(ctx, timeout); ctx.Response.IsBodyStream() {
		t.Error("Bound has made an empty body a stream")
	}
}

// A request that is not of a connection, as those of Fiber's adaptor for net/http, has no
// deadline.
func TestAnswer_WithoutAConnection(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 100_000} {
		ctx := &fasthttp.RequestCtx{}
		ctx.Init(&fasthttp.Request{}, nil, nil)
		body := random(size)
		httpbody.Send(ctx, body, timeout, nil)
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := errors.Join(ctx.Response.Write(w), w.Flush()); err != nil || !bytes.HasSuffix(out.Bytes(), body) {
			t.Errorf("%d bytes: %v, wrote %d bytes", size, err, out.Len())
		}
	}
}
