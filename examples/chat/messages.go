package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// send returns the message that a draft becomes, or errTooFast.
func (s *server) send(p *socketbridge.Packet, in Draft) (Message, error) {
	if limit, _ := p.Socket().Data().Get(dataLimiter).(*limiter); !limit.allow(time.Now()) {
		return Message{}, errTooFast
	}
	return Message{ID: in.ID, From: currentUser(p.Socket()), Text: string(in.Text), Node: s.node, At: time.Now().UnixMilli()}, nil
}

// say handles Say: it stores a message and sends it to all sockets in the room, including the
// sender's.
func (s *server) say(p *socketbridge.Packet, in SayIn) (RoomMessage, error) {
	m := RoomMessage{Room: in.Room}
	var err error
	if m.Message, err = s.send(p, in.Draft); err != nil {
		return m, err
	}
	if err := requireMember(p, in.Room); err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
	defer cancel()
	if m, err = s.history.Add(ctx, m); err != nil {
		return m, err
	}
	if err := Said.Emit(s.io.To(roomKey(m.Room)), m); err != nil {
		// Pages that did not receive it will see the gap in the numbers and load the history.
		slog.Error("a message was stored but could not be sent to all nodes", "error", err)
	}
	if err := s.list.Add(ctx, m.Room); err != nil {
		slog.Error("a room could not be kept in the list of rooms", "error", err)
	}
	return m, nil
}

// tell handles Tell: it sends a private message to all sockets of the receiver and of the
// sender, on any node. The message is not stored.
func (s *server) tell(p *socketbridge.Packet, in TellIn) (m PrivateMessage, err error) {
	if m.Message, err = s.send(p, in.Draft); err != nil {
		return m, err
	}
	var ok bool
	if m.To, ok = parseUser(in.To); !ok || m.To.ID == m.From.ID {
		return m, errNobody
	}
	online, err := s.io.User(m.To.ID).OnlineAnywhere(p.Context())
	if err != nil {
		return m, err
	}
	if !online {
		return m, errNobody
	}
	return m, Told.Emit(s.io.ToUser(m.To.ID, m.From.ID), m)
}

// typing handles Typing: it notifies the other users in a room. The event is volatile, because a
// late notice is useless: a socket that cannot receive it now never gets it.
func (s *server) typing(p *socketbridge.Packet, room string) (none contract.None, err error) {
	if err := requireMember(p, room); err != nil {
		return none, err
	}
	from := currentUser(p.Socket())
	return none, SomeoneTypes.Emit(p.Socket().To(roomKey(room)).ExceptUser(from.ID).Volatile(), TypingUser{Room: room, User: from})
}

// readHistory handles ReadHistory.
func (s *server) readHistory(p *socketbridge.Packet, room string) ([]RoomMessage, error) {
	if err := requireMember(p, room); err != nil {
		return nil, err
	}
	return s.history.Last(p.Context(), room)
}
