package socketbridge_test

import (
	"errors"
	"slices"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Members only, and each is told why it may not stay.
func ExampleNamespace_OnInvalidSession() {
	io := socketbridge.New(socketbridge.Config{
		Sessions: fibersession.New(),
		OnExpiry: socketbridge.Always(socketbridge.ActionReconnect), // back as a visitor
	})
	io.Of("/members").RequireSession().OnInvalidSession(func(s *socketbridge.Socket, err error) {
		switch {
		case errors.Is(err, socketbridge.ErrSessionMissing):
			_ = s.Emit("go", "/login")
		case errors.Is(err, fibersession.ErrSessionGone): // ErrExpired, ErrDestroyed
			_ = s.Emit("go", "/goodbye")
		case errors.Is(err, fibersession.ErrUnavailable):
			_ = s.Emit("wait")
		}
	})
}

// A page that shows what is in the basket, whoever put it there.
func ExampleNamespace_OnSessionChange() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.Of("/").OnSessionChange(func(s *socketbridge.Socket, keys []string) {
		if slices.Contains(keys, "basket") {
			_ = s.Emit("basket", s.Session().Get("basket"))
		}
	})
}

// Sockets of the front page stay when their visitor logs in; those of the settings are
// opened anew.
func ExampleAlways() {
	socketbridge.New(socketbridge.Config{
		Sessions: fibersession.New(),
		OnExpiry: socketbridge.Always(socketbridge.ActionDisconnect),
		OnRegenerate: func(s *socketbridge.Socket) socketbridge.Action {
			if s.Namespace().Name() == "/settings" {
				return socketbridge.ActionReconnect
			}
			return socketbridge.ActionStay
		},
	})
}
