package main

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Unit tests of the socket handlers: a real server and real sessions, without a network. Tests
// with browsers, proxies and several nodes are in the other files.

// newNode returns one node in memory that is shut down at the end of the test.
func newNode(t *testing.T) *server {
	t.Helper()
	store := memory.New()
	s, err := newServer(nodeConfig{Name: "n1"}, store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// join connects a client with a user's session. Its user has joined rooms.
func join(t *testing.T, s *server, name string, rooms ...string) *bridgetest.Client {
	t.Helper()
	user, _ := parseUser(name)
	c := bridgetest.Dial(t, s.io, bridgetest.User(user.ID), bridgetest.Session(map[string]any{string(nameKey): name, string(roomsKey): rooms}))
	c.Want(string(Hello), Greeting{Me: user, Node: "n1"})
	c.Want(string(JoinedRooms), rooms)
	return c
}

func TestN10_SayReachesTheRoom(t *testing.T) {
	t.Parallel()
	s := newNode(t)
	ada, bob, eve := join(t, s, "Ada", "red"), join(t, s, "Bob", "red"), join(t, s, "Eve", "blue")
	var m RoomMessage
	ada.Ask(string(Say), SayIn{Draft{"1", " hello "}, "red"}).Want(&m)
	if m.Text != "hello" || m.From.Name != "Ada" || m.Number != 1 {
		t.Errorf("got %+v", m)
	}
	ada.Want(string(Said), m)
	bob.Want(string(Said), m)
	eve.WantNothing(string(Said))
	ada.Ask(string(Say), SayIn{Draft{"2", "hello"}, "blue"}).WantError(errNotMember.Code)
	ada.Ask(string(Say), SayIn{Draft{"3", ""}, "red"}).WantError(errText.Code)
}

// Joining a room in one tab joins it in the other, through the session.
func TestN10_TabsShareRooms(t *testing.T) {
	t.Parallel()
	s := newNode(t)
	tab := join(t, s, "Ada", "red")
	other := tab.Visitor().Dial()
	other.Discard()
	tab.Ask(string(Join), "green").Want("green")
	other.Want(string(JoinedRooms), []string{"red", "green"})
	if rooms := joinedRooms(other.Socket()); !slices.Contains(rooms, "green") {
		t.Errorf("the other tab is in %v", rooms)
	}
	tab.Ask(string(Join), "No Spaces").WantError(errRoomName.Code)
}

func TestN10_LogoutEndsTheTabs(t *testing.T) {
	t.Parallel()
	s := newNode(t)
	v := bridgetest.Visit(t, s.io, bridgetest.App(s.app), bridgetest.Header("Origin", "https://example.com"))
	if _, err := v.TryDial(); err == nil {
		t.Error("a visitor who has not logged in is admitted")
	}
	v.PostForm("/login", url.Values{"name": {"Ada"}})
	tab := v.Dial()
	tab.Want(string(JoinedRooms), []string{firstRoom})
	v.PostForm("/logout", nil)
	tab.Want(string(Ended), LoggedOut)
	tab.Disconnected()
}

// The limit of messages, and the end of the session, on a clock of the test.
func TestN10_Time(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := join(t, newNode(t), "Ada", "red")
		for range limitBurst {
			c.Ask(string(Say), SayIn{Draft{"x", "hello"}, "red"}).Want()
		}
		c.Ask(string(Say), SayIn{Draft{"x", "hello"}, "red"}).WantError(errTooFast.Code)
		time.Sleep(limitEvery)
		c.Ask(string(Say), SayIn{Draft{"x", "hello"}, "red"}).Want()
		time.Sleep(25 * time.Hour)
		c.Want(string(Ended), Expired)
		c.Disconnected()
	})
}
