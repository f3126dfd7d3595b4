package socketbridge

import (
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// identity is the user of a socket. It follows the session's user key.
type identity struct {
	mu    sync.Mutex // held while the user changes, but not during user code or I/O
	user  string
	final bool // the socket has ended, and no longer follows the session
}

// User returns the ID of the user that this socket's session belongs to (see
// fibersession.Config.UserKey), or "". Logins and logouts change it at once. It no longer
// changes once the socket has ended, so that disconnect handlers can use it.
func (s *Socket) User() string {
	s.identity.mu.Lock()
	defer s.identity.mu.Unlock()
	return s.identity.user
}

// followUser moves the socket from the room of its previous user to the room of its
// session's user. If it returns ErrTooManyConns the socket is in neither room, and must
// be disconnected.
func (s *Socket) followUser() error {
	if s.session == nil {
		return nil
	}
	s.identity.mu.Lock()
	defer s.identity.mu.Unlock()
	was, now := s.identity.user, s.session.Fork().User() // the stored user: handlers may have unsaved changes
	if s.identity.final || was == now || s.session.Err() != nil {
		return nil // the end of a session ends its sockets elsewhere
	}
	users, rooms := &s.server().users, &s.ns.rooms
	var err error
	if now != "" {
		err = users.addSocket(now, s.client)
	}
	if was != "" {
		rooms.leave(s, []string{s.ns.userRoom(was)})
		users.removeSocket(was, s.client)
	}
	s.identity.user = ""
	if err != nil || now == "" {
		return err
	}
	s.identity.user = now
	return rooms.joinReserved(s, s.ns.userRoom(now))
}

// userEvent handles a change of the session, on the goroutine that made the change.
func (s *Socket) userEvent(e fibersession.Event) {
	if e.Kind == fibersession.Changed && !slices.Contains(e.Keys, s.server().cfg.Sessions.UserKey) {
		return
	}
	if err := s.followUser(); err != nil {
		s.report(&userChangeNotice, "", "error", err)
		s.Disconnect()
	}
}

// leaveUser ends the socket's use of its user when the socket has ended. The socket leaves
// the user's room later, with all its other rooms.
func (s *Socket) leaveUser() {
	s.identity.mu.Lock()
	defer s.identity.mu.Unlock()
	if s.identity.final {
		return
	}
	s.identity.final = true
	if s.identity.user != "" {
		s.server().users.removeSocket(s.identity.user, s.client)
	}
}
