package socketbridge

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// SessionRef names a session without its ID. A *fibersession.Session (in an HTTP
// handler), a *fibersession.Handle and a SessionName are SessionRefs.
type SessionRef interface {
	// Pseudonym returns a name of the session from which neither its ID nor its
	// content can be derived.
	Pseudonym(label string) string
}

// lifted is the session of a handshake, or the error why there is none. The error
// matters only for namespaces that share the session.
type lifted struct {
	handle *fibersession.Handle
	err    error
	name   string // key of the connection in Server.perSession; "" if it is not counted
	epoch  uint64 // of the session's ID at the handshake
	idHash string // of the session ID that the handshake presented; "" if cookies are ignored and the session is stored
	newID  string // the same of the ID that a new session got in the handshake's response; "" if there is none

	request string // what the hooks keep of the handshake (Trace.Handshake), or ""

	// cookieless is the program that opened the connection, if it may be one that sends
	// its session with the handshake alone. See cookieless.
	cookieless string
	sendsID    atomic.Bool // a later request presented the session: from then on, each has to

	new       bool // the handshake presented no existing session: the client may not keep cookies
	noCookies bool // the session was named otherwise, and the request's cookies are ignored
}

// lift extracts from the handshake request what the connection needs later. It implements
// engineio.Hooks.Lift.
func (s *Server) lift(c *fiber.Ctx) (any, error) {
	var l *lifted
	if s.cfg.Sessions != nil {
		var err error
		if l, err = s.liftSession(c); err != nil {
			return nil, err
		}
	}
	if request := s.traceHandshake(c.UserContext); request != "" {
		if l == nil {
			l = &lifted{err: ErrSessionMissing}
		}
		l.request = request
	}
	if l == nil {
		return nil, nil
	}
	return l, nil
}

// liftSession detaches the session from the handshake request. An error of the store does not
// refuse the connection, because the client may only use namespaces without a session.
func (s *Server) liftSession(c *fiber.Ctx) (*lifted, error) {
	noCookies := engineio.CookiesIgnored(c)
	var h *fibersession.Handle
	var err error
	if noCookies { // any page may have sent this request
		h, err = s.cfg.Sessions.LiftWithoutCookies(c)
		if errors.Is(err, fibersession.ErrNotFound) {
			return &lifted{err: ErrSessionMissing}, nil
		}
	} else {
		h, err = s.cfg.Sessions.Lift(c)
	}
	if err != nil {
		s.cfg.Sessions.TolerateFailure(c) // the client gets the error when it joins a namespace that needs the session
		s.notices.Report(&handshakeSessionNotice, "", "error", err, "remote", s.engine.RemoteIP(c))
		return &lifted{err: err}, nil
	}
	if s.users.atLimit(h.User()) {
		h.Release()
		s.notices.Report(&tooManyOfUserNotice, "", "limit", s.cfg.Limits.MaxConnsPerUser, "remote", s.engine.RemoteIP(c))
		return nil, &engineio.Error{Code: 4, Message: "Forbidden"}
	}
	l := &lifted{handle: h, name: h.Pseudonym("count"), epoch: h.Epoch(), new: h.Fresh(), noCookies: noCookies, cookieless: s.cookieless(c)}
	if !noCookies || l.new {
		l.idHash = s.cfg.Sessions.PresentedIDHash(c)
	}
	if !noCookies && l.new {
		l.newID = s.cfg.Sessions.AnsweredIDHash(c, h)
	}
	if !s.perSession.add(l.name, s.cfg.Limits.MaxConnsPerSession) {
		h.Release()
		s.notices.Report(&tooManyOfSessionNotice, "", "limit", s.cfg.Limits.MaxConnsPerSession, "remote", s.engine.RemoteIP(c))
		return nil, &engineio.Error{Code: 4, Message: "Forbidden"}
	}
	return l, nil
}

