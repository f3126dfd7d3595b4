package engineio

import (
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/httpbody"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Handler returns the handler to mount with app.Use. It serves requests for the server's
// path and passes all others on.
func (s *Server) Handler() fiber.Handler {
	path := s.cfg.Path
	return func(c *fiber.Ctx) error {
		if p := c.Path(); p != path && p != path[:len(path)-1] {
			s.checkPath(c)
			return c.Next()
		}
		s.warnMissingSettings(c)
		return s.finish(c, s.serve(c))
	}
}

// finish ends the handling of a request whose handler returned err. It returns err.
func (s *Server) finish(c *fiber.Ctx, err error) error {
	if httpbody.Unread(c.Request()) {
		c.Context().SetConnectionClose() // the rest of the body must not be parsed as the next request
	}
	return s.reportRefusal(c, err)
}

// serve does what all requests of all transports have in common.
func (s *Server) serve(c *fiber.Ctx) error {
	access, refusal := s.admit(c)
	if refusal != nil {
		return sendError(c, refusal)
	}
	if c.Method() == fiber.MethodOptions {
		return s.cors.preflight(c, access)
	}
	if _, err := s.parseQuery(c); err != nil {
		if err == ErrUnsupportedProtocol {
			s.warnOldProtocol(c)
		}
		return sendError(c, err)
	}
	return s.middlewares.run(c, s.dispatch)
}

// query holds the query parameters of the protocol. Its strings share the request's memory.
type query struct {
	transport string
	sid       string
}

// parseQuery checks the query parameters of the protocol, each of which may occur once. All
// other parameters belong to the application.
func (s *Server) parseQuery(c *fiber.Ctx) (query, *Error) {
	var q query
	var eio string
	var seen struct{ eio, transport, sid, t, b64 bool }
	malformed := false
	once := func(flag *bool) {
		malformed = malformed || *flag
		*flag = true
	}
	for k, v := range c.Context().QueryArgs().All() {
		switch value := utils.UnsafeString(v); utils.UnsafeString(k) {
		case "EIO":
			once(&seen.eio)
			eio = value
		case "transport":
			once(&seen.transport)
			q.transport = value
		case "sid":
			once(&seen.sid)
			q.sid = value
			malformed = malformed || value == ""
		case "t":
			once(&seen.t)
		case "b64":
			once(&seen.b64)
		case "j": // JSONP: the response would be a script, which any page can load
			malformed = true
		}
	}
	switch {
	case malformed:
		return q, ErrBadRequest
	case !s.offers(q.transport):
		return q, ErrUnknownTransport
	case eio != "4":
		return q, ErrUnsupportedProtocol
	}
	return q, nil
}

// dispatch routes a request.
func (s *Server) dispatch(c *fiber.Ctx) error {
	if isWebSocketRequest(c) && !canHijack(c) && !isInMemory(c) {
		s.warnNoHijack()
		return sendError(c, errNoHijack)
	}
	if a, ok := c.Locals(plainKey{}).(transport.Acceptor); ok {
		return s.openPlain(c, a)
	}
	q, err := s.parseQuery(c) // again: a middleware may have changed it
	if err != nil {
		return sendError(c, err)
	}
	upgrade := isWebSocketRequest(c)
	if upgrade != (q.transport == WebSocket) {
		return sendError(c, ErrBadRequest)
	}
	if q.sid == "" {
		return s.handshake(c, q.transport)
	}
	conn := s.lookup(q.sid)
	if conn == nil {
		return sendError(c, ErrUnknownSID)
	}
	if s.hooks.SameVisitor != nil && !s.hooks.SameVisitor(c, conn.request.lifted) {
		return sendError(c, errOtherVisitor)
	}
	switch {
	case upgrade:
		return s.upgrade(c, conn)
	case c.Method() == fiber.MethodGet:
		return s.servePoll(c, conn)
	case c.Method() == fiber.MethodPost:
		return s.servePost(c, conn)
	}
	return sendError(c, ErrBadRequest)
}

// servePoll answers a polling GET.
func (s *Server) servePoll(c *fiber.Ctx, conn *conn) error {
	s.stats.polls.Add(1)
	defer s.stats.polls.Add(-1)
	body, err := conn.poll(nil)
	if err != nil {
		return sendError(c, err)
	}
	return s.sendPayload(c, conn, body)
}

// sendPayload answers with packets. The response keeps body, so the caller must not use it
// any more.
func (s *Server) sendPayload(c *fiber.Ctx, conn *conn, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	// The compress middleware of an app would read the response ahead of the client, without
	// a bound in time. It gains little for packets.
	c.Request().Header.Del(fiber.HeaderAcceptEncoding)
	httpbody.Send(c.Context(), body, s.cfg.Timeouts.Write, conn.pollNotTaken)
	return nil
}

// servePost answers a polling POST. The body is read last, when nothing else can refuse it.
func (s *Server) servePost(c *fiber.Ctx, conn *conn) error {
	s.stats.posts.Add(1)
	defer s.stats.posts.Add(-1)
	if err := s.checkBodyHeaders(c); err != nil {
		return sendError(c, err)
	}
	if err := conn.beginPost(); err != nil {
		return sendError(c, err)
	}
	defer conn.endPost()
	body, err := s.readBody(c)
	if err != nil {
		return sendError(c, err)
	}
	defer body.Release()
	if err := conn.post(body.Bytes); err != nil {
		return sendError(c, err)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTML)
	return c.SendString("ok")
}

// checkBodyHeaders refuses what can be refused without reading the body. It refuses a
// Content-Encoding, because nothing limits the size of a decoded body (D10).
func (s *Server) checkBodyHeaders(c *fiber.Ctx) *Error {
	h := &c.Request().Header
	switch {
	case len(h.ContentEncoding()) > 0 && !strings.EqualFold(string(h.ContentEncoding()), "identity"):
		return errEncoding
	case len(h.ContentType()) > 0 && !isTextPlain(string(h.ContentType())):
		return ErrBadRequest
	case h.ContentLength() > s.cfg.MaxPayload:
		return errTooLarge
	}
	return nil
}

// isTextPlain reports whether a Content-Type is text/plain, the only type that clients post.
func isTextPlain(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), fiber.MIMETextPlain)
}

