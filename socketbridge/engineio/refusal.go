package engineio

import (
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// Refusal describes an HTTP request that the server refused. It holds nothing that grants
// access: no cookie, no connection ID and no other query parameter. Its strings are copies,
// of 256 bytes at most; the client chooses those of the request.
type Refusal struct {
	Code    int    // of the protocol, 0 to 5: see Error
	Message string // that the client was sent
	Status  int    // of the response

	Method    string
	Path      string
	Transport string // the query parameter "transport"
	Protocol  string // the query parameter "EIO"
	Existing  bool   // the request named a connection; false for a handshake
	Origin    string
	UserAgent string
	RemoteIP  string
}

// refusalHooks are the handlers of OnRefused.
type refusalHooks struct {
	mu  sync.RWMutex
	fns []func(Refusal) // replaced, never modified in place
}

type refusalKey struct{}

// OnRefused adds a handler for requests that the server refuses: with an error of the
// protocol, because of the origin or a limit, or because Hooks.Lift refused the connection
// (connection_error of the reference server). It is not called for requests that a middleware
// of Use answered itself. It runs on the goroutine of the request, before the response is
// sent, so it must not block, and can run several times at once. It panics if fn is nil.
func (s *Server) OnRefused(fn func(r Refusal)) {
	if fn == nil {
		panic("engineio: OnRefused needs a function, not nil")
	}
	h := &s.refusals
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fns = append(h.fns[:len(h.fns):len(h.fns)], fn)
}

// reportRefusal reports the request, and calls the handlers of OnRefused, if sendError has
// answered it. It returns err.
func (s *Server) reportRefusal(c *fiber.Ctx, err error) error {
	e, refused := c.Locals(refusalKey{}).(*Error)
	if !refused {
		return err
	}
	s.noticeRefusal(c, e)
	s.refusals.mu.RLock()
	fns := s.refusals.fns
	s.refusals.mu.RUnlock()
	if len(fns) == 0 {
		return err
	}
	r := Refusal{
		Code: e.Code, Message: e.Message, Status: e.Status(),
		Method: excerpt(c.Method()), Path: excerpt(c.Path()),
		Transport: excerpt(c.Query("transport")), Protocol: excerpt(c.Query("EIO")), Existing: c.Query("sid") != "",
		Origin: excerpt(c.Get(fiber.HeaderOrigin)), UserAgent: excerpt(c.Get(fiber.HeaderUserAgent)), RemoteIP: excerpt(s.RemoteIP(c)),
	}
	for _, fn := range fns {
		s.callRefusalHook(fn, r)
	}
	return err
}

func (s *Server) callRefusalHook(fn func(Refusal), r Refusal) {
	defer func() {
		if v := recover(); v != nil {
			s.notices.Report(&hookPanicNotice, "", notice.Panic(v)...)
		}
	}()
	fn(r)
}

// excerpt returns a copy of the first 256 bytes of a text of the request.
func excerpt(text string) string { return strings.Clone(text[:min(len(text), 256)]) }
