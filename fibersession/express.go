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

// Express has a Store share its sessions with an Express app, which keeps them with
// the npm packages express-session and connect-redis: Config.Express. Either side
// reads, changes and ends what the other began, under one signed cookie.
//
//	sessions := fibersession.New(fibersession.Config{
//		Storage: storage.MustOpen("redis://127.0.0.1:6379/0"),
//		Express: &fibersession.Express{Secrets: []string{os.Getenv("SESSION_SECRET")}},
//	})
//
// Its form is the other program's, and so are its limits. Changes made here are
// merged, as always. Express writes back the whole of a session as it was when its
// request began: what was stored here meanwhile is lost then, and a session that was
// ended here comes back. Express tells nobody of what it does: open sockets see it at
// their next packet, or after Config.Tracking.Recheck. IDs can be read in the store, nothing ties a
// value to its ID, there is no absolute limit and no index of users (Store.Devices is
// ErrNoIndex).
//
// Values are what JSON knows, as with the codec JSON. What is not set here keeps every
// digit and field that Express wrote. A key that express-session keeps for itself,
// such as "cookie", is ErrReservedKey. A session's idle limit is its cookie's maxAge
// where that has one, and Config.Expiration, which is connect-redis' ttl, where not;
// SetExpiry changes the maxAge. With Config.UserKey "passport" the user is Passport's:
// the field "user" in the value of that key.
type Express struct {
	// Secrets are those of express-session's option secret, in the same order: the
	// first signs, all are accepted. A cookie that another one signed is replaced.
	// Required.
	Secrets []string

	// Prefix begins the store's keys: connect-redis' option prefix. Redis itself is
	// given no other: the storage must have none.
	// Optional. Default: "sess:"
	Prefix string
}

// The defaults of the npm packages.
const (
	expressCookie  = "connect.sid"
	expressPrefix  = "sess:"
	expressRecheck = 10 * time.Second
)

// configureExpress fills in the defaults and refuses what cannot be meant.
func (s *Store) configureExpress() {
	c := &s.cfg
	if c.Express == nil {
		return
	}
	e := *c.Express // what is in use is a copy
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
	if s.hasWay(SourceCookie) {
		c.Cookie.Format = newExpressCookies(e.Secrets)
	}
}

// shortSecrets says whether one of the secrets could be guessed.
func (e *Express) shortSecrets() bool {
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

// expressCookies is the form of express-session's cookie: "s:<id>.<signature>",
// percent-encoded.
type expressCookies struct{ secrets [][]byte }

func newExpressCookies(secrets []string) *expressCookies {
	s := &expressCookies{}
	for _, secret := range secrets {
		s.secrets = append(s.secrets, []byte(secret))
	}
	return s
}

func (s *expressCookies) Value(_, id string) string {
	// An ID has no character that the two ways of percent-encoding treat differently.
	return url.QueryEscape("s:" + id + "." + expressSignature(s.secrets[0], id))
}

func (s *expressCookies) ID(_, value string) (id string, old, ok bool) {
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

// expressSignature is that of the npm package cookie-signature.
func expressSignature(secret []byte, id string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// decodeCookie reads a cookie's value as the npm package cookie does: without the
// quotes around it, percent-decoded if that gives UTF-8, else as it is.
func decodeCookie(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	if text, err := url.PathUnescape(value); err == nil && utf8.ValidString(text) {
		return text
	}
	return value
}
