package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// What a socket of the chat says and hears:
//
//	server → page   hello {me, node}           who is signed in, and where the page is connected
//	                rooms names                the rooms that the session is in
//	                message m, private m       somebody spoke, in a room or to this user
//	                typing room user           somebody is about to
//	                people room, list          ask again who is in a room, which rooms there are
//	                ended why                  the session is over: "expired" or "logged out"
//
//	page → server   join room, leave room
//	                history room, people room, list      answered with a list
//	                say {id, room, text}, tell {id, to, text}
//	                typing room
func (s *site) live() {
	s.io.Use(s.admit)
	s.io.OnConnection(s.welcome)
	s.io.OnSessionChange(s.sessionChanged)
	s.io.OnInvalidSession(goodbye)
	s.io.OnPresence(s.presence)
	for event, handler := range map[string]socketbridge.Handler{
		"join":    s.join,
		"leave":   s.leave,
		"history": s.lastWords,
		"people":  s.people,
		"list":    s.roomList,
		"say":     s.say,
		"tell":    s.tell,
		"typing":  s.typing,
	} {
		s.io.On(event, sameUser, inWords, handler)
	}
}

// What the page is told of in words.
var (
	errRoomName     = &socketbridge.EventError{Code: "room_name", Message: "A room's name has 1 to 24 small letters, digits and hyphens."}
	errTooManyRooms = &socketbridge.EventError{Code: "too_many_rooms", Message: "You are in as many rooms as one can be. Leave one first."}
	errNotMember    = &socketbridge.EventError{Code: "not_member", Message: "Join the room first."}
	errText         = &socketbridge.EventError{Code: "text", Message: "A message has 1 to 1000 characters."}
	errTooFast      = &socketbridge.EventError{Code: "too_fast", Message: "That was fast. Please wait a few seconds."}
	errNobody       = &socketbridge.EventError{Code: "nobody", Message: "Nobody of that name is here now."}
	errFailed       = &socketbridge.EventError{Code: "failed", Message: "That went wrong. Please try again in a moment."}
)

// welcome tells a page whose it is and where, and brings it into its rooms: on
// whatever node it was before, they are the session's.
func (s *site) welcome(socket *socketbridge.Socket) {
	socket.OnError(func(p *socketbridge.Packet, err error) {
		if _, told := err.(*socketbridge.EventError); !told {
			slog.Error("an event failed", "event", p.Event(), "error", err)
		}
	})
	socket.OnDisconnecting(func(socketbridge.Reason) {
		for _, room := range joined(socket) {
			_ = socket.To(roomKey(room)).Emit("people", room) // while it stops, others may not be told: presence tells them
		}
	})
	_ = socket.Emit("hello", map[string]any{"me": me(socket), "node": s.node})
	s.follow(socket)
}

// sessionChanged ends a socket whose session has become somebody else's, and has all
// others follow it into its rooms.
func (s *site) sessionChanged(socket *socketbridge.Socket, keys []string) {
	if socket.User() != me(socket).ID {
		socket.Disconnect() // its page comes back, and is told anew whose it is
		return
	}
	if keys == nil || slices.Contains(keys, roomsKey) {
		s.follow(socket)
	}
}

// goodbye is the last word to a page whose session has ended, on whatever node.
func goodbye(socket *socketbridge.Socket, err error) {
	switch {
	case errors.Is(err, fibersession.ErrExpired):
		_ = socket.Emit("ended", "expired")
	case errors.Is(err, fibersession.ErrSessionGone):
		_ = socket.Emit("ended", "logged out")
	}
}

// presence is told once in the whole cluster when somebody comes and goes; also of
// those whose node died without a word.
func (s *site) presence(string, bool) {
	if err := s.io.Emit("people", ""); err != nil { // of whatever room is shown
		slog.Error("presence was not told", "error", err)
	}
}

