package socketbridge_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// S2: the events of rooms come in the order of the changes, with the names of Socket.IO's
// adapters, and handlers may use all methods.
func TestS2_RoomEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		seen := make(events, 64)
		ids := map[string]string{}
		io.OnRoomEvent(func(e socketbridge.RoomEvent) {
			name := func(id string) string {
				if short, ok := ids[id]; ok {
					return short
				}
				return id
			}
			_ = io.To("r").Sockets() // no lock is held
			seen.add("%s %s %s", e.Kind, name(e.Room), name(e.Socket))
			if e.Namespace != io.Of("/") {
				t.Errorf("namespace %s", e.Namespace.Name())
			}
		})
		connect := func(name string) *socketbridge.Socket {
			t.Helper()
			c := join(t, io, "/")
			t.Cleanup(c.leave)
			synctest.Wait()
			<-seen // create-room of the ID, which is not known before
			<-seen
			ids[c.sid] = name
			return io.Of("/").Socket(c.sid)
		}
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			seen.expect(t, want...)
			if len(seen) > 0 {
				t.Fatalf("then came %s", <-seen)
			}
		}
		a := connect("A")
		b := connect("B")
		if err := a.Join("r", "r"); err != nil {
			t.Fatal(err)
		}
		check("create-room r ", "join-room r A")
		if err := b.Join("r", a.ID(), b.ID()); err != nil { // the room of another ID, and that of its own
			t.Fatal(err)
		}
		check("join-room r B", "join-room A B")
		a.Leave("r", "unknown")
		check("leave-room r A")
		a.Disconnect()
		check("leave-room A A") // B is still in that room
		b.Leave("r")
		check("leave-room r B", "delete-room r ")
		b.Disconnect()
		check("leave-room B B", "leave-room A B", "delete-room A ", "delete-room B ")
	})
}

// S2: handlers that are too slow get one event that says so, and the memory is bounded.
func TestS2_RoomEventsAreBounded(t *testing.T) {
	t.Parallel()
	var lines testlog.Log
	io := newServer(t, socketbridge.Config{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	release := make(chan struct{})
	missed := make(chan int, 1)
	count := 0
	io.OnRoomEvent(func(e socketbridge.RoomEvent) {
		<-release
		if count++; e.Kind == socketbridge.RoomsMissed {
			missed <- count
		}
	})
	join(t, io, "/")
	s := onlySocket(t, io)
	for i := range 10_000 { // two events to join, two to leave
		if err := s.Join(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		s.Leave(fmt.Sprint(i))
	}
	close(release)
	select {
	case got := <-missed:
		if most := 16<<10 + 2; got > most {
			t.Errorf("%d events came before the one that says that some are missing, want at most %d", got, most)
		}
	case <-time.After(20 * time.Second):
		t.Error("no event says that some are missing")
	}
	if err := s.Join("again"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(lines.String(), "OnRoomEvent are too slow"); got != 1 {
		t.Errorf("%d log lines, want 1", got)
	}
}

// S2: rooms of sessions and users are not reported, and children report to their pattern.
func TestS2_RoomEventsOfChildren(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}}).users()
	seen := make(events, 64)
	all := s.io.OfPattern(projects)
	all.OnRoomEvent(func(e socketbridge.RoomEvent) {
		if e.Room != e.Socket && e.Kind == socketbridge.RoomJoined || strings.Contains(e.Room, "fiberbridge") {
			seen.add("%s %s %s", e.Namespace.Name(), e.Kind, e.Room)
		}
	})
	all.On("join", func(p *socketbridge.Packet) error {
		if err := p.Socket().Join("r"); err != nil {
			return err
		}
		return p.Ack(true)
	})
	s.serve()
	call(t, s.loggedIn("ann").connect(n, "/project-3", byWebSocket), "join")
	seen.expect(t, "/project-3 join-room r")
	if len(seen) > 0 {
		t.Errorf("then came %s", <-seen)
	}
}
