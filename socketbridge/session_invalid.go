package socketbridge

import (
	"errors"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// OnInvalidSession adds a handler for sockets whose session is no good, which can
// still Emit to the client. Why, errors.Is tells:
//
//   - ErrSessionMissing: the client has none and needs one (RequireSession);
//   - fibersession.ErrSessionGone: it has ended, as fibersession.ErrExpired,
//     fibersession.ErrDestroyed or fibersession.ErrCorrupt;
//   - fibersession.ErrUnavailable or fibersession.ErrUnknownOutcome: the store failed.
//
// A client that connects is told that it is connected, the handlers run, and it is
// disconnected: there is no OnConnection, no event, no broadcast, no room, and Session
// is nil unless the cause is ErrSessionMissing. Without a handler it is refused, with
// a connect_error whose data has the code session_missing, session_gone or
// session_unavailable.
//
// A socket whose session ends is disconnected (see Config.OnExpiry) when the handlers
// have returned. They run apart from its events, of which one may still be at work;
// no other begins, and broadcasts pass the socket by.
//
// When the store fails as the session of an event is read or touched, the handlers run before
// that event ends with its error, for each such event. The socket stays.
func (n *Namespace) OnInvalidSession(fn func(s *Socket, err error)) *Namespace {
	return n.set(func(s *settings) { s.invalid = with(s.invalid, fn) })
}

// tellInvalid runs the handlers.
func (s *Socket) tellInvalid(err error) {
	for _, fn := range s.settings.invalid {
		s.guard("OnInvalidSession", func() { fn(s, err) })
	}
}

// invalidSession says whether err is the session's, and not a word of the app's own.
func invalidSession(err error) bool {
	var (
		ce *ConnectError
		ee *EventError
	)
	switch {
	case errors.As(err, &ce), errors.As(err, &ee), errors.Is(err, fibersession.ErrTicket):
		return false
	}
	return errors.Is(err, ErrSessionMissing) || errors.Is(err, fibersession.ErrSessionGone) || storeFailed(err)
}

func storeFailed(err error) bool {
	return errors.Is(err, fibersession.ErrUnavailable) || errors.Is(err, fibersession.ErrUnknownOutcome)
}

// receive lets the handlers have a word with a client that cannot be admitted. It is
// false when there are none, or err is not for them.
func (s *Socket) receive(err error) bool {
	if len(s.settings.invalid) == 0 || !invalidSession(err) {
		return false
	}
	s.muted.Store(true)
	s.mu.Lock()
	s.guest = true
	if s.left != nil {
		s.left = nil // and what it had missed, too
	}
	s.early, s.held = nil, nil // what was emitted to it was for somebody who was admitted
	s.mu.Unlock()
	if s.announce() != nil {
		return false
	}
	s.log().Info("socketbridge: a client without a good session is disconnected", "error", err, "remote", s.Handshake().RemoteIP)
	s.tellInvalid(err)
	s.Disconnect()
	return true
}

// unavailable tells the handlers that the store failed for an event.
func (s *Socket) unavailable(err error) {
	if storeFailed(err) && !s.life.Canceled() {
		s.tellInvalid(err)
	}
}