// sameUser stands before every event: the session, which was read anew for it, must
// still be that of the user whom the socket was admitted as.
func sameUser(p *socketbridge.Packet) error {
	if p.Session().User() != me(p.Socket()).ID {
		p.Socket().Disconnect()
		return nil
	}
	return p.Next()
}

// inWords tells the page in words what went wrong: what it can mend, or that it cannot.
func inWords(p *socketbridge.Packet) error {
	err := p.Next()
	if told := (*socketbridge.EventError)(nil); err == nil || errors.As(err, &told) {
		return err
	}
	return errors.Join(errFailed, err)
}

// member returns the room that an event names, if its session is in it.
func (s *site) member(p *socketbridge.Packet) (string, error) {
	var room string
	if err := p.Bind(&room); err != nil || !slices.Contains(roomsOf(p.Session()), room) {
		return "", errNotMember
	}
	return room, nil
}

func (s *site) lastWords(p *socketbridge.Packet) error {
	room, err := s.member(p)
	if err != nil {
		return err
	}
	messages, err := s.history.Last(p.Context(), room)
	if err != nil {
		return err
	}
	return p.Ack(messages)
}

func (s *site) roomList(p *socketbridge.Packet) error {
	rooms, err := s.list.All(p.Context())
	if err != nil {
		return err
	}
	return p.Ack(rooms)
}

// said is what a page sends of a message.
type said struct{ ID, Room, To, Text string }

// spoken checks what was said, and makes a message of it.
func (s *site) spoken(p *socketbridge.Packet) (in said, m Message, err error) {
	if err := p.Bind(&in); err != nil {
		return in, m, errText
	}
	text := strings.TrimSpace(in.Text)
	bad := func(r rune) bool { return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) }
	if text == "" || utf8.RuneCountInString(text) > 1000 || strings.ContainsFunc(text, bad) || in.ID == "" || len(in.ID) > 40 {
		return in, m, errText
	}
	if own, _ := p.Socket().Data().Get(dataPace).(*pace); !own.take(time.Now()) {
		return in, m, errTooFast
	}
	return in, Message{ID: in.ID, From: me(p.Socket()), Text: text, Node: s.node, At: time.Now().UnixMilli()}, nil
}

// say keeps a message, and then tells it to the room, its sender's tabs included.
func (s *site) say(p *socketbridge.Packet) error {
	in, m, err := s.spoken(p)
	if err != nil {
		return err
	}
	if !slices.Contains(roomsOf(p.Session()), in.Room) {
		return errNotMember
	}
	ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
	defer cancel()
	m.Room = in.Room
	if m, err = s.history.Add(ctx, m); err != nil {
		return err
	}
	if err := s.io.To(roomKey(m.Room)).Emit("message", m); err != nil {
		slog.Error("a message is kept, but not all nodes were told", "error", err) // their pages find it by its number
	}
	return errors.Join(s.list.Add(ctx, m.Room), p.Ack(m))
}

// tell sends a message to all tabs of a user, on whatever nodes, and to the sender's
// own. It is kept nowhere.
func (s *site) tell(p *socketbridge.Packet) error {
	in, m, err := s.spoken(p)
	if err != nil {
		return err
	}
	to, ok := userNamed(in.To)
	if !ok || to.ID == m.From.ID {
		return errNobody
	}
	here, err := s.io.User(to.ID).OnlineAnywhere(p.Context())
	if err != nil {
		return err
	}
	if !here {
		return errNobody
	}
	m.To = &to
	if err := s.io.ToUser(to.ID, m.From.ID).Emit("private", m); err != nil {
		return err
	}
	return p.Ack(m)
}

// typing tells the others in a room. It is worth nothing later, so it never waits.
func (s *site) typing(p *socketbridge.Packet) error {
	room, err := s.member(p)
	if err != nil {
		return err
	}
	from := me(p.Socket())
	return p.Socket().To(roomKey(room)).ExceptUser(from.ID).Volatile().Emit("typing", room, from)
}
