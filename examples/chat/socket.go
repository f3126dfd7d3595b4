package main

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// addEvents adds the socket handlers. The events are:
//
//	server → page   hello {me, node}           the user who is logged in, and the page's node
//	                rooms names                the rooms that the session has joined
//	                message m, private m       a new message in a room, or to this user
//	                typing room user           a user is typing
//	                people room, list          request the room's members, or the list of rooms, again
//	                ended reason               the session has ended: "expired" or "logged out"
//
//	page → server   join room, leave room
//	                history room, people room, list      answered with a list
//	                say {id, room, text}                 sends a message to a room
//	                tell {id, to, text}                  sends a private message
//	                typing room
func (s *server) addEvents() {
	s.io.Use(s.authenticate)
	s.io.OnConnection(s.onConnection)
	s.io.OnSessionChange(s.onSessionChange)
	s.io.OnInvalidSession(onInvalidSession)
	s.io.OnPresence(s.onPresence)
	for event, handler := range map[string]socketbridge.Handler{
		"join":    s.join,
		"leave":   s.leave,
		"history": s.sendHistory,
		"people":  s.listPeople,
		"list":    s.listRooms,
		"say":     s.say,
		"tell":    s.tell,
		"typing":  s.typing,
	} {
		s.io.On(event, requireSameUser, translateErrors, handler)
	}
}

// Errors whose text is shown to the user.
var (
	errRoomName     = &socketbridge.EventError{Code: "room_name", Message: "A room name needs 1 to 24 lower-case letters, digits and hyphens."}
	errTooManyRooms = &socketbridge.EventError{Code: "too_many_rooms", Message: "You have joined too many rooms. Leave one first."}
	errNotMember    = &socketbridge.EventError{Code: "not_member", Message: "Join the room first."}
	errText         = &socketbridge.EventError{Code: "text", Message: "A message needs 1 to 1000 characters."}
	errTooFast      = &socketbridge.EventError{Code: "too_fast", Message: "You are sending too fast. Please wait a few seconds."}
	errNobody       = &socketbridge.EventError{Code: "nobody", Message: "That user is not online."}
	errFailed       = &socketbridge.EventError{Code: "failed", Message: "Something went wrong. Please try again in a moment."}
)

// onConnection sends the page its user and node, and joins the rooms of its session. The
// session keeps the rooms, so they are the same on every node.
func (s *server) onConnection(socket *socketbridge.Socket) {
	socket.OnError(logError)
	socket.OnDisconnecting(func(socketbridge.Reason) {
		for _, room := range joinedRooms(socket) {
			// This can fail while the node shuts down. onPresence then notifies the others.
			_ = socket.To(roomKey(room)).Emit("people", room)
		}
	})
	_ = socket.Emit("hello", map[string]any{"me": currentUser(socket), "node": s.node})
	s.syncRooms(socket)
}

// onSessionChange disconnects a socket whose session now belongs to another user, and
// otherwise joins and leaves rooms to match the session.
func (s *server) onSessionChange(socket *socketbridge.Socket, keys []string) {
	if socket.User() != currentUser(socket).ID {
		socket.Disconnect() // the page reconnects and receives its new user
		return
	}
	if keys == nil || slices.Contains(keys, roomsKey) {
		s.syncRooms(socket)
	}
}

// onInvalidSession sends the page the reason before its socket is disconnected.
func onInvalidSession(socket *socketbridge.Socket, err error) {
	switch {
	case errors.Is(err, fibersession.ErrExpired):
		_ = socket.Emit("ended", "expired")
	case errors.Is(err, fibersession.ErrSessionGone):
		_ = socket.Emit("ended", "logged out")
	}
}

// onPresence runs on one node of the cluster when a user comes online or goes offline, even
// if the user's node crashed. All pages then request the members of the room they show.
func (s *server) onPresence(string, bool) {
	if err := s.io.Emit("people", ""); err != nil {
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

// translateErrors answers an event that failed: with its *EventError, or with errFailed for
// any other error, which logError then logs.
func translateErrors(p *socketbridge.Packet) error {
	err := p.Next()
	if visible := (*socketbridge.EventError)(nil); err == nil || errors.As(err, &visible) {
		return err
	}
	return errors.Join(errFailed, err)
}

// logError logs errors that are more than an *EventError.
func logError(p *socketbridge.Packet, err error) {
	if visible := (*socketbridge.EventError)(nil); !errors.As(err, &visible) {
		slog.Error("event handler failed", "event", p.Event(), "error", err)
	}
}