// sameVisitor reports whether a later request of a connection belongs to the visitor who
// opened it. It implements engineio.Hooks.SameVisitor.
//
// A client can continue with the ID that its handshake presented, or got in the response, also
// after its session got a new one: the cookie reaches a browser later than the connection
// learns of it, and the answer to a login would be lost with the poll that is refused. As on a
// WebSocket, Config.OnRegenerate decides what becomes of the connection.
//
// A client that came without an existing session can continue without a cookie or with
// the same one: the connection's ID, which only the client knows, is then the only proof
// of its identity. A client whose session has ended can continue without a cookie, which
// the logout removed: the only thing left to deliver is the disconnect packet, which it
// would otherwise miss. A program that sends its session with the handshake alone can
// continue without: see cookieless.
func (s *Server) sameVisitor(c *fiber.Ctx, v any) bool {
	l, _ := v.(*lifted)
	if l == nil || l.handle == nil {
		return true
	}
	ended := l.handle.Err()
	hash := s.cfg.Sessions.PresentedIDHash(c) // "" if the request presents no ID
	ofHandshake := hash == l.idHash || hash == l.newID
	if l.new && (hash == "" || ofHandshake) {
		return true
	}
	if errors.Is(ended, fibersession.ErrSessionGone) && hash == "" {
		return true
	}
	owns := s.cfg.Sessions.Owns
	if l.noCookies {
		owns = s.cfg.Sessions.OwnsWithoutCookies
	}
	firstID := hash != "" && ofHandshake && ended == nil
	if firstID || owns(c, l.handle) {
		if l.cookieless != "" && !l.sendsID.Load() {
			l.sendsID.Store(true)
		}
		return true
	}
	if hash == "" && l.cookieless != "" && !l.sendsID.Load() && s.cookieless(c) == l.cookieless {
		return true
	}
	s.warnOtherVisitor(c, hash != "")
	return false
}

// cookieless returns what identifies the program that sends a polling request: its address
// and its User-Agent. It returns "" for a browser, and behind a proxy that is not configured.
//
// Clients such as Python's send the headers of their user, and so the cookie, with the
// handshake alone. Their further requests are admitted by the connection's ID, if they come
// from the same program at the same address, and until one of them presents a session. The
// ID is a secret of 144 bits, but it is part of URLs, which end up in logs. So browsers, and
// programs that do send their session, must present it each time.
func (s *Server) cookieless(c *fiber.Ctx) string {
	agent := c.Get(fiber.HeaderUserAgent)
	switch {
	case string(c.Context().QueryArgs().Peek("transport")) == engineio.WebSocket && len(c.Context().QueryArgs().Peek("sid")) == 0,
		c.Get(fiber.HeaderOrigin) != "", c.Get("Sec-Fetch-Site") != "",
		strings.HasPrefix(agent, "Mozilla/"): // all browsers
		return ""
	case c.App().Config().ProxyHeader == "" && (c.Get(fiber.HeaderXForwardedFor) != "" || c.Get(fiber.HeaderForwarded) != ""):
		return "" // all clients seem to have the proxy's address
	}
	return s.engine.RemoteIP(c) + " " + agent
}

// warnOtherVisitor reports that a request of a connection was refused because it does not
// carry the connection's session.
func (s *Server) warnOtherVisitor(c *fiber.Ctx, presents bool) {
	msg := "it carries no session, but the handshake did: the client must send the cookie, or whatever names the session, with every request"
	if presents {
		msg = "it carries another session than the handshake: the session has a new ID, or the browser opened two connections before it had a cookie, or it is not the connection's client"
	}
	s.notices.Report(&otherVisitorNotice, msg, "cause", msg, "remote", s.engine.RemoteIP(c))
}

// releaseLifted releases the result of lift. It implements engineio.Hooks.Release and
// must be called exactly once.
func (s *Server) releaseLifted(v any) {
	l, _ := v.(*lifted)
	if l == nil || l.handle == nil {
		return
	}
	if l.name != "" {
		s.perSession.remove(l.name)
	}
	l.handle.Retire("its socket has disconnected; for work that goes on, call Handle.Detach while the event is handled")
}

// sessionCounts counts connections per session. The zero value is ready to use.
type sessionCounts struct {
	mu sync.Mutex
	n  map[string]int
}

// add counts one more connection. It returns false if there are limit already. A
// negative limit means none.
func (c *sessionCounts) add(name string, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit >= 0 && c.n[name] >= limit {
		return false
	}
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[name]++
	return true
}

func (c *sessionCounts) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[name]--; c.n[name] <= 0 {
		delete(c.n, name)
	}
}

func (c *sessionCounts) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.n)
}
