package engineio

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// snapshot copies what is kept of a handshake request. Every string is new memory:
// fasthttp uses its own again for the next request (D19).
func (s *Server) snapshot(c *fiber.Ctx) *transport.Handshake {
	hs := &transport.Handshake{
		Time:     time.Now(),
		Method:   strings.Clone(c.Method()),
		Path:     strings.Clone(c.Path()),
		Host:     strings.Clone(c.Hostname()),
		RemoteIP: strings.Clone(c.IP()),
		Secure:   c.Secure(),
		Header:   make(http.Header),
		Query:    make(url.Values),
	}
	for k, v := range c.Request().Header.All() {
		if name := http.CanonicalHeaderKey(string(k)); name != fiber.HeaderCookie {
			hs.Header[name] = append(hs.Header[name], string(v))
		}
	}
	for k, v := range c.Context().QueryArgs().All() {
		hs.Query[string(k)] = append(hs.Query[string(k)], string(v))
	}
	session := ""
	if s.cfg.SessionCookie != nil {
		session = s.cfg.SessionCookie(c)
	}
	for k, v := range c.Request().Header.Cookies() {
		if name := string(k); name != session {
			if hs.Cookies == nil {
				hs.Cookies = make(map[string]string)
			}
			hs.Cookies[name] = string(v)
		}
	}
	c.Context().VisitUserValuesAll(func(k, v any) {
		name, ok := k.(string)
		if !ok || name == userContextKey {
			return
		}
		if hs.Locals == nil {
			hs.Locals = make(map[string]any)
		}
		switch v := v.(type) {
		case string:
			hs.Locals[strings.Clone(name)] = strings.Clone(v)
		case []byte:
			hs.Locals[strings.Clone(name)] = bytes.Clone(v)
		default:
			hs.Locals[strings.Clone(name)] = v
		}
	})
	return hs
}

// userContextKey is where Fiber keeps c.UserContext(), which ends with the request.
const userContextKey = "__local_user_context__"
