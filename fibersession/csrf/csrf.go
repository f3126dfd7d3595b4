// Package csrf rejects forms that a page of another site submits in a visitor's name. Each form
// carries a token that only the site's own pages can know:
//
//	app.Use(sessions.Handler(), csrf.New())
//	app.Get("/", func(c *fiber.Ctx) error {
//		token, err := csrf.Token(c)
//		if err != nil {
//			return err
//		}
//		return c.Render("form", fiber.Map{"CSRF": token}) // <input type="hidden" name="csrf" value="{{.CSRF}}">
//	})
//
// The token is a hash of the session's ID, keyed with the ID. So nothing is stored for it, every
// form of a session works in every tab, and a new ID, as after a login, makes the tokens from
// before invalid. The ID cannot be recovered from a token.
//
// Sockets need no token: socketbridge rejects handshakes of other origins. Fiber's own csrf
// middleware works too: see fibersession.Store.Fiber. It has a cookie of its own and writes to the
// session in every request.
package csrf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// ErrToken is given to Config.ErrorHandler if a request has no token, or another one than its
// session's.
var ErrToken = errors.New("csrf: the request has no token of its session")

// Config configures New. Zero values mean the defaults.
type Config struct {
	// Field is the form field that carries the token.
	// Optional. Default: "csrf"
	Field string

	// Header is the request header that carries the token of requests without a form. It
	// counts if it is there.
	// Optional. Default: "X-Csrf-Token"
	Header string

	// Next makes the middleware skip a request when it returns true.
	// Optional. Default: nil
	Next func(c *fiber.Ctx) bool

	// ErrorHandler answers a request that was rejected. It gets ErrToken.
	// Optional. Default: status 403
	ErrorHandler func(c *fiber.Ctx, err error) error
}

// ConfigDefault holds the defaults.
var ConfigDefault = Config{
	Field:        "csrf",
	Header:       "X-Csrf-Token",
	ErrorHandler: func(*fiber.Ctx, error) error { return fiber.ErrForbidden },
}

// New returns a middleware that lets requests with the methods GET, HEAD, OPTIONS and TRACE pass,
// which must change nothing. Every other request needs the token of its session. The Handler of
// the session's store must run before, or the request fails with fibersession.ErrNoHandler.
//
// It can be used for all routes or for single ones.
func New(config ...Config) fiber.Handler {
	cfg := ConfigDefault
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Field == "" {
		cfg.Field = ConfigDefault.Field
	}
	if cfg.Header == "" {
		cfg.Header = ConfigDefault.Header
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = ConfigDefault.ErrorHandler
	}
	return func(c *fiber.Ctx) error {
		switch c.Method() {
		case fiber.MethodGet, fiber.MethodHead, fiber.MethodOptions, fiber.MethodTrace:
			return c.Next()
		}
		if cfg.Next != nil && cfg.Next(c) {
			return c.Next()
		}
		sess := fibersession.FromContext(c)
		if err := sess.Err(); err != nil && !errors.Is(err, fibersession.ErrSessionGone) {
			return err
		}
		got := c.Get(cfg.Header)
		if got == "" {
			got = c.FormValue(cfg.Field)
		}
		if id := sess.ID(); id == "" || !hmac.Equal([]byte(got), []byte(tokenOf(id))) {
			return cfg.ErrorHandler(c, ErrToken)
		}
		return c.Next()
	}
}

// Token returns the token for the forms of a response. It stores a session that is new, so that
// the response carries its cookie. The request's other unsaved changes are stored with it. Call
// Token after a login, not before: the new ID has another token. It returns the errors of
// fibersession.Session.Save, and fibersession.ErrNoHandler if the request passed no Handler.
func Token(c *fiber.Ctx) (string, error) {
	sess := fibersession.FromContext(c)
	if err := sess.Err(); err != nil {
		return "", err
	}
	if sess.Fresh() {
		if err := sess.Save(); err != nil {
			return "", err
		}
	}
	return tokenOf(sess.ID()), nil
}

func tokenOf(id string) string {
	mac := hmac.New(sha256.New, []byte(id))
	mac.Write([]byte("fiberbridge csrf"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
