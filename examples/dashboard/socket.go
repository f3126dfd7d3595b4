package main

import (
	"errors"
	"log/slog"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// What a socket of the dashboard says and hears:
//
//	server → page   hello user             who is signed in
//	                ended why              the session is over: "expired" or "logged out"
//	                comment c              somebody of the friends said something
//	                presence id online     a friend came or went
//	                changed what           ask again for "friends" or "devices"
//
//	page → server   friends, comments, devices                answered with a list
//	                say text
//	                ask login, accept id, remove id           a friend
//	                end id                                    a device
//
// A list is never pushed: two of them could overtake each other. The page is told
// that it changed, and asks.
func (s *site) live() {
	s.io.Use(s.admit)
	s.io.OnConnection(s.welcome)
	s.io.OnSessionChange(sameUser)
	s.io.OnInvalidSession(goodbye)
	s.io.OnPresence(s.presence)
	for event, handler := range map[string]socketbridge.Handler{
		"friends":  s.friendList,
		"ask":      s.askFriend,
		"accept":   s.acceptFriend,
		"remove":   s.removeFriend,
		"comments": s.commentList,
		"say":      s.say,
		"devices":  s.deviceList,
		"end":      s.endDevice,
	} {
		s.io.On(event, s.member, inWords, handler)
	}
}

const meKey = "me" // of Socket.Data

// me is the user whom a socket was admitted as.
func me(socket *socketbridge.Socket) User {
	user, _ := socket.Data().Get(meKey).(User)
	return user
}

// admit lets in the sockets of sessions that have a user.
func (s *site) admit(c *socketbridge.Connect) error {
	user, err := s.users.ByID(c.Context(), c.Session().User())
	if errors.Is(err, errNoUser) {
		return &socketbridge.ConnectError{Message: "Log in first.", Data: map[string]string{"code": "not_logged_in"}}
	}
	if err != nil {
		return err
	}
	c.Socket().Data().Set(meKey, user)
	return c.Next()
}

// welcome tells a page whose it is.
func (s *site) welcome(socket *socketbridge.Socket) {
	user := me(socket)
	socket.OnError(failed)
	_ = socket.Emit("hello", user) // when it has gone already, nobody misses it
	s.changed("devices", user.ID)
}

// sameUser ends a socket whose session has become somebody else's. Its page comes
// back, and is told anew whose it is.
func sameUser(socket *socketbridge.Socket, _ []string) {
	if socket.User() != me(socket).ID {
		socket.Disconnect()
	}
}

// goodbye is the last word to a page whose session has ended, however it ended. When
// the store could not be asked there is nothing to say: the page tries again.
func goodbye(socket *socketbridge.Socket, err error) {
	switch {
	case errors.Is(err, fibersession.ErrExpired):
		_ = socket.Emit("ended", "expired")
	case errors.Is(err, fibersession.ErrSessionGone):
		_ = socket.Emit("ended", "logged out")
	}
}

// member stands before every event: the session, which was read anew for it, must
// still be that of the user whom the socket was admitted as; sameUser comes
// too late for events that waited.
func (s *site) member(p *socketbridge.Packet) error {
	if p.Session().User() != me(p.Socket()).ID {
		p.Socket().Disconnect()
		return nil
	}
	return p.Next()
}

// inWords tells the page in words what went wrong: what it can mend, or that it
// cannot.
func inWords(p *socketbridge.Packet) error {
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

// failed logs the errors that are not just the page's to mend.
func failed(p *socketbridge.Packet, err error) {
	if _, told := err.(*socketbridge.EventError); !told {
		slog.Error("dashboard: an event failed", "event", p.Event(), "error", err)
	}
}

// text returns the one argument of an event.
func text(p *socketbridge.Packet) (string, error) {
	var arg string
	if err := p.Bind(&arg); err != nil {
		return "", errors.Join(ErrBadRequest, err)
	}
	return arg, nil
}

// changed tells the pages of users to ask again for a list.
func (s *site) changed(what string, users ...string) {
	if err := s.io.ToUser(users...).Emit("changed", what); err != nil {
		slog.Error("dashboard: a list's change was not told", "error", err)
	}
}
