package fibersession

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Express makes a Store share its sessions with an Express app that keeps them with the
// npm packages express-session and connect-redis (Config.Express). Each program reads,
// changes and ends the sessions that the other began, with one signed cookie.
//
//	sessions := fibersession.New(fibersession.Config{
//		Storage: storage.MustOpen("redis://127.0.0.1:6379/0"),
//		Express: &fibersession.Express{Secrets: []string{os.Getenv("SESSION_SECRET")}},
//	})
//
// The stored form is express-session's, with its limits. Changes made here are merged, as
// always. Express writes back a whole session as it was when its request began, so changes
// that were stored here in the meantime are lost, and a session that was ended here comes
// back. Express sends no notifications: an open socket sees its changes at the socket's
// next packet, or after Config.Tracking.Recheck. Anyone who can read the storage can read
// the IDs. Nothing ties a value to its ID. There is no absolute limit and no index of
// users: Store.Devices returns ErrNoIndex.
//
// Values have the types that the codec JSON has. Values that are not set here keep every
// digit and field that Express wrote. Keys that express-session uses itself, such as
// "cookie", are ErrReservedKey. A session's idle limit is its cookie's maxAge or, if the
// cookie has none, Config.Expiration, which is connect-redis' ttl. SetExpiry changes the
// maxAge. With Config.UserKey "passport" the user is Passport's: the field "user" in the
// value of that key.
type Express struct {
	// Secrets are express-session's option secret, in the same order: the first one
	// signs and all are accepted. A cookie signed with another one is replaced.
	// Required.
	Secrets []string

	// Prefix begins the store's keys: connect-redis' option prefix. The storage itself
	// must not add a prefix of its own.
	// Optional. Default: "sess:"
	Prefix string
}

// The defaults of the npm packages.
const (
	expressCookie  = "connect.sid"
	expressPrefix  = "sess:"
	expressRecheck = 10 * time.Second
)

// configureExpress checks Config.Express and fills in its defaults. It keeps a copy.
func (s *Store) configureExpress() {
	c := &s.Config
	if c.Express == nil {
		return
	}
	e := *c.Express
	e.Secrets = slices.Clone(e.Secrets)
	c.Express = &e
	switch {
	case c.Builtin:
		refuse("Express", "with Builtin: they store sessions in two different forms")
	case c.Codec != nil:
		refuse("Codec", "with Express, which has its own")
	case len(c.Cookie.Secrets) > 0 || c.Cookie.Format != nil:
		refuse("Cookie", "has Secrets or Format with Express, which has its own: set Express.Secrets")
	case len(e.Secrets) == 0:
		refuse("Express.Secrets", "is empty: set those of express-session")
	}
	for i, secret := range e.Secrets {
		if secret == "" {
			refuse("Express.Secrets", fmt.Sprintf("has an empty secret, number %d", i+1))
		}
	}
	setDefault(&e.Prefix, expressPrefix)
	if !only(e.Prefix, isPrintable) {
		refuse("Express.Prefix", fmt.Sprintf("is %q: it must be printable ASCII, because some stores take no other keys", e.Prefix))
	}
	if c.UserKey == passportKey {
		s.userField = passportUser
	}
	if s.readsFrom(SourceCookie) {
		c.Cookie.Format = newExpressCookieFormat(e.Secrets)
	}
}

// hasShortSecret reports whether a secret is short enough to be guessed. e may be nil.
func (e *Express) hasShortSecret() bool {
	if e == nil {
		return false
	}
	for _, secret := range e.Secrets {
		if len(secret) < minSecret {
			return true
		}
	}
	return false
}

// expressCookieFormat is the format of express-session's cookie: "s:<id>.<signature>",
// percent-encoded.
type expressCookieFormat struct{ secrets [][]byte }

func newExpressCookieFormat(secrets []string) *expressCookieFormat {
	s := &expressCookieFormat{}
	for _, secret := range secrets {
		s.secrets = append(s.secrets, []byte(secret))
	}
	return s
}

func (s *expressCookieFormat) Value(_, id string) string {
	// QueryEscape and JavaScript's encodeURIComponent agree on all characters of an ID.
	return url.QueryEscape("s:" + id + "." + expressSignature(s.secrets[0], id))
}

func (s *expressCookieFormat) ID(_, value string) (id string, old, ok bool) {
	if len(value) > 8*maxForeignID {
		return "", false, false
	}
	text, ok := strings.CutPrefix(decodeCookie(value), "s:")
	dot := strings.LastIndexByte(text, '.')
	if !ok || dot < 0 {
		return "", false, false
	}
	id, sig := text[:dot], []byte(text[dot+1:])
	for i, secret := range s.secrets {
		if hmac.Equal(sig, []byte(expressSignature(secret, id))) {
			return id, i > 0, true
		}
	}
	return "", false, false
}

// expressSignature signs as the npm package cookie-signature does.
func expressSignature(secret []byte, id string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// decodeCookie decodes a cookie's value as the npm package cookie does: it removes quotes
// around the value, and percent-decodes it if the result is valid UTF-8.
func decodeCookie(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	if text, err := url.PathUnescape(value); err == nil && utf8.ValidString(text) {
		return text
	}
	return value
}