// sendError answers a request with an error.
func sendError(c *fiber.Ctx, err *Error) error {
	c.Locals(refusalKey{}, err) // for reportRefusal
	switch err.Status() {
	case fiber.StatusTooManyRequests, fiber.StatusServiceUnavailable:
		c.Set(fiber.HeaderRetryAfter, "1")
	case fiber.StatusUpgradeRequired:
		c.Set("Sec-WebSocket-Version", "13")
	}
	c.Status(err.Status())
	if err == errTooLarge {
		return nil // the reference server sends no body, and its client's tests expect none
	}
	return c.JSON(err)
}

// toError returns the *Error to answer with if err comes from the application. The text of
// any other error is not sent.
func toError(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	return ErrForbidden
}

// warnMissingSettings warns once if the app's configuration lacks what only the HTTP server can
// enforce: the timeouts that end slow requests (D20), and the limits on bodies. It also checks
// how the handler is mounted.
func (s *Server) warnMissingSettings(c *fiber.Ctx) {
	s.settingsWarning.Do(func() {
		s.checkMount()
		cfg := c.App().Config()
		if cfg.ReadTimeout <= 0 {
			s.notices.Report(&readTimeoutNotice, "")
		}
		if cfg.IdleTimeout <= 0 && cfg.ReadTimeout <= 0 {
			s.notices.Report(&idleTimeoutNotice, "")
		}
		if cfg.WriteTimeout <= 0 {
			s.notices.Report(&writeTimeoutNotice, "")
		}
		if !limitsBodies(c) {
			s.notices.Report(&bodiesUnlimitedNotice, "", "BodyLimit", cfg.BodyLimit)
		}
	})
}

// warnOldProtocol reports that a client of another protocol version is
// refused. Socket.IO 2 speaks Engine.IO 3; all later versions speak Engine.IO 4.
func (s *Server) warnOldProtocol(c *fiber.Ctx) {
	what := "its request does not name a version of Engine.IO that this server speaks (EIO=4)"
	if c.Query("EIO") == "3" {
		what = "it speaks Engine.IO 3, as clients of Socket.IO 2 do, and this server speaks Engine.IO 4; " +
			"upgrade the client to Socket.IO 3 or 4"
	}
	s.notices.Report(&protocolVersionNotice, what, "cause", what, "", loggedRequest{s, c})
}

// warnTooManyConns reports that a connection is refused.
func (s *Server) warnTooManyConns(err *Error, from remote) {
	s.notices.Report(&tooManyConnsNotice, "", "status", err.Status(), "remote", from.addr.String())
}
