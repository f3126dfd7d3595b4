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
	roomsKey  = "rooms" // of the session: the rooms that its tabs are in, wherever they are connected
	firstRoom = "lobby"
	maxRooms  = 20 // of a session

	roomListLife = 24 * time.Hour
	roomListSize = 100
)

var goodRoom = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}][\p{Ll}\p{Lo}\p{N}-]{0,23}$`)

// roomKey is a room's name among the bridge's rooms.
func roomKey(room string) string { return "room:" + room }

func roomsOf(s fibersession.Getter) []string { return fibersession.Value[[]string](s, roomsKey) }

// RoomList is which rooms there are, for those who look for one: the rooms that
// somebody joined or spoke in within a day.
type RoomList struct{ index storage.Index }

func newRoomList(store storage.Storage) (RoomList, error) {
	index, ok := store.(storage.Index)
	if !ok {
		return RoomList{}, errors.New("chat: the storage keeps no sets (storage.Index)")
	}
	return RoomList{index}, nil
}

func (l RoomList) Add(ctx context.Context, room string) error {
	return l.index.AddMember(ctx, "rooms", room, roomListLife)
}

// All returns the rooms in alphabetical order, not more than a page can show.
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

// join takes the session into a room: this socket at once, those of its other tabs as
// they hear that the session has changed.
func (s *site) join(p *socketbridge.Packet) error {
	var room string
	if err := p.Bind(&room); err != nil || !goodRoom.MatchString(room) {
		return errRoomName
	}
	err := p.Session().Update(p.Context(), func(tx *fibersession.Tx) error {
		rooms := roomsOf(tx)
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
	s.tellRooms(room)
	return errors.Join(s.io.Emit("list"), p.Ack(room))
}

func (s *site) leave(p *socketbridge.Packet) error {
	var room string
	if err := p.Bind(&room); err != nil {
		return errRoomName
	}
	err := p.Session().Update(p.Context(), func(tx *fibersession.Tx) error {
		tx.Set(roomsKey, slices.DeleteFunc(slices.Clone(roomsOf(tx)), func(r string) bool { return r == room }))
		return nil
	})
	if err != nil {
		return err
	}
	p.Socket().Leave(roomKey(room))
	return p.Ack(room)
}

// follow brings a socket into the rooms of its session, and tells its page which they are.
func (s *site) follow(socket *socketbridge.Socket) {
	rooms := roomsOf(socket.Session())
	have := joined(socket)
	for _, room := range rooms {
		if slices.Contains(have, room) {
			continue
		}
		if err := socket.Join(roomKey(room)); err != nil {
			return // it has gone meanwhile
		}
		s.tellRooms(room)
	}
	for _, room := range have {
		if !slices.Contains(rooms, room) {
			socket.Leave(roomKey(room))
		}
	}
	s.tellRooms(difference(have, rooms)...)
	_ = socket.Emit("rooms", rooms) // when it has gone, nobody misses it
}

func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// joined returns the chat's rooms that a socket is in.
func joined(socket *socketbridge.Socket) (rooms []string) {
	for _, key := range socket.Rooms() {
		if room, ok := strings.CutPrefix(key, roomKey("")); ok {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// tellRooms tells the pages in rooms to ask again who is there. A list is never pushed:
// two of them, from two nodes, could overtake each other.
func (s *site) tellRooms(rooms ...string) {
	for _, room := range rooms {
		if err := s.io.To(roomKey(room)).Emit("people", room); err != nil {
			slog.Error("a room was not told who is there", "error", err)
		}
	}
}

// Person is a user in a room, and the nodes that their tabs are connected to.
type Person struct {
	User
	Nodes []string `json:"nodes"`
}

// people answers who is in a room, on all nodes.
func (s *site) people(p *socketbridge.Packet) error {
	room, err := s.member(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.Context(), 3*time.Second)
	defer cancel()
	sockets, err := s.io.In(roomKey(room)).FetchSockets(ctx)
	if err != nil { // a node does not answer: those of the others are shown
		slog.Warn("not all nodes said who is there", "error", err)
	}
	byID := map[string]*Person{}
	for _, socket := range sockets {
		var user User
		var node string
		if errors.Join(socket.Data(dataUser, &user.ID), socket.Data(dataName, &user.Name), socket.Data(dataNode, &node)) != nil {
			continue // not one of this program's
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
