package main

import (
	"context"
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Unit tests of the socket handlers: a real server, database and real sessions, without a
// network. Tests with browsers and Socket.IO's client are in the other files.

// site is a server with the users of a test.
type site struct{ *server }

func newSite(t *testing.T) site {
	t.Helper()
	store := memory.New()
	db, err := openDB(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(Config{}, store, db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), s.sessions.Close(), db.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return site{s}
}

// dial adds a user to the database and connects a client with the session of that user.
func (s site) dial(t *testing.T, login string) (*bridgetest.Client, User) {
	t.Helper()
	if _, err := s.users.db.Exec("INSERT INTO users (id, login, name, password, created) VALUES (?, ?, ?, '', 0)", "id-"+login, login, login); err != nil {
		t.Fatal(err)
	}
	user, err := s.users.ByID(t.Context(), "id-"+login)
	if err != nil {
		t.Fatal(err)
	}
	c := bridgetest.Dial(t, s.io, bridgetest.User(user.ID))
	c.Want("hello", user)
	c.Want("changed", "devices")
	return c, user
}

func TestN10_CommentsReachFriends(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ada, adas := s.dial(t, "ada")
	bob, _ := s.dial(t, "bob")
	eve, _ := s.dial(t, "eve")
	ada.Ask("ask", "bob")
	bob.Ask("accept", adas.ID)
	bob.Discard()
	var c Comment
	ada.Ask("say", "hello").Want(&c)
	ada.Want("comment", c)
	bob.Want("comment", c)
	eve.WantNothing("comment")
}

func TestN10_EndDevice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	laptop, user := s.dial(t, "ada")
	phone := bridgetest.Dial(t, s.io, bridgetest.User(user.ID), bridgetest.Header("User-Agent", "iPhone"))
	var devices []device
	phone.Ask("devices").Want(&devices)
	for _, d := range devices {
		if !d.Current {
			phone.Ask("end", d.ID).Want()
		}
	}
	laptop.Want("ended", "logged out")
	laptop.Disconnected()
	phone.Ask("devices").Want(&devices)
	if len(devices) != 1 || !devices[0].Phone {
		t.Errorf("got %+v, want the phone alone", devices)
	}
}

// What a failure shows to the user, and what stays on the server.
func TestN10_FailuresStayOnTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if _, err := bridgetest.TryDial(t, s.io); err == nil {
		t.Error("a visitor without a user is admitted")
	}
	ada, _ := s.dial(t, "ada")
	s.io.On("broken", translateErrors, func(*socketbridge.Packet) error { return errors.New("no such table") })
	r := ada.Ask("broken")
	if e := r.WantError(ErrFailed.Code); e.Message != ErrFailed.Text {
		t.Errorf("the user sees %q", e.Message)
	}
	if err := r.HandlerErr(); err == nil || errors.Is(err, ErrBadRequest) {
		t.Errorf("got %v, want the database's error", err)
	}
}
