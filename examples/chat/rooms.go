package main

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

const (
	roomsKey  = "rooms" // the session value with the rooms of all its tabs, on any node
	firstRoom = "lobby"
	maxRooms  = 20 // per session

	roomListLife = 24 * time.Hour // after the last join or message
	roomListSize = 100
)

var roomPattern = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}][\p{Ll}\p{Lo}\p{N}-]{0,23}$`)

// roomKey returns the name of a chat room's socketbridge room.
func roomKey(room string) string { return "room:" + room }

// roomsOf returns the rooms of a session.
func roomsOf(s fibersession.Getter) ([]string, error) {
	return fibersession.Value[[]string](s, roomsKey)
}

// RoomList is the directory of rooms that users joined or wrote in within the last day.
type RoomList struct{ index storage.Index }

func newRoomList(store storage.Storage) (RoomList, error) {
	index, ok := store.(storage.Index)
	if !ok {
		return RoomList{}, errors.New("chat: STORAGE must support sets (storage.Index)")
	}
	return RoomList{index}, nil
}

// Add adds a room for roomListLife.
func (l RoomList) Add(ctx context.Context, room string) error {
	return l.index.AddMember(ctx, "rooms", room, roomListLife)
}

// All returns at most roomListSize rooms in alphabetical order.
func (l RoomList) All(ctx context.Context) ([]string, error) {
	rooms := []string{firstRoom}
	for room, err := range l.index.Members(ctx, "rooms") {
		if err != nil {
			return nil, err
		}
		if room != firstRoom {
			rooms = append(rooms, room)
		}
	}
	slices.Sort(rooms)
	return rooms[:min(len(rooms), roomListSize)], nil
}

// listRooms handles "list": it answers with the directory of rooms.
func (s *server) listRooms(p *socketbridge.Packet) error {
	rooms, err := s.list.All(p.Context())
	if err != nil {
		return err
	}
	return p.Ack(rooms)
}

// requireMember returns the room that an event names. It returns errNotMember if the
// session has not joined that room.
func (s *server) requireMember(p *socketbridge.Packet) (string, error) {
	var room string
	if err := p.Bind(&room); err != nil {
		return "", errNotMember
	}
	rooms, err := roomsOf(p.Session())
	if err != nil {
		return "", err
	}
	if !slices.Contains(rooms, room) {
		return "", errNotMember
	}
	return room, nil
}

// join handles "join": it adds a room to the session. This socket joins at once; the
// sockets of other tabs join when onSessionChange runs for them.
func (s *server) join(p *socketbridge.Packet) error {
	var room string
	if err := p.Bind(&room); err != nil || !roomPattern.MatchString(room) {
		return errRoomName
	}
	err := p.Session().Update(p.Context(), func(tx *fibersession.Tx) error {
		rooms, err := roomsOf(tx)
		if err != nil {
			return err
		}
		if slices.Contains(rooms, room) {
			return nil
		}
		if len(rooms) >= maxRooms {
			return errTooManyRooms
		}
		tx.Set(roomsKey, append(slices.Clone(rooms), room))
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.list.Add(p.Context(), room); err != nil {
		return err
	}
	if err := p.Socket().Join(roomKey(room)); err != nil {
		return err
	}
	s.notifyRoom(room)
	return errors.Join(s.io.Emit("list"), p.Ack(room))
}

// leave handles "leave": it removes a room from the session.
func (s *server) leave(p *socketbridge.Packet) error {
	var room string
	if err := p.Bind(&room); err != nil {
		return errRoomName
	}
	err := p.Session().Update(p.Context(), func(tx *fibersession.Tx) error {
		rooms, err := roomsOf(tx)
		if err != nil {
			return err
		}
		tx.Set(roomsKey, slices.DeleteFunc(slices.Clone(rooms), func(r string) bool { return r == room }))
		return nil
	})
	if err != nil {
		return err
	}
	if slices.Contains(joinedRooms(p.Socket()), room) {
		p.Socket().Leave(roomKey(room))
		s.notifyRoom(room)
	}
	return p.Ack(room)
}

// syncRooms joins and leaves rooms until the socket is in exactly the rooms of its session,
// and sends the page their names.
func (s *server) syncRooms(socket *socketbridge.Socket) {
	rooms, err := roomsOf(socket.Session())
	if err != nil {
		return // the session has ended
	}
	joined := joinedRooms(socket)
	for _, room := range rooms {
		if slices.Contains(joined, room) {
			continue
		}
		if err := socket.Join(roomKey(room)); err != nil {
			return // the socket has disconnected
		}
		s.notifyRoom(room)
	}
	for _, room := range joined {
		if !slices.Contains(rooms, room) {
			socket.Leave(roomKey(room))
			s.notifyRoom(room)
		}
	}
	_ = socket.Emit("rooms", rooms) // fails only if the socket has disconnected
}

// joinedRooms returns the chat rooms that a socket is in.
func joinedRooms(socket *socketbridge.Socket) (rooms []string) {
	for _, key := range socket.Rooms() {
		if room, ok := strings.CutPrefix(key, roomKey("")); ok {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// notifyRoom makes the pages in a room request its members again. The server never pushes
// the list, because lists pushed by two nodes could arrive in the wrong order.
func (s *server) notifyRoom(room string) {
	if err := s.io.To(roomKey(room)).Emit("people", room); err != nil {
		slog.Error("could not notify a room of its new members", "error", err)
	}
}

// Person is a user in a room, with the nodes that the user's tabs are connected to.
type Person struct {
	User
	Nodes []string `json:"nodes"`
}

// listPeople handles "people": it answers with the users in a room, on all nodes.
func (s *server) listPeople(p *socketbridge.Packet) error {
	room, err := s.requireMember(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.Context(), 3*time.Second)
	defer cancel()
	sockets, err := s.io.In(roomKey(room)).FetchSockets(ctx)
	if err != nil { // a node did not answer: show the users of the other nodes
		slog.Warn("the list of people in a room is incomplete", "error", err)
	}
	byID := map[string]*Person{}
	for _, socket := range sockets {
		var user User
		var node string
		if errors.Join(socket.Data(dataUser, &user.ID), socket.Data(dataName, &user.Name), socket.Data(dataNode, &node)) != nil {
			continue // not a socket of this program
		}
		person := byID[user.ID]
		if person == nil {
			person = &Person{User: user}
			byID[user.ID] = person
		}
		if !slices.Contains(person.Nodes, node) {
			person.Nodes = append(person.Nodes, node)
			slices.Sort(person.Nodes)
		}
	}
	people := make([]*Person, 0, len(byID))
	for _, person := range byID {
		people = append(people, person)
	}
	slices.SortFunc(people, func(a, b *Person) int { return strings.Compare(a.ID, b.ID) })
	return p.Ack(people)
}
