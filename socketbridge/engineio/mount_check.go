package engineio

import (
	"runtime"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// inFront describes the middlewares of Fiber that break the server if they run before it. The
// server is behind them, so what they refuse or answer themselves it never sees. But it can see
// that they called it.
var inFront = []struct{ function, warning string }{
	{"github.com/gofiber/fiber/v2/middleware/timeout.New.", "timeout.New runs before the handler, on another goroutine: after the timeout, " +
		"an answer for one visitor can be sent to another; mount the handler before it, or use timeout.NewWithContext"},
	{"github.com/gofiber/fiber/v2/middleware/cache.New.", "the cache middleware runs before the handler: a cached handshake gives several visitors the same connection; " +
		"mount the handler before it, or exclude its path with Next"},
}

// checkMount logs what can be seen, at the first request, to be mounted wrongly.
func (s *Server) checkMount() {
	var pcs [128]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	var stack []string
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		stack = append(stack, frame.Function)
	}
	for _, m := range inFront {
		for _, function := range stack {
			if strings.HasPrefix(function, m.function) {
				s.notices.Report(&mountNotice, m.function, "cause", m.warning)
				break
			}
		}
	}
}

// checkPath logs, once, a request of a client for another path than the server's that ends
// alike: the handler is in a group or a mounted app, or a proxy keeps a prefix.
func (s *Server) checkPath(c *fiber.Ctx) {
	p, path := c.Path(), s.cfg.Path
	if !strings.HasSuffix(p, path) && !strings.HasSuffix(p, path[:len(path)-1]) || !c.Context().QueryArgs().Has("EIO") {
		return
	}
	prefix := strings.TrimSuffix(strings.TrimSuffix(p, path), path[:len(path)-1])
	s.notices.Report(&otherPathNotice, "", "asked", notice.Text(p), "path", path, "set", notice.Text(prefix+path))
}

// checkHeaderSize logs, once, that a handshake's header nearly fills the buffer that Fiber has
// for it. Fiber answers a larger one with 431, and no handler is told. Cookies grow.
func (s *Server) checkHeaderSize(c *fiber.Ctx) {
	size, limit := len(c.Request().Header.RawHeaders())+len(c.Request().RequestURI()), c.App().Config().ReadBufferSize
	if size < limit*3/4 {
		return
	}
	s.notices.Report(&headerSizeNotice, "", "bytes", size, "ReadBufferSize", limit)
}
