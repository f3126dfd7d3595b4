package socketbridge

import (
	"errors"
	"sync"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// SessionRef names a session without its ID: a *fibersession.Session (in an HTTP
// handler) or a *fibersession.Handle.
type SessionRef interface {
	// Pseudonym returns a name of the session that reveals nothing of it.
	Pseudonym(label string) string
}

// lifted is what a handshake leaves for its connection: the session, or why there
// is none. Only a namespace that shares the session minds the latter.
type lifted struct {
	handle *fibersession.Handle
	err    error
	name   string // under which the connection is counted; "" when it is not
	epoch  uint64 // of the session's ID at the handshake
	new    bool   // the handshake named no session that exists: its client may not keep cookies
	named  string // what it named all the same, when new
}

// lift runs in the handshake request. A store that fails does not refuse the
// connection: a namespace without a session may be what the client came for.
func (s *Server) lift(c *fiber.Ctx) (any, error) {
	if engineio.CookiesIgnored(c) {
		return &lifted{err: ErrSessionMissing}, nil // any page may have sent this request
	}
	h, err := s.cfg.Sessions.Lift(c)
	if err != nil {
		s.cfg.Sessions.TolerateFailure(c) // the client is told when it joins a namespace that needs it
		s.log.Warn("socketbridge: the session could not be loaded for a handshake", "error", err)
		return &lifted{err: err}, nil
	}
	if s.users.full(h.User()) {
		h.Release()
		s.log.Warn("socketbridge: a user has too many connections", "limit", s.cfg.Limits.MaxConnsPerUser)
		return nil, &engineio.Error{Code: 4, Message: "Forbidden"}
	}
	l := &lifted{handle: h, name: h.Pseudonym("count"), epoch: h.Epoch(), new: h.Fresh()}
	if l.new {
		l.named = s.cfg.Sessions.PresentedIDHash(c)
	}
	if !s.perSession.add(l.name, s.cfg.Limits.MaxConnsPerSession) {
		h.Release()
		s.log.Warn("socketbridge: a session has too many connections", "limit", s.cfg.Limits.MaxConnsPerSession)
		return nil, &engineio.Error{Code: 4, Message: "Forbidden"}
	}
	return l, nil
}

// same says whether a later request of a connection carries its session. A client
// that came without one, or with one that is no more, may go on as it came: then the
// connection's ID, which only it knows, is all there is to tell it by. So may one whose
// session has ended meanwhile, also without the cookie that it has just lost: there is
// nothing left to be had for it but the goodbye, which it would miss otherwise.
func (s *Server) same(c *fiber.Ctx, v any) bool {
	l, _ := v.(*lifted)
	if l == nil || l.handle == nil {
		return true
	}
	if l.new {
		if named := s.cfg.Sessions.PresentedIDHash(c); named == "" || named == l.named {
			return true
		}
	}
	if errors.Is(l.handle.Err(), fibersession.ErrSessionGone) && s.cfg.Sessions.PresentedIDHash(c) == "" {
		return true
	}
	return s.cfg.Sessions.Owns(c, l.handle)
}

// dropped lets go of what lift made, once.
func (s *Server) dropped(v any) {
	l, _ := v.(*lifted)
	if l == nil || l.handle == nil {
		return
	}
	if l.name != "" {
		s.perSession.remove(l.name)
	}
	l.handle.Release()
}

// sessionCounts counts connections per session. The zero value is ready.
type sessionCounts struct {
	mu sync.Mutex
	n  map[string]int
}

// add counts one more, unless there are limit already. A negative limit is none.
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
