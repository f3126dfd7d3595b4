package socketbridge_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Room names may come from clients. A socket cannot join or leave the rooms that the
// bridge reserves.
func TestReservedRooms(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}, bridge: socketbridge.Config{Limits: socketbridge.Limits{MaxRooms: 2}}}).users().serve()
	n := nodetest.Start(t)
	ann, eve := s.loggedIn("ann"), s.loggedIn("eve")
	ann.connect(n, "/", nodetest.Options{})
	target := s.io.User("ann").Sockets()[0].Rooms()
	eve.connect(n, "/", nodetest.Options{})
	sock := s.io.User("eve").Sockets()[0]
	if len(target) != 3 {
		t.Fatalf("got rooms %q, want 3", target)
	}
	for _, room := range target[1:] {
		if err := sock.Join("mine", room); !errors.Is(err, socketbridge.ErrRoomName) {
			t.Errorf("Join(%q): got error %v, want ErrRoomName", room, err)
		}
		if strings.Contains(room, "ann") {
			t.Errorf("the room name %q contains the user ID", room)
		}
	}
	if err := sock.Join("a", "b"); err != nil {
		t.Errorf("joining MaxRooms rooms: got error %v, want none", err)
	}
	if err := sock.Join("c"); !errors.Is(err, socketbridge.ErrTooManyRooms) {
		t.Errorf("joining one more room: got error %v, want ErrTooManyRooms", err)
	}
	sock.Leave(sock.Rooms()...)
	if got := len(sock.Rooms()); got != 3 {
		t.Errorf("after leaving all rooms: got rooms %q, want the 3 that cannot be left", sock.Rooms())
	}
	if got := len(s.io.User("eve").Sockets()); got != 1 {
		t.Errorf("after leaving all rooms: got %d sockets of the user, want 1", got)
	}
	if err := sock.Join("c", "d"); err != nil {
		t.Error(err)
	}
}
