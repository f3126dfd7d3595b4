package main

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// addEvents adds the socket handlers of the events in events.go.
func (s *server) addEvents() {
	s.io.Use(s.authenticate)
	s.io.OnConnection(s.onConnection)
	s.io.OnSessionChange(s.onSessionChange)
	s.io.OnInvalidSession(onInvalidSession)
	s.io.OnPresence(s.onPresence)

	events := contract.Use(s.io, requireSameUser)
	Join.Handle(events, s.join)
	Leave.Handle(events, s.leave)
	ReadHistory.Handle(events, s.readHistory)
	ListPeople.Handle(events, s.listPeople)
	ListRooms.Handle(events, s.listRooms)
	Say.Handle(events, s.say)
	Tell.Handle(events, s.tell)
	Typing.Handle(events, s.typing)
}

// Errors whose text is shown to the user.
var (
	errRoomName     = &socketbridge.EventError{Code: "room_name", Message: "A room name needs 1 to 24 lower-case letters, digits and hyphens."}
	errTooManyRooms = &socketbridge.EventError{Code: "too_many_rooms", Message: "You have joined too many rooms. Leave one first."}
	errNotMember    = &socketbridge.EventError{Code: "not_member", Message: "Join the room first."}
	errText         = &socketbridge.EventError{Code: "text", Message: "A message needs 1 to 1000 characters."}
	errTooFast      = &socketbridge.EventError{Code: "too_fast", Message: "You are sending too fast. Please wait a few seconds."}
	errNobody       = &socketbridge.EventError{Code: "nobody", Message: "That user is not online."}
)

// onConnection sends the page its user and node, and joins the rooms of its session. The
// session keeps the rooms, so they are the same on every node.
func (s *server) onConnection(socket *socketbridge.Socket) {
	socket.OnError(logError)
	socket.OnDisconnecting(func(socketbridge.Reason) {
		for _, room := range joinedRooms(socket) {
			// This can fail while the node shuts down. onPresence then notifies the others.
			_ = PeopleChanged.Emit(socket.To(roomKey(room)), room)
		}
	})
	_ = Hello.Emit(socket, Greeting{Me: currentUser(socket), Node: s.node})
	s.syncRooms(socket)
}

// onSessionChange disconnects a socket whose session now belongs to another user, and
// otherwise joins and leaves rooms to match the session.
func (s *server) onSessionChange(socket *socketbridge.Socket, keys []string) {
	if socket.User() != currentUser(socket).ID {
		socket.Disconnect() // the page reconnects and receives its new user
		return
	}
	if keys == nil || slices.Contains(keys, string(roomsKey)) {
		s.syncRooms(socket)
	}
}

// onInvalidSession sends the page the reason before its socket is disconnected.
func onInvalidSession(socket *socketbridge.Socket, err error) {
	switch {
	case errors.Is(err, fibersession.ErrExpired):
		_ = Ended.Emit(socket, Expired)
	case errors.Is(err, fibersession.ErrSessionGone):
		_ = Ended.Emit(socket, LoggedOut)
	}
}

// onPresence runs on one node of the cluster when a user comes online or goes offline, even
// if the user's node crashed. All pages then request the members of the room they show.
func (s *server) onPresence(string, bool) {
	if err := PeopleChanged.Emit(s.io, ""); err != nil {
		slog.Error("could not notify pages of a presence change", "error", err)
	}
}

// requireSameUser runs before each event handler. It compares the session's user, reloaded
// for this event, with the user that the socket was authenticated as.
func requireSameUser(p *socketbridge.Packet) error {
	if p.Session().User() != currentUser(p.Socket()).ID {
		p.Socket().Disconnect()
		return nil
	}
	return p.Next()
}

// logError logs the errors of handlers that are not an answer to the page.
func logError(p *socketbridge.Packet, err error) {
	var answer *socketbridge.EventError
	var misfit *socketbridge.ArgumentError
	if !errors.As(err, &answer) && !errors.As(err, &misfit) {
		slog.Error("event handler failed", "event", p.Event(), "error", err)
	}
}
