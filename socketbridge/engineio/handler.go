package engineio

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Handler returns the handler to mount with app.Use. It serves the server's path
// and passes all other requests on.
func (s *Server) Handler() fiber.Handler {
	path := s.cfg.Path
	return func(c *fiber.Ctx) error {
		if p := c.Path(); p != path && p != path[:len(path)-1] {
			return c.Next()
		}
		s.warn(c)
		return s.serve(c)
	}
}

// serve does what every request of every transport has in common.
func (s *Server) serve(c *fiber.Ctx) error {
	from := s.judge(c)
	if from == refused {
		return answer(c, ErrForbidden)
	}
	if c.Method() == fiber.MethodOptions {
		return s.cors.preflight(c, from)
	}
	if _, err := s.parseQuery(c); err != nil {
		return answer(c, err)
	}
	return s.chain.run(c, s.dispatch)
}

// judge says whether a request may come from where it comes, and sets the headers
// that every answer has.
func (s *Server) judge(c *fiber.Ctx) verdict {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderCacheControl, "no-store")
	r := originOf(c)
	from, why := s.origins.judge(r)
	s.cors.set(c, from)
	switch from {
	case refused:
		s.refuse(why, r)
	case anyOrigin:
		ignoreCookies(c)
	}
	return from
}

// query is what the protocol takes from a query string. Its strings are the
// request's own memory.
type query struct {
	transport string
	sid       string
}

// parseQuery checks a query string. What the protocol does not know is the
// application's; what it does know may be there once.
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
		case "j": // JSONP: an answer that is a script, which any page could load
			malformed = true
		}
	}
	switch {
	case malformed:
		return q, ErrBadRequest
	case !s.serves(q.transport):
		return q, ErrUnknownTransport
	case eio != "4":
		return q, ErrUnsupportedProtocol
	}
	return q, nil
}

// dispatch sends a request to where it belongs.
func (s *Server) dispatch(c *fiber.Ctx) error {
	if a, ok := c.Locals(plainKey{}).(transport.Acceptor); ok {
		return s.openPlain(c, a)
	}
	q, err := s.parseQuery(c) // again: a middleware may have changed it
	if err != nil {
		return answer(c, err)
	}
	upgrade := isUpgrade(c)
	if upgrade != (q.transport == WebSocket) {
		return answer(c, ErrBadRequest)
	}
	if q.sid == "" {
		return s.handshake(c, q.transport)
	}
	conn := s.lookup(q.sid)
	if conn == nil || s.hooks.SameVisitor != nil && !s.hooks.SameVisitor(c, conn.request.lifted) {
		return answer(c, ErrUnknownSID)
	}
	switch {
	case upgrade:
		return s.upgrade(c, conn)
	case c.Method() == fiber.MethodGet:
		return s.poll(c, conn)
	case c.Method() == fiber.MethodPost:
		return s.post(c, conn)
	}
	return answer(c, ErrBadRequest)
}

// poll answers a polling GET.
func (s *Server) poll(c *fiber.Ctx, conn *conn) error {
	s.stats.polls.Add(1)
	defer s.stats.polls.Add(-1)
	body, err := conn.poll(nil)
	if err != nil {
		return answer(c, err)
	}
	return answerPoll(c, body)
}

// answerPoll sends packets. The body is the response's from here on.
func answerPoll(c *fiber.Ctx, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	c.Context().Response.SetBodyRaw(body)
	return nil
}

// post answers a polling POST.
func (s *Server) post(c *fiber.Ctx, conn *conn) error {
	s.stats.posts.Add(1)
	defer s.stats.posts.Add(-1)
	body, err := s.readBody(c)
	if err == nil {
		err = conn.post(body)
	}
	if err != nil {
		return answer(c, err)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTML)
	return c.SendString("ok")
}

// readBody returns the raw body of a request: what a Content-Encoding could make of
// it is not bounded by anything (D10).
func (s *Server) readBody(c *fiber.Ctx) ([]byte, *Error) {
	req := c.Request()
	if len(req.Header.ContentEncoding()) > 0 && !strings.EqualFold(string(req.Header.ContentEncoding()), "identity") {
		return nil, errEncoding
	}
	if t := req.Header.ContentType(); len(t) > 0 && !isTextPlain(string(t)) {
		return nil, ErrBadRequest
	}
	if req.Header.ContentLength() > s.cfg.MaxPayload {
		return nil, errTooLarge
	}
	if !req.IsBodyStream() {
		if body := req.Body(); len(body) <= s.cfg.MaxPayload {
			return body, nil
		}
		return nil, errTooLarge
	}
	return readAll(c.Context().RequestBodyStream(), s.cfg.MaxPayload)
}

// answer refuses a request.
func answer(c *fiber.Ctx, err *Error) error {
	if c.Request().IsBodyStream() {
		c.Context().SetConnectionClose() // what was not read is not the next request
	}
	switch err.Status() {
	case fiber.StatusTooManyRequests, fiber.StatusServiceUnavailable:
		c.Set(fiber.HeaderRetryAfter, "1")
	case fiber.StatusUpgradeRequired:
		c.Set("Sec-WebSocket-Version", "13")
	}
	return c.Status(err.Status()).JSON(err)
}

// refusal is the answer for an error of the application: its text stays here.
func refusal(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	return ErrForbidden
}

// warn says once what of the app's configuration leaves it open to clients that
// send slowly or never: only the HTTP server can notice them (D20).
func (s *Server) warn(c *fiber.Ctx) {
	s.warnOnce.Do(func() {
		cfg := c.App().Config()
		if cfg.ReadTimeout <= 0 {
			s.log.Warn("engineio: fiber.Config.ReadTimeout is not set: clients can hold connections with requests that they never finish; 10s is a good value")
		}
		if cfg.IdleTimeout <= 0 && cfg.ReadTimeout <= 0 {
			s.log.Warn("engineio: fiber.Config.IdleTimeout is not set: idle keep-alive connections are held for ever; 60s is a good value")
		}
	})
}

// readAll reads a streamed body of at most limit bytes.
func readAll(body io.Reader, limit int) ([]byte, *Error) {
	b, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	switch {
	case err != nil:
		return nil, ErrBadRequest
	case len(b) > limit:
		return nil, errTooLarge
	}
	return b, nil
}

// isTextPlain tells the one media type that clients post.
func isTextPlain(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), fiber.MIMETextPlain)
}

// warnTooMany says at most once a minute that connections are refused: whoever
// floods the server must not flood its log.
func (s *Server) warnTooMany(err *Error) {
	now, last := time.Now().Unix(), s.warned.Load()
	if now-last >= 60 && s.warned.CompareAndSwap(last, now) {
		s.log.Warn("engineio: connections are refused, as there are too many, of all or of one address; "+
			"behind a proxy, set ProxyHeader and TrustedProxies of fiber.Config", "status", err.Status())
	}
}
