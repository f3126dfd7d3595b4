package socketbridge_test

import (
	"errors"
	"slices"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// A namespace for members. Clients without a valid session get a reason before they are
// disconnected.
func ExampleNamespace_OnInvalidSession() {
	io := socketbridge.New(socketbridge.Config{
		Sessions: fibersession.New(),
		OnExpiry: socketbridge.Always(socketbridge.ActionReconnect), // as a visitor without a session
	})
	io.Of("/members").RequireSession().OnInvalidSession(func(s *socketbridge.Socket, err error) {
		switch {
		case errors.Is(err, socketbridge.ErrSessionMissing):
			_ = s.Emit("go", "/login")
		case errors.Is(err, fibersession.ErrSessionGone): // ErrExpired, ErrDestroyed
			_ = s.Emit("go", "/logged-out")
		case errors.Is(err, fibersession.ErrUnavailable):
			_ = s.Emit("wait")
		}
	})
}

// Keep the basket of a page up to date, whichever request or tab changes it.
func ExampleNamespace_OnSessionChange() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.Of("/").OnSessionChange(func(s *socketbridge.Socket, keys []string) {
		if slices.Contains(keys, "basket") {
			_ = s.Emit("basket", s.Session().Get("basket"))
		}
	})
}

// When a visitor logs in, the sockets of /settings reconnect and all others stay.
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
