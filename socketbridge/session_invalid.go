package socketbridge

import (
	"errors"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// OnInvalidSession adds a handler for sockets without a valid session. The handler can
// still Emit to the client. The error says why the session is invalid, by errors.Is:
//
//   - ErrSessionMissing: the client has no session, but RequireSession demands one;
//   - fibersession.ErrSessionGone: the session has ended. The error also is
//     fibersession.ErrExpired, fibersession.ErrDestroyed or fibersession.ErrCorrupt;
//   - fibersession.ErrUnavailable or fibersession.ErrUnknownOutcome: the store failed.
//
// When a client without a valid session connects, its CONNECT is confirmed, the handlers
// run, and the client is disconnected. OnConnection, events, broadcasts and rooms are
// skipped, and Socket.Session is nil unless the error is ErrSessionMissing. Without a
// handler, the client is refused with a connect_error whose data has the code
// session_missing, session_gone or session_unavailable.
//
// When the session of a connected socket ends, the handlers run first and the socket is
// disconnected afterwards (see Config.OnExpiry). No further event is handled and
// broadcasts skip the socket. The handlers do not wait for an event that is still being
// handled.
//
// When the store fails to load the session for an event, the handlers run
// before the event ends with the error, for every such event. The socket stays
// connected. OnInvalidSession returns n.
func (n *Namespace) OnInvalidSession(fn func(s *Socket, err error)) *Namespace {
	needFunc("OnInvalidSession", fn != nil)
	return n.update(func(s *settings) { s.invalid = with(s.invalid, fn) })
}

// notifyInvalid runs the OnInvalidSession handlers.
func (s *Socket) notifyInvalid(err error) {
	for _, fn := range s.settings.invalid {
		s.guard("OnInvalidSession", func() { fn(s, err) })
	}
}

// notifyStoreFailed runs the OnInvalidSession handlers if err says that the store failed.
func (s *Socket) notifyStoreFailed(err error) {
	if storeFailed(err) && !s.ctx.Canceled() {
		s.notifyInvalid(err)
	}
}

// isSessionError reports whether err is about the session, rather than a refusal of the
// app's own or an invalid ticket.
func isSessionError(err error) bool {
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

// connectInvalid connects a client that is refused because of err, runs the
// OnInvalidSession handlers, which can emit to it, and disconnects it. It returns false
// if there are no handlers or err is not about the session.
func (s *Socket) connectInvalid(err error) bool {
	if len(s.settings.invalid) == 0 || !isSessionError(err) {
		return false
	}
	s.muted.Store(true)
	s.mu.Lock()
	s.refused = true
	if s.recovery.restored != nil {
		s.recovery.restored = nil // the client must not get the events that it missed
	}
	s.early = nil // emitted by middlewares for a client that would be admitted
	s.mu.Unlock()
	if s.announce() != nil {
		return false
	}
	s.report(&sessionInvalidNotice, "", "error", err)
	s.notifyInvalid(err)
	s.Disconnect()
	return true
}
