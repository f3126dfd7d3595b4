package main

import (
	"errors"
	"log/slog"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// addEvents adds the socket handlers. The events are:
//
//	server → page   hello user             the user who is logged in
//	                ended reason           the session has ended: "expired" or "logged out"
//	                comment c              the user or a friend has posted a comment
//	                presence id online     a friend came online or went offline
//	                changed list           request the list "friends" or "devices" again
//
//	page → server   friends, comments, devices                answered with a list
//	                say text                                  posts a comment
//	                ask login, accept id, remove id           change friends
//	                end id                                    logs a device out
//
// The server never pushes a list, because two pushed lists could arrive in the wrong order.
// It notifies the page of the change, and the page requests the list.
func (s *server) addEvents() {
	s.io.Use(s.authenticate)
	s.io.OnConnection(s.onConnection)
	s.io.OnSessionChange(onSessionChange)
	s.io.OnInvalidSession(onInvalidSession)
	s.io.OnPresence(s.onPresence)
	for event, handler := range map[string]socketbridge.Handler{
		"friends":  s.listFriends,
		"ask":      s.askFriend,
		"accept":   s.acceptFriend,
		"remove":   s.removeFriend,
		"comments": s.listComments,
		"say":      s.say,
		"devices":  s.listDevices,
		"end":      s.endDevice,
	} {
		s.io.On(event, requireSameUser, translateErrors, handler)
	}
}

const userKey = "me" // the key of the User in Socket.Data

// currentUser returns the user that authenticate found for a socket.
func currentUser(socket *socketbridge.Socket) User {
	user, _ := socket.Data().Get(userKey).(User)
	return user
}

// authenticate rejects sockets whose session has no user.
func (s *server) authenticate(c *socketbridge.Connect) error {
	user, err := s.users.ByID(c.Context(), c.Session().User())
	if errors.Is(err, errNoUser) {
		return &socketbridge.ConnectError{Message: "Please log in first.", Data: map[string]string{"code": "not_logged_in"}}
	}
	if err != nil {
		return err
	}
	c.Socket().Data().Set(userKey, user)
	return c.Next()
}

// onConnection sends the page its user.
func (s *server) onConnection(socket *socketbridge.Socket) {
	user := currentUser(socket)
	socket.OnError(logError)
	_ = socket.Emit("hello", user) // fails only if the socket has already disconnected
	s.notifyChanged("devices", user.ID)
}

// onSessionChange disconnects a socket whose session now belongs to another user. The page
// reconnects and receives its new user.
func onSessionChange(socket *socketbridge.Socket, _ []string) {
	if socket.User() != currentUser(socket).ID {
		socket.Disconnect()
	}
}

// onInvalidSession sends the page the reason before its socket is disconnected. If the
// session could not be loaded there is no reason to send: the page tries again.
func onInvalidSession(socket *socketbridge.Socket, err error) {
	switch {
	case errors.Is(err, fibersession.ErrExpired):
		_ = socket.Emit("ended", "expired")
	case errors.Is(err, fibersession.ErrSessionGone):
		_ = socket.Emit("ended", "logged out")
	}
}

// requireSameUser runs before each event handler. It compares the session's user, reloaded
// for this event, with the user that the socket was authenticated as. onSessionChange alone
// would be too late for events that were already queued.
func requireSameUser(p *socketbridge.Packet) error {
	if p.Session().User() != currentUser(p.Socket()).ID {
		p.Socket().Disconnect()
		return nil
	}
	return p.Next()
}

// translateErrors answers an event that failed: with the text of a *Problem, or with
// ErrFailed for any other error, which logError then logs.
func translateErrors(p *socketbridge.Packet) error {
	err := p.Next()
	var problem *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problem):
		return problem.event()
	}
	return errors.Join(ErrFailed.event(), err)
}

// logError logs errors that are not a *Problem.
func logError(p *socketbridge.Packet, err error) {
	if problem := (*socketbridge.EventError)(nil); !errors.As(err, &problem) {
		slog.Error("dashboard: event handler failed", "event", p.Event(), "error", err)
	}
}

// textArg returns the single text argument of an event.
func textArg(p *socketbridge.Packet) (string, error) {
	var arg string
	if err := p.Bind(&arg); err != nil {
		return "", errors.Join(ErrBadRequest, err)
	}
	return arg, nil
}

// notifyChanged notifies all pages of the users that a list has changed.
func (s *server) notifyChanged(list string, users ...string) {
	if err := s.io.ToUser(users...).Emit("changed", list); err != nil {
		slog.Error("dashboard: could not notify users of a changed list", "list", list, "error", err)
	}
}
