package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/storage"
)

const (
	firstRoom = "lobby"
	maxRooms  = 20 // per session

	roomListLife = 24 * time.Hour // after the last join or message
	roomListSize = 100
)

// roomKey returns the name of a chat room's socketbridge room.
func roomKey(room string) string { return "room:" + room }

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

// listRooms handles ListRooms.
func (s *server) listRooms(p *socketbridge.Packet, _ contract.None) ([]string, error) {
	return s.list.All(p.Context())
}

// requireMember returns errNotMember if the session has not joined a room.
func requireMember(p *socketbridge.Packet, room string) error {
	rooms, err := roomsKey.Get(p.Session())
	if err == nil && !slices.Contains(rooms, room) {
		return errNotMember
	}
	return err
}

// join handles Join: it adds a room to the session. This socket joins at once; the sockets of
// other tabs join when onSessionChange runs for them.
func (s *server) join(p *socketbridge.Packet, name RoomName) (string, error) {
	room := string(name)
	err := roomsKey.Update(p.Context(), p.Session(), func(rooms []string) ([]string, error) {
		switch {
		case slices.Contains(rooms, room):
			return rooms, nil
		case len(rooms) >= maxRooms:
			return nil, errTooManyRooms
		}
		return append(rooms, room), nil
	})
	if err != nil {
		return "", err
	}
	if err := s.list.Add(p.Context(), room); err != nil {
		return "", err
	}
	if err := p.Socket().Join(roomKey(room)); err != nil {
		return "", err
	}
	s.notifyRoom(room)
	if err := RoomsChanged.Emit(s.io, contract.None{}); err != nil {
		slog.Error("could not notify pages of a new room", "error", err)
	}
	return room, nil
}

// leave handles Leave: it removes a room from the session.
func (s *server) leave(p *socketbridge.Packet, room string) (string, error) {
	err := roomsKey.Update(p.Context(), p.Session(), func(rooms []string) ([]string, error) {
		return slices.DeleteFunc(rooms, func(r string) bool { return r == room }), nil
	})
	if err != nil {
		return "", err
	}
	if slices.Contains(joinedRooms(p.Socket()), room) {
		p.Socket().Leave(roomKey(room))
		s.notifyRoom(room)
	}
	return room, nil
}

// syncRooms joins and leaves rooms until the socket is in exactly the rooms of its session,
// and sends the page their names.
func (s *server) syncRooms(socket *socketbridge.Socket) {
	rooms, err := roomsKey.Get(socket.Session())
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
	_ = JoinedRooms.Emit(socket, rooms) // fails only if the socket has disconnected
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
	if err := PeopleChanged.Emit(s.io.To(roomKey(room)), room); err != nil {
		slog.Error("could not notify a room of its new members", "error", err)
	}
}

// listPeople handles ListPeople.
func (s *server) listPeople(p *socketbridge.Packet, room string) ([]Person, error) {
	if err := requireMember(p, room); err != nil {
		return nil, err
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
	people := make([]Person, 0, len(byID))
	for _, person := range byID {
		people = append(people, *person)
	}
	slices.SortFunc(people, func(a, b Person) int { return strings.Compare(a.ID, b.ID) })
	return people, nil
}
