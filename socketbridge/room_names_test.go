package socketbridge_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Room names may come from clients. A socket cannot join or leave the rooms that the
// bridge reserves, and no method shows or addresses them.
func TestS2_ReservedRooms(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}, bridge: socketbridge.Config{Limits: socketbridge.Limits{MaxRooms: 2}}}).users().serve()
	n := nodetest.Start(t)
	ann, eve := s.loggedIn("ann"), s.loggedIn("eve")
	tab := ann.connect(n, "/", nodetest.Options{})
	hers := s.io.User("ann").Sockets()[0]
	target := hers.AllRooms()
	eve.connect(n, "/", nodetest.Options{})
	sock := s.io.User("eve").Sockets()[0]
	if len(target) != 3 {
		t.Fatalf("got rooms %q, want 3", target)
	}
	for _, room := range target[1:] {
		if strings.Contains(room, "ann") {
			t.Errorf("the room name %q contains the user ID", room)
		}
		for name, err := range map[string]error{
			"Socket.Join":           sock.Join("mine", room),
			"Broadcast.Join":        s.io.Of("/").Broadcast().Join("mine", room),
			"Broadcast.Leave":       s.io.Of("/").Broadcast().Leave(room),
			"Server.To":             s.io.To(room).Emit("leak"),
			"Server.To, two":        s.io.To("other", room).Emit("leak"),
			"Server.To twice":       s.io.To(room).To(tab.State().ID).Emit("leak"),
			"Server.In":             s.io.In(room).Emit("leak"),
			"Server.Except":         s.io.Except(room).Emit("leak"),
			"Namespace.To":          s.io.Of("/").To(room).Volatile().Local().Emit("leak"),
			"Socket.To":             sock.To(room).Emit("leak"),
			"Socket.In":             sock.In(room).Emit("leak"),
			"Socket.Except":         sock.Except(room).Emit("leak"),
			"Broadcast.Disconnect":  s.io.To(room).Disconnect(true),
			"Broadcast.Join of it":  s.io.To(room).Join("mine"),
			"Broadcast.Leave of it": s.io.To(room).Leave("mine"),
			"EmitWithAck":           second(s.io.To(room).EmitWithAck(t.Context(), "leak")),
			"FetchSockets":          second(s.io.To(room).FetchSockets(t.Context())),
		} {
			if !errors.Is(err, socketbridge.ErrRoomName) {
				t.Errorf("%s(%q): got error %v, want ErrRoomName", name, room, err)
			}
		}
		if got := s.io.To(room).Sockets(); len(got) != 0 {
			t.Errorf("To(%q) has %d sockets, want none", room, len(got))
		}
	}
	all, err := s.io.Of("/").AllRooms(t.Context())
	fetched, err2 := s.io.FetchSockets(t.Context())
	if err != nil || err2 != nil || len(fetched) != 2 {
		t.Fatal(err, err2, len(fetched))
	}
	for where, names := range map[string][]string{
		"Socket.Rooms": hers.Rooms(), "AllRooms": all, "RemoteSocket.Rooms": slices.Concat(fetched[0].Rooms(), fetched[1].Rooms()),
	} {
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(target[1:], name) }) {
			t.Errorf("%s shows a room of the bridge: %q", where, names)
		}
	}
	if err := sock.Join("a", "b"); err != nil {
		t.Errorf("joining MaxRooms rooms: got error %v, want none", err)
	}
	if err := sock.Join("c"); !errors.Is(err, socketbridge.ErrTooManyRooms) {
		t.Errorf("joining one more room: got error %v, want ErrTooManyRooms", err)
	}
	sock.Leave(sock.AllRooms()...)
	if got := len(sock.AllRooms()); got != 3 {
		t.Errorf("after leaving all rooms: got rooms %q, want the 3 that cannot be left", sock.AllRooms())
	}
	if got := len(s.io.User("eve").Sockets()); got != 1 {
		t.Errorf("after leaving all rooms: got %d sockets of the user, want 1", got)
	}
	if err := sock.Join("c", "d"); err != nil {
		t.Error(err)
	}
	if err := s.io.ToUser("ann").Emit("end"); err != nil {
		t.Fatal(err)
	}
	tab.MustNext("end")
	if got := tab.Waiting("leak"); got != 0 {
		t.Errorf("the user got %d events that were addressed to a room of the bridge", got)
	}
}

// second returns the second result of a call.
func second[T any](_ T, err error) error { return err }

// S2: the idiom of Socket.IO for Node that tells the rooms of a leaving socket does not reach
// the other tabs of its session.
func TestS2_FarewellToRooms(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}}).users()
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		sock.OnDisconnecting(func(socketbridge.Reason) {
			for _, room := range sock.Rooms() {
				if room != sock.ID() {
					_ = sock.To(room).Emit("left", sock.ID())
				}
			}
		})
	})
	s.io.On("join", func(p *socketbridge.Packet) error {
		if err := p.Socket().Join("chat"); err != nil {
			return err
		}
		return p.Ack(true)
	})
	s.serve()
	n := nodetest.Start(t)
	ann, bob := s.loggedIn("ann"), s.loggedIn("bob")
	leaving, otherTab := ann.connect(n, "/", byWebSocket), ann.connect(n, "/", byWebSocket)
	inRoom := bob.connect(n, "/", byWebSocket)
	leaving.MustCall("join")
	inRoom.MustCall("join")
	id := leaving.State().ID
	leaving.Close()
	equal(t, "event in the room", inRoom.MustNext("left").String(), `["`+id+`"]`)
	if err := s.io.ToUser("ann").Emit("end"); err != nil {
		t.Fatal(err)
	}
	otherTab.MustNext("end")
	if got := otherTab.Waiting("left"); got != 0 {
		t.Errorf("another tab of the session, in no room, got %d events", got)
	}
}
