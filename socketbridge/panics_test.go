package socketbridge_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestD13_Panics checks that a panic in any callback fails only its own event or attempt,
// does not crash the process, and that its text is not sent to the client.
func TestD13_Panics(t *testing.T) {
	t.Parallel()
	const internal = `[{"error":{"code":"internal_error","message":"internal error"}}]`
	for _, tt := range []struct {
		name  string
		setup func(s *socketbridge.Socket)
		want  string // the answer to the event
	}{
		{"handler", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error { panic("secret") })
		}, internal},
		{"handler that has answered", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { _ = p.Ack("answered"); panic("secret") })
		}, `["answered"]`},
		{"middleware", func(s *socketbridge.Socket) {
			s.Use(func(p *socketbridge.Packet) error {
				if p.Event() == "e" {
					panic("secret")
				}
				return p.Next()
			})
		}, internal},
		{"catch-all", func(s *socketbridge.Socket) {
			s.OnAny(func(p *socketbridge.Packet) error {
				if p.Event() == "e" {
					panic(errors.New("secret"))
				}
				return nil
			})
		}, internal},
		{"encoder of an answer", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { return p.Ack(panicker{}) })
		}, internal},
		{"encoder of an error's data", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error { return &socketbridge.EventError{Code: "mine", Data: panicker{}} })
		}, internal},
		{"error's data that cannot be encoded", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error { return &socketbridge.EventError{Code: "mine", Data: make(chan int)} })
		}, internal},
		{"error handler", func(s *socketbridge.Socket) {
			s.On("e", func(*socketbridge.Packet) error {
				return &socketbridge.EventError{Code: "mine", Message: "no"}
			})
			s.OnError(func(*socketbridge.Packet, error) { panic("secret") })
		}, `[{"error":{"code":"mine","message":"no"}}]`},
		{"connection handler", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { return p.Ack("fine") })
			panic("secret")
		}, `["fine"]`},
		{"disconnect handlers", func(s *socketbridge.Socket) {
			s.On("e", func(p *socketbridge.Packet) error { return p.Ack("fine") })
			s.OnDisconnecting(func(socketbridge.Reason) { panic("secret") })
			s.OnDisconnect(func(socketbridge.Reason) { panic("secret") })
		}, `["fine"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			io := newServer(t, socketbridge.Config{})
			io.OnConnection(tt.setup)
			io.On("after", func(p *socketbridge.Packet) error { return p.Ack("alive") })
			c := join(t, io, "/")
			c.send(`21["e"]`)
			c.expect(`31` + tt.want)
			c.send(`22["after"]`)
			c.expect(`32["alive"]`)
			c.leave()
			other := join(t, io, "/")
			other.send(`23["after"]`)
			other.expect(`33["alive"]`)
		})
	}
}

type panicker struct{}

func (panicker) MarshalJSON() ([]byte, error) { panic("secret") }

// A handler, and a callback, that ends its goroutine takes nothing with it: the socket's next
// event is handled.
func TestR19_EndedGoroutines(t *testing.T) {
	t.Parallel()
	for name, add := range map[string]func(io *socketbridge.Server){
		"handler": func(io *socketbridge.Server) {
			io.On("ends", func(*socketbridge.Packet) error { runtime.Goexit(); return nil })
		},
		"OnConnection": func(io *socketbridge.Server) { io.OnConnection(func(*socketbridge.Socket) { runtime.Goexit() }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				io := newServer(t, socketbridge.Config{})
				add(io)
				io.On("after", func(p *socketbridge.Packet) error { return p.Ack() })
				c := join(t, io, "/")
				c.send(`2["ends"]`)
				c.send(`21["after"]`)
				c.expect("31[]")
			})
		})
	}
	t.Run("OfFunc", func(t *testing.T) { // its caller is the reader of the client, here this goroutine
		t.Parallel()
		io := newServer(t, socketbridge.Config{})
		io.OfFunc(func(string, json.RawMessage) bool { runtime.Goexit(); return true })
		c := dial(t, io)
		c.send("0/x,")
		c.expect(`4/x,{"message":"Invalid namespace"}`)
	})
}
