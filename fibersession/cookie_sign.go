package fibersession

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// minSecret is the least number of bytes that a secret must have. Shorter ones could be
// guessed.
const minSecret = 32

// CookieFormat is the format of the cookie's value (Config.Cookie.Format). Its methods must
// be safe for concurrent use, and ID must accept any input without panicking.
type CookieFormat interface {
	// Value returns the value of the cookie with that name for an ID. It consists of the
	// characters that cookies may contain (RFC 6265, section 4.1.1).
	Value(name, id string) string
	// ID returns the ID in a cookie's value. ok is false if Value did not make the value;
	// the request then counts as having no cookie. old means that the value is valid but
	// not what Value would return now, such as one signed with an older secret. The
	// response then replaces the cookie.
	ID(name, value string) (id string, old, ok bool)
}

// signedFormat is the format of Config.Cookie.Secrets: "<id>.<signature>".
type signedFormat struct{ secrets [][]byte }

func newSignedFormat(secrets [][]byte) *signedFormat {
	s := &signedFormat{}
	for i, secret := range secrets {
		if len(secret) < minSecret {
			refuse("Cookie.Secrets", fmt.Sprintf("has %d bytes in number %d: each needs at least %d", len(secret), i+1, minSecret))
		}
		s.secrets = append(s.secrets, slices.Clone(secret))
	}
	return s
}

func (s *signedFormat) Value(name, id string) string {
	return id + "." + signature(s.secrets[0], name, id)
}

func (s *signedFormat) ID(name, value string) (id string, old, ok bool) {
	dot := strings.LastIndexByte(value, '.') // an ID may contain dots, a signature cannot
	if dot < 0 || dot > maxForeignID {
		return "", false, false
	}
	id, sig := value[:dot], []byte(value[dot+1:])
	for i, secret := range s.secrets {
		// This compares texts, because base64 has several texts for the same bytes.
		if hmac.Equal(sig, []byte(signature(secret, name, id))) {
			return id, i > 0, true
		}
	}
	return "", false, false
}

// signature covers the cookie's name, so that the value of another signed cookie is not
// valid for this one.
func signature(secret []byte, name, id string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("fiberbridge cookie\x00" + name + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
