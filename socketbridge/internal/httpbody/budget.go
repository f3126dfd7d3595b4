package httpbody

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Prefetched is how much of a body with a Content-Length fasthttp reads before it calls the
// handler. A body of this size costs nothing more and is not counted.
const Prefetched = 8 << 10

// firstSize is the size of the first buffer for a larger body. It doubles when it is full.
const firstSize = 32 << 10

// Errors of Budget.Read. All others are those of the network and of fasthttp.
var (
	ErrTooLarge = errors.New("httpbody: the body is larger than the limit")
	ErrFull     = errors.New("httpbody: too many bytes of bodies are in memory")
)

// Budget bounds the memory of the request bodies that are in use at the same time. It is safe
// for concurrent use, but each request belongs to one goroutine.
type Budget struct {
	// Max is the limit in bytes. A Read that has begun keeps what it has.
	Max atomic.Int64

	used atomic.Int64
}

// Used returns how many bytes are in use.
func (b *Budget) Used() int64 { return b.used.Load() }

// take counts n more bytes. It returns false, and counts nothing, if they exceed the limit.
func (b *Budget) take(n int) bool {
	if b.used.Add(int64(n)) > b.Max.Load() {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

// Body is a request body that was read.
type Body struct {
	Bytes []byte // valid until Release, and until the request ends

	budget *Budget
	taken  int
}

// Release gives the body's bytes back to the budget. It may be called more than once.
func (b *Body) Release() {
	if b.taken > 0 {
		b.budget.used.Add(-int64(b.taken))
	}
	*b = Body{}
}

// Read returns a request's body of at most limit bytes. Afterwards it is the request's Body,
// so that other handlers can read it too. The caller must call Release when nothing uses the
// bytes any more. Read returns ErrTooLarge or ErrFull without having read the rest.
func (b *Budget) Read(ctx *fasthttp.RequestCtx, limit int) (Body, error) {
	req := &ctx.Request
	size := req.Header.ContentLength() // -1 for chunks
	if size > limit {
		return Body{}, ErrTooLarge
	}
	if !req.IsBodyStream() || size >= 0 && size <= Prefetched {
		body := req.Body()
		if len(body) > limit {
			return Body{}, ErrTooLarge
		}
		return Body{Bytes: body}, nil
	}
	body := Body{budget: b}
	var err error
	if size >= 0 {
		err = body.fill(req.BodyStream(), size)
		if err == nil && len(body.Bytes) < size {
			err = io.ErrUnexpectedEOF
		}
	} else {
		err = body.fill(req.BodyStream(), limit+1) // one more than allowed tells that there is more
		if err == nil && len(body.Bytes) > limit {
			err = ErrTooLarge
		}
	}
	if err != nil {
		body.Release()
		return Body{}, err
	}
	req.SetBodyRaw(body.Bytes) // also gives the stream back
	return body, nil
}

// fill reads up to size bytes. A buffer is counted before it is allocated.
func (b *Body) fill(from io.Reader, size int) error {
	for {
		if n := len(b.Bytes); n == cap(b.Bytes) {
			if n == size {
				return nil
			}
			larger := min(max(2*n, firstSize), size)
			if !b.budget.take(larger - b.taken) {
				return ErrFull
			}
			b.taken = larger
			b.Bytes = append(make([]byte, 0, larger), b.Bytes...)
		}
		n, err := from.Read(b.Bytes[len(b.Bytes):cap(b.Bytes)])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// Unread reports whether a part of a request's body may still be on the connection, so that it
// must be closed after the response. Nothing is left of a body that Read returned.
func Unread(req *fasthttp.Request) bool {
	size := req.Header.ContentLength()
	return req.IsBodyStream() && (size < 0 || size > Prefetched)
}
