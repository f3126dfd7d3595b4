package socketbridge

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// reservedPrefix begins the names of the rooms that the bridge itself keeps. An app can
// neither join nor leave them: a room's name may come from a client, and who could
// join a user's room would read that user's messages.
const reservedPrefix = "fiberbridge:"

// emptyRoom is a room that is always empty.
const emptyRoom = reservedPrefix + "nobody"

// everybody is the share of what is sent to all. No room has that name.
const everybody = reservedPrefix + "everybody"

// sessionRooms begins the names of the rooms of sessions.
const sessionRooms = reservedPrefix + "session:"

// sessionRoom is the room that all sockets of a session are in. Its name is keyed
// by the session's lineage: it outlives a new ID, and an ID is never in it.
func sessionRoom(ref SessionRef) string { return sessionRooms + ref.Pseudonym("room") }

// userRoom is the room that all sockets of a user are in. Its name is a hash of the
// user's ID, which can thus have any form and length.
func (n *Namespace) userRoom(id string) string {
	if id == "" || n.server.cfg.Sessions == nil {
		return emptyRoom
	}
	return reservedPrefix + "user:" + n.server.cfg.Sessions.UserPseudonym(id, "room")
}

// userRooms never returns none, which would address everybody.
func (n *Namespace) userRooms(ids []string) []string {
	rooms := []string{emptyRoom}
	for _, id := range ids {
		rooms = append(rooms, n.userRoom(id))
	}
	return rooms
}

// checkRoomNames says whether an app may join rooms of these names.
func checkRoomNames(names []string) error {
	for _, name := range names {
		if name == "" || len(name) > maxRoomName || strings.HasPrefix(name, reservedPrefix) || !utf8.ValidString(name) {
			return ErrRoomName
		}
	}
	return nil
}

// appRooms returns names without the bridge's own.
func appRooms(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.HasPrefix(name, reservedPrefix) })
}

const maxRoomName = 256
