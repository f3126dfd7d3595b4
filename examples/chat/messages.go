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

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Message is a message to a room or to a user.
type Message struct {
	ID     string `json:"id"` // chosen by the page; a message that is sent twice is stored once
	Number int    `json:"number,omitempty"`
	Room   string `json:"room,omitempty"`
	To     *User  `json:"to,omitempty"`
	From   User   `json:"from"`
	Text   string `json:"text"`
	Node   string `json:"node"` // the node that received it
	At     int64  `json:"at"`   // Unix milliseconds
}

// messageInput is the argument of "say" and "tell".
type messageInput struct{ ID, Room, To, Text string }

// readMessage validates the argument of an event, applies the rate limit and returns the
// input and the message without its receiver.
func (s *server) readMessage(p *socketbridge.Packet) (in messageInput, m Message, err error) {
	if err := p.Bind(&in); err != nil {
		return in, m, errText
	}
	text := strings.TrimSpace(in.Text)
	forbidden := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r)
	}
	if text == "" || utf8.RuneCountInString(text) > 1000 || strings.ContainsFunc(text, forbidden) || in.ID == "" || len(in.ID) > 40 {
		return in, m, errText
	}
	if limit, _ := p.Socket().Data().Get(dataLimiter).(*limiter); !limit.allow(time.Now()) {
		return in, m, errTooFast
	}
	return in, Message{ID: in.ID, From: currentUser(p.Socket()), Text: text, Node: s.node, At: time.Now().UnixMilli()}, nil
}

// say handles "say": it stores a message and sends it to all sockets in the room, including
// the sender's.
func (s *server) say(p *socketbridge.Packet) error {
	in, m, err := s.readMessage(p)
	if err != nil {
		return err
	}
	rooms, err := roomsOf(p.Session())
	if err != nil {
		return err
	}
	if !slices.Contains(rooms, in.Room) {
		return errNotMember
	}
	ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
	defer cancel()
	m.Room = in.Room
	if m, err = s.history.Add(ctx, m); err != nil {
		return err
	}
	if err := s.io.To(roomKey(m.Room)).Emit("message", m); err != nil {
		// Pages that did not receive it will see the gap in the numbers and load the history.
		slog.Error("a message was stored but could not be sent to all nodes", "error", err)
	}
	return errors.Join(s.list.Add(ctx, m.Room), p.Ack(m))
}

// tell handles "tell": it sends a private message to all sockets of the receiver and of the
// sender, on any node. The message is not stored.
func (s *server) tell(p *socketbridge.Packet) error {
	in, m, err := s.readMessage(p)
	if err != nil {
		return err
	}
	to, ok := parseUser(in.To)
	if !ok || to.ID == m.From.ID {
		return errNobody
	}
	online, err := s.io.User(to.ID).OnlineAnywhere(p.Context())
	if err != nil {
		return err
	}
	if !online {
		return errNobody
	}
	m.To = &to
	if err := s.io.ToUser(to.ID, m.From.ID).Emit("private", m); err != nil {
		return err
	}
	return p.Ack(m)
}

// typing handles "typing": it notifies the other users in a room. The event is volatile,
// because a late notice is useless: a socket that cannot receive it now never gets it.
func (s *server) typing(p *socketbridge.Packet) error {
	room, err := s.requireMember(p)
	if err != nil {
		return err
	}
	from := currentUser(p.Socket())
	return p.Socket().To(roomKey(room)).ExceptUser(from.ID).Volatile().Emit("typing", room, from)
}

// sendHistory handles "history": it answers with the last messages of a room.
func (s *server) sendHistory(p *socketbridge.Packet) error {
	room, err := s.requireMember(p)
	if err != nil {
		return err
	}
	messages, err := s.history.Last(p.Context(), room)
	if err != nil {
		return err
	}
	return p.Ack(messages)
}
