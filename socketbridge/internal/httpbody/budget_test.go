package httpbody_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/httpbody"
)

func budget(max int64) *httpbody.Budget {
	b := new(httpbody.Budget)
	b.Max.Store(max)
	return b
}

// read is the result of one Budget.Read.
type read struct {
	body string
	used int64
	err  error
}

// serve runs a server that streams bodies and reads them with b. dial opens a connection.
func serve(t *testing.T, b *httpbody.Budget, limit int) (dial func() net.Conn, reads chan read) {
	ln := fasthttputil.NewInmemoryListener()
	reads = make(chan read, 10)
	s := &fasthttp.Server{StreamRequestBody: true, DisablePreParseMultipartForm: true, Logger: log.New(io.Discard, "", 0), Handler: func(ctx *fasthttp.RequestCtx) {
		body, err := b.Read(ctx, limit)
		if err != nil {
			ctx.SetConnectionClose()
		} else if string(body.Bytes) != string(ctx.Request.Body()) {
			t.Error("the request has another body")
		}
		r := read{string(body.Bytes), b.Used(), err}
		body.Release()
		body.Release()
		reads <- r
	}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }() // the cleanup waits for it
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(), <-served); err != nil {
			t.Error(err)
		}
		if b.Used() != 0 {
			t.Errorf("%d bytes are in use at the end", b.Used())
		}
	})
	return func() net.Conn {
		nc, err := ln.Dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}, reads
}

func sized(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", n)
}

const chunkedHeader = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

func chunks(sizes ...int) string {
	var b strings.Builder
	for _, n := range sizes {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, strings.Repeat("x", n))
	}
	return b.String()
}

// Row 63: bodies of every size and form are read exactly, up to the limit.
func TestBudget_Read(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	for name, tt := range map[string]struct {
		send string
		size int
		err  error
	}{
		"empty":                        {sized(0), 0, nil},
		"small":                        {sized(5) + "xxxxx", 5, nil},
		"read ahead":                   {sized(8192) + strings.Repeat("x", 8192), 8192, nil},
		"one more":                     {sized(8193) + strings.Repeat("x", 8193), 8193, nil},
		"several buffers":              {sized(99_999) + strings.Repeat("x", 99_999), 99_999, nil},
		"at the limit":                 {sized(limit) + strings.Repeat("x", limit), limit, nil},
		"over the limit":               {sized(limit+1) + strings.Repeat("x", 8192), 0, httpbody.ErrTooLarge},
		"no chunks":                    {chunkedHeader + "0\r\n\r\n", 0, nil},
		"chunks":                       {chunkedHeader + chunks(5, 10_000, 50_000) + "0\r\n\r\n", 60_005, nil},
		"chunks at the limit":          {chunkedHeader + chunks(limit-1, 1) + "0\r\n\r\n", limit, nil},
		"chunks over the limit":        {chunkedHeader + chunks(limit, 1) + "0\r\n\r\n", 0, httpbody.ErrTooLarge},
		"a chunk that is not finished": {chunkedHeader + chunks(5) + "5\r\nxx", 0, io.ErrUnexpectedEOF},
		"no last chunk":                {chunkedHeader + chunks(5, 20_000), 0, io.ErrUnexpectedEOF},
		"no chunk at all":              {chunkedHeader, 0, io.ErrUnexpectedEOF},
		"cut off":                      {sized(50_000) + strings.Repeat("x", 20_000), 0, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dial, reads := serve(t, budget(1<<20), limit)
			nc := dial()
			go func() { // ends when the connection is closed
				_, _ = io.WriteString(nc, tt.send)
				if errors.Is(tt.err, io.ErrUnexpectedEOF) {
					_ = nc.Close()
				}
			}()
			r := <-reads
			if !errors.Is(r.err, tt.err) || r.body != strings.Repeat("x", tt.size) {
				t.Errorf("got %d bytes, %v, want %d, %v", len(r.body), r.err, tt.size, tt.err)
			}
		})
	}
}

// Row 65: after a body that was read, the connection goes on with the next request.
func TestBudget_NextRequest(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a length": sized(20_000) + strings.Repeat("x", 20_000),
		"chunks":   chunkedHeader + chunks(20_000) + "0\r\n\r\n",
	} {
		dial, reads := serve(t, budget(1<<20), 1<<20)
		nc := dial()
		go func() { _, _ = io.WriteString(nc, body+sized(2)+"ab") }() // ends with the connection
		if r := <-reads; len(r.body) != 20_000 {
			t.Errorf("%s: %d bytes, %v", name, len(r.body), r.err)
		}
		if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.Close {
			t.Errorf("%s: %v, %+v", name, err, res)
		}
		if r := <-reads; r.body != "ab" {
			t.Errorf("%s: the next request has the body %q, %v", name, r.body, r.err)
		}
	}
}

// Row 63: bytes are counted before they are allocated, and nothing is allocated for bytes that
// have not arrived.
func TestBudget_CountsWhatArrives(t *testing.T) {
	t.Parallel()
	b := budget(100 << 10)
	dial, reads := serve(t, b, 1<<20)
	first := dial()
	_, _ = io.WriteString(first, sized(60_000)+strings.Repeat("x", 8200)) // an InmemoryListener's connection takes all at once
	for b.Used() == 0 {
		select {
		case r := <-reads:
			t.Fatalf("the body was read: %d, %v", len(r.body), r.err)
		default:
		}
	}
	if b.Used() != 32<<10 {
		t.Errorf("%d bytes are counted for 8,200", b.Used())
	}
	second := dial() // fits until it grows to 128 KiB
	_, _ = io.WriteString(second, sized(1<<20)+strings.Repeat("x", 70_000))
	_ = second.Close() // so that the test ends if the body is not refused
	if r := <-reads; !errors.Is(r.err, httpbody.ErrFull) || r.used != 32<<10 {
		t.Errorf("the second body: %d bytes are in use, %v", r.used, r.err)
	}
	_, _ = io.WriteString(first, strings.Repeat("x", 60_000-8200))
	if r := <-reads; r.err != nil || len(r.body) != 60_000 || r.used != 60_000 {
		t.Errorf("the first body: %d bytes, %d in use, %v", len(r.body), r.used, r.err)
	}
}

// Row 65: requests whose end servers can see at different places.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a\r\n":                                                                          false,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n":                                                    false,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n":                                           false,
		"POST / HTTP/1.1\r\nHost: a\r\nX: Content-Length: 2\r\nTransfer-Encoding: chunked\r\n":                   false,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n":                      true,
		"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\nCONTENT-LENGTH: 2\r\n":                      true,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n":                     true,
		"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n":                                                    false,
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: identity\r\nConnection: close\r\n": true,
	} {
		var h fasthttp.RequestHeader
		if err := h.Read(bufio.NewReader(strings.NewReader(request + "\r\n"))); err != nil {
			t.Errorf("%q: %v", request, err)
			continue
		}
		if got := httpbody.Ambiguous(&h); got != want {
			t.Errorf("%q: Ambiguous is %v", request, got)
		}
	}
}
