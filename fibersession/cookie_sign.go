package fibersession

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// minSecret is the length of a secret, in bytes, under which it could be guessed.
const minSecret = 32

// CookieFormat is the form in which a cookie holds an ID: Config.Cookie.Format. Its
// methods must be safe for concurrent use, and ID must bear any input.
type CookieFormat interface {
	// Value returns what the cookie of that name holds for an ID, of the characters
	// that cookies may hold (RFC 6265, section 4.1.1).
	Value(name, id string) string
	// ID returns the ID that a cookie's value holds; ok is false when it is not one
	// that Value made, and then the cookie counts as none. With old, the browser is
	// given a new value: this one is good, but not what Value would return.
	ID(name, value string) (id string, old, ok bool)
}

// signed is the form of Config.Cookie.Secrets: "<id>.<signature>".
type signed struct{ secrets [][]byte }

func newSigned(secrets [][]byte) *signed {
	s := &signed{}
	for i, secret := range secrets {
		if len(secret) < minSecret {
			refuse("Cookie.Secrets", fmt.Sprintf("has %d bytes in number %d: each needs at least %d", len(secret), i+1, minSecret))
		}
		s.secrets = append(s.secrets, slices.Clone(secret))
	}
	return s
}

func (s *signed) Value(name, id string) string {
	return id + "." + signature(s.secrets[0], name, id)
}

func (s *signed) ID(name, value string) (id string, old, ok bool) {
	dot := strings.LastIndexByte(value, '.') // an ID may have dots, a signature has none
	if dot < 0 || dot > maxForeignID {
		return "", false, false
	}
	id, sig := value[:dot], []byte(value[dot+1:])
	for i, secret := range s.secrets {
		// The texts are compared: base64 has several for the same bytes.
		if hmac.Equal(sig, []byte(signature(secret, name, id))) {
			return id, i > 0, true
		}
	}
	return "", false, false
}

// signature covers the cookie's name, so that no other signed cookie can be renamed
// to this one.
func signature(secret []byte, name, id string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("fiberbridge cookie\x00" + name + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// minutely is true at most once a minute. The zero value is ready.
type minutely struct{ last atomic.Int64 }

func (m *minutely) due() bool {
	now, last := time.Now().Unix(), m.last.Load()
	return now-last >= 60 && m.last.CompareAndSwap(last, now)
}
