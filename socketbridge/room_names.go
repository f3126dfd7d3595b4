package socketbridge

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxRoomName is the longest name of a room, in bytes.
const maxRoomName = 256

// reservedPrefix begins the names of the server's own rooms. Apps can neither see, address,
// join nor leave them: apps take room names from clients, and a client that could join a
// user's room would receive that user's messages. Apps that list a socket's rooms, such as
// to tell them that it leaves, mean the rooms that they made.
const reservedPrefix = "fiberbridge:"

func isReserved(room string) bool { return strings.HasPrefix(room, reservedPrefix) }

// emptyRoom is a room that is always empty.
const emptyRoom = reservedPrefix + "nobody"

// sessionRoom returns the name of the room of a session's sockets. It is derived from the
// session's lineage: it stays the same when the session gets a new ID, and does not reveal
// the ID.
func sessionRoom(ref SessionRef) string { return reservedPrefix + "session:" + ref.Pseudonym("room") }

// SessionName is a name of a session that reveals neither its ID nor its content: see
// RemoteSocket.Session. It is a SessionRef for ToSession.
type SessionName string

// Pseudonym implements SessionRef. It returns the name for all labels.
func (n SessionName) Pseudonym(string) string { return string(n) }

// userRoom returns the name of the room of a user's sockets. It contains a hash of the
// user's ID, so that IDs can have any form and length.
func (n *Namespace) userRoom(id string) string {
	if id == "" || n.server.cfg.Sessions == nil {
		return emptyRoom
	}
	return reservedPrefix + "user:" + n.server.cfg.Sessions.UserPseudonym(id, "room")
}

// userRooms returns the rooms of users. The result is never empty, because an empty list
// would address all sockets.
func (n *Namespace) userRooms(ids []string) []string {
	rooms := []string{emptyRoom}
	for _, id := range ids {
		rooms = append(rooms, n.userRoom(id))
	}
	return rooms
}

// checkRoomNames returns ErrRoomName if an app may not join or address one of the rooms.
func checkRoomNames(names []string) error {
	for _, name := range names {
		if name == "" || len(name) > maxRoomName || isReserved(name) || !utf8.ValidString(name) {
			return ErrRoomName
		}
	}
	return nil
}

// appRooms returns names without the server's own rooms.
func appRooms(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), isReserved)
}
