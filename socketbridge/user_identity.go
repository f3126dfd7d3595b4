package socketbridge

import (
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// identity is whose a socket is. It follows the session's user key.
type identity struct {
	mu   sync.Mutex // held while the user changes; no user code and no I/O meanwhile
	user string
	gone bool // the socket has ended: it follows no more
}

// User returns the ID of the user that this socket's session belongs to (see
// fibersession.Config.UserKey), or "". It follows logins and logouts at once. When
// the socket has ended it stays what it was then, so that disconnect handlers know.
func (s *Socket) User() string {
	s.identity.mu.Lock()
	defer s.identity.mu.Unlock()
	return s.identity.user
}

// followUser puts the socket into the room of its session's user, and out of that of
// who was the user before. With ErrTooManyConns it is in neither, and must not stay.
func (s *Socket) followUser() error {
	if s.session == nil {
		return nil
	}
	s.identity.mu.Lock()
	defer s.identity.mu.Unlock()
	was, now := s.identity.user, s.session.Fork().User() // what is stored, not what a handler is about to store
	if s.identity.gone || was == now || s.session.Err() != nil {
		return nil // a session that ended has no user to follow; it ends the socket
	}
	users, rooms := &s.server().users, &s.ns.rooms
	var err error
	if now != "" {
		err = users.enter(now, s.client)
	}
	if was != "" {
		rooms.leave(s, []string{s.ns.userRoom(was)})
		users.leave(was, s.client)
	}
	s.identity.user = ""
	if err != nil || now == "" {
		return err
	}
	s.identity.user = now
	return rooms.joinOwn(s, s.ns.userRoom(now))
}

// userEvent hears of changes of the session, on the goroutine of who made them.
func (s *Socket) userEvent(e fibersession.Event) {
	if e.Kind == fibersession.Changed && !slices.Contains(e.Keys, s.server().cfg.Sessions.UserKey()) {
		return
	}
	if err := s.followUser(); err != nil {
		s.log().Warn("socketbridge: a socket is disconnected at its user's login", "error", err)
		s.Disconnect()
	}
}

// leaveUser is the end of it. The room is left with all others.
func (s *Socket) leaveUser() {
	s.identity.mu.Lock()
	defer s.identity.mu.Unlock()
	if s.identity.gone {
		return
	}
	s.identity.gone = true
	if s.identity.user != "" {
		s.server().users.leave(s.identity.user, s.client)
	}
}
