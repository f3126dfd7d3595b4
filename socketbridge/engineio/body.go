package engineio

import (
	"errors"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/httpbody"
)

// minBodies is the least limit on the bytes of request bodies in memory. It allows 67 posts of
// the default MaxPayload. Posts of at most 8 KiB, as nearly all are, do not count.
const minBodies = 64 << 20

// bodyLimits are what LimitBodies has found in the app's configuration.
type bodyLimits struct {
	server   *Server
	next     fasthttp.RequestHandler
	onError  func(*fasthttp.RequestCtx, error) // the app's error handler
	limit    int                               // fiber.Config.BodyLimit
	streamed bool                              // fiber.Config.StreamRequestBody: the app reads its bodies itself
}

// limitedKey is the key of the Local by which a request shows that it has passed LimitBodies.
type limitedKey struct{}

// LimitBodies bounds the memory of request bodies, for all routes of an app. Call it once for
// each app that listens, after fiber.New and before Listen; apps that are mounted into it need
// no call.
//
//	app := fiber.New(fiber.Config{ReadTimeout: 10 * time.Second})
//	io.LimitBodies(app)
//
// Without it, fasthttp allocates what a request's Content-Length announces, up to BodyLimit (4
// MiB by default), before any handler runs. With it:
//
//   - Memory grows with the bytes that arrive.
//   - A post to the server is read only after its origin, session and connection were checked,
//     and only one at a time for each connection.
//   - All bodies over 8 KiB together have at most 64 MiB, or 4 times BodyLimit or 16 times
//     MaxPayload if that is more. A further one is answered with 503.
//   - A request whose end two servers could see at different places is answered with 400, and
//     its connection is closed.
//
// The app's other routes see no difference: their bodies are complete when a handler runs, and
// BodyLimit applies. If fiber.Config.StreamRequestBody is set, the app's routes get the stream
// as before. Their connection is closed after each streamed body over 8 KiB, because Fiber does
// not skip what a route leaves unread.
//
// LimitBodies sets StreamRequestBody, DisablePreParseMultipartForm and the Handler of
// app.Server().
func (s *Server) LimitBodies(app *fiber.App) {
	if app == nil {
		panic("engineio: LimitBodies needs the app, not nil")
	}
	http, cfg := app.Server(), app.Config()
	s.bodies.Max.Store(int64(max(minBodies, 4*cfg.BodyLimit, 16*s.cfg.MaxPayload)))
	l := &bodyLimits{server: s, next: http.Handler, onError: http.ErrorHandler, limit: cfg.BodyLimit, streamed: cfg.StreamRequestBody}
	http.StreamRequestBody = true
	if !l.streamed {
		// Otherwise fasthttp reads forms of any size before a handler runs, 16 MiB of each
		// into memory.
		http.DisablePreParseMultipartForm = true
	}
	http.Handler = l.serve
}

// serve is the handler of the HTTP server, around the app's. Within the app it would be too
// late: Fiber answers some requests before any handler of the app runs.
func (l *bodyLimits) serve(ctx *fasthttp.RequestCtx) {
	req := &ctx.Request
	ctx.SetUserValue(limitedKey{}, true)
	if httpbody.Ambiguous(&req.Header) {
		l.refuse(ctx, errAmbiguous)
		return
	}
	if !req.IsBodyStream() {
		l.next(ctx)
		return
	}
	if req.Header.ContentLength() > l.limit {
		l.refuse(ctx, httpbody.ErrTooLarge)
		return
	}
	if !l.streamed && !l.server.isOwnPath(req.URI().PathOriginal()) {
		body, err := l.server.bodies.Read(ctx, l.limit)
		if err != nil {
			l.refuse(ctx, err)
			return
		}
		defer body.Release()
	}
	l.next(ctx)
	if httpbody.Unread(req) {
		ctx.SetConnectionClose()
	}
}

// refuse answers a request whose body was not read. The app's error handler answers as it does
// for fasthttp's own errors.
func (l *bodyLimits) refuse(ctx *fasthttp.RequestCtx, err error) {
	n := l.server.notices
	switch {
	case err == httpbody.ErrTooLarge:
		n.Report(&bodyTooLargeNotice, "", "bytes", ctx.Request.Header.ContentLength(), "limit", l.limit)
		err = fasthttp.ErrBodyTooLarge
	case err == httpbody.ErrFull:
		n.Report(&bodiesFullNotice, "", "limit", l.server.bodies.Max.Load())
		ctx.SetStatusCode(fiber.StatusServiceUnavailable)
		ctx.Response.Header.Set(fiber.HeaderRetryAfter, "1")
		ctx.SetConnectionClose()
		return
	case err == errAmbiguous:
		n.Report(&ambiguousNotice, err.Error(), "cause", err.Error())
	}
	l.onError(ctx, err)
	ctx.SetConnectionClose()
}

// errAmbiguous refuses a request whose end servers can disagree about.
var errAmbiguous = errors.New("its Content-Length and Transfer-Encoding contradict each other")

// isOwnPath reports whether a path is the server's. If it is, but Fiber's routing differs, the
// body is read later or earlier than necessary, within the same limits.
func (s *Server) isOwnPath(path []byte) bool {
	own := s.cfg.Path
	return string(path) == own || string(path) == own[:len(own)-1]
}

// limitsBodies reports whether a request has passed LimitBodies, of this server or another.
func limitsBodies(c *fiber.Ctx) bool { return c.Context().UserValue(limitedKey{}) != nil }

// readBody reads the raw body of a post.
func (s *Server) readBody(c *fiber.Ctx) (httpbody.Body, *Error) {
	if size := c.Request().Header.ContentLength(); limitsBodies(c) && !c.Request().IsBodyStream() && (size < 0 || size > httpbody.Prefetched) {
		s.notices.Report(&mountNotice, "body", "cause", "a middleware in front of the handler reads request bodies, and so does without "+
			"the checks and limits for them: mount the handler before it, or exclude its path with Next")
	}
	body, err := s.bodies.Read(c.Context(), s.cfg.MaxPayload)
	switch {
	case err == nil:
		return body, nil
	case err == httpbody.ErrTooLarge:
		return body, errTooLarge
	case err == httpbody.ErrFull:
		s.notices.Report(&bodiesFullNotice, "", "limit", s.bodies.Max.Load())
		return body, errBodiesFull
	}
	return body, ErrBadRequest
}
