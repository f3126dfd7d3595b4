package adminui

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// errCredentials is the error for which the UI shows its login form again.
var errCredentials = &socketbridge.ConnectError{Message: "invalid credentials"}

// errAttempts refuses an address that has tried too many passwords.
var errAttempts = &socketbridge.ConnectError{Message: "too many attempts, try again in a minute"}

// credentials are the auth option of the UI.
type credentials struct {
	SessionID *string `json:"sessionId"`
	Username  *string `json:"username"`
	Password  *string `json:"password"`
}

// admit is the connect middleware of the admin namespace.
func (u *UI) admit(c *socketbridge.Connect) error {
	if u.cfg.PasswordHash != "" {
		if err := u.login(c); err != nil {
			return err
		}
	}
	if !u.authorized(c.Socket()) {
		u.notices.Report(&refusedNotice, "", "remote", notice.Text(c.Handshake().RemoteIP), "cause", "Authorize returned false")
		return errCredentials
	}
	return c.Next()
}

// authorized asks Config.Authorize.
func (u *UI) authorized(s *socketbridge.Socket) bool {
	if u.cfg.Authorize == nil {
		return true
	}
	session := s.Session()
	return session != nil && u.cfg.Authorize(session)
}

// login checks the password or the token of a client.
func (u *UI) login(c *socketbridge.Connect) error {
	var sent credentials
	if err := c.Auth(&sent); err != nil {
		return u.refuse(c, "the auth option is malformed")
	}
	switch {
	case sent.SessionID != nil && u.tokens.valid(*sent.SessionID, time.Now()):
		return nil
	case sent.Username == nil || sent.Password == nil:
		return u.refuse(c, "no password, and no valid token of an earlier login")
	}
	ip := c.Handshake().RemoteIP
	if !u.attempts.begin(ip, time.Now()) {
		u.notices.Report(&attemptsNotice, "", "remote", notice.Text(ip), "limit", maxAttempts)
		return errAttempts
	}
	ok, err := u.checkPassword(c.Context(), *sent.Username, *sent.Password)
	if err != nil {
		return err
	}
	if !ok {
		return u.refuse(c, "wrong user name or password")
	}
	u.attempts.succeed(ip)
	c.Socket().Data().Set(loggedIn, struct{}{})
	return nil
}

// loggedIn is the key of the data of a socket that gets a token. Other nodes do not see it.
const loggedIn = "fiberbridge:adminui"

func (u *UI) refuse(c *socketbridge.Connect, cause string) error {
	u.notices.Report(&refusedNotice, "", "remote", notice.Text(c.Handshake().RemoteIP), "cause", cause)
	return errCredentials
}

// checkPassword compares one password at a time, because each takes a core for a while. It
// takes as long for a wrong user name as for a wrong password.
func (u *UI) checkPassword(ctx context.Context, username, password string) (bool, error) {
	select {
	case u.comparing <- struct{}{}:
		defer func() { <-u.comparing }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	err := bcrypt.CompareHashAndPassword([]byte(u.cfg.PasswordHash), []byte(password))
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, err
	}
	given, want := sha256.Sum256([]byte(username)), sha256.Sum256([]byte(u.cfg.Username))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1 && err == nil, nil
}

// tokenAge is how long a token replaces the password.
const tokenAge = 24 * time.Hour

// tokens makes and checks the tokens that replace the password when a page of the UI is
// loaded again. They are signed with a key that is derived from the password's hash, so that
// all nodes of a cluster accept them and nothing has to be stored. A new password
// invalidates them.
type tokens struct{ key []byte }

func newTokens(cfg Config) tokens {
	mac := hmac.New(sha256.New, []byte(cfg.PasswordHash))
	mac.Write([]byte("fiberbridge adminui " + cfg.Namespace + " " + cfg.Username))
	return tokens{mac.Sum(nil)}
}

const tokenHead = 8 + 16 // the expiry and random bytes

func (t tokens) issue(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Add(tokenAge).Unix()))
	b = append(b, make([]byte, 16)...)
	_, _ = rand.Read(b[8:]) // it never returns an error
	return base64.RawURLEncoding.EncodeToString(append(b, t.sign(b)...))
}

func (t tokens) valid(token string, now time.Time) bool {
	if len(token) > 128 {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != tokenHead+sha256.Size || !hmac.Equal(b[tokenHead:], t.sign(b[:tokenHead])) {
		return false
	}
	return now.Unix() < int64(binary.BigEndian.Uint64(b))
}

func (t tokens) sign(head []byte) []byte {
	mac := hmac.New(sha256.New, t.key)
	mac.Write(head)
	return mac.Sum(nil)
}
