package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Clients create the namespaces of a pattern by joining them.
func ExampleServer_OfPattern() {
	io := socketbridge.New()
	projects := io.OfPattern(regexp.MustCompile(`/project-\d+`))
	projects.Use(func(c *socketbridge.Connect) error { // the pattern says which names exist, this who may join
		if c.Session() == nil || c.Session().User() == "" {
			return &socketbridge.ConnectError{Message: "log in first"}
		}
		return c.Next()
	})
	projects.On("comment", func(p *socketbridge.Packet) error {
		var text string
		if err := p.Bind(&text); err != nil {
			return err
		}
		return p.Socket().Namespace().Emit("comment", text) // to this project
	})
	_ = projects.Emit("maintenance", "in 5 minutes") // to all projects
}

// The function decides by name and by the client's auth option.
func ExampleServer_OfFunc() {
	io := socketbridge.New()
	io.OfFunc(func(name string, auth json.RawMessage) bool {
		var a struct{ Beta bool }
		return name == "/beta" && json.Unmarshal(auth, &a) == nil && a.Beta
	})
}

func ExampleServer_OnNewNamespace() {
	io := socketbridge.New()
	io.OnNewNamespace(func(ns *socketbridge.Namespace) {
		ns.On("where", func(p *socketbridge.Packet) error { return p.Ack(ns.Name()) })
	})
}

// An answer that holds back no later event of the socket.
func ExampleSocket_EmitWithAckFunc() {
	io := socketbridge.New()
	io.On("delete", func(p *socketbridge.Packet) error {
		s := p.Socket()
		return s.Timeout(time.Minute).EmitWithAckFunc("confirm", func(a socketbridge.Answer, err error) {
			var yes bool
			if err != nil || a.Bind(&yes) != nil || !yes {
				return
			}
			_ = s.Emit("deleted")
		}, "Really?")
	})
}

// A position that is outdated a moment later need not wait for a slow client.
func ExampleSocket_Volatile() {
	io := socketbridge.New()
	io.OnConnection(func(s *socketbridge.Socket) {
		_ = s.Volatile().Emit("position", 4, 2)
	})
}

func ExampleSocket_Once() {
	io := socketbridge.New()
	io.OnConnection(func(s *socketbridge.Socket) {
		s.Once("hello", func(p *socketbridge.Packet) error { return p.Ack("welcome") })
		off := s.On("typing", func(p *socketbridge.Packet) error { return nil })
		s.On("quiet", func(p *socketbridge.Packet) error { off(); return nil })
	})
}

func ExampleSocket_OnAnyOutgoing() {
	io := socketbridge.New()
	io.OnConnection(func(s *socketbridge.Socket) {
		s.OnAnyOutgoing(func(e *socketbridge.OutgoingEvent) { slog.Debug("sent", "event", e.Event(), "to", s.ID()) })
	})
}

// An upstream feed is wanted while a socket of this node is in its room.
func ExampleServer_OnRoomEvent() {
	io := socketbridge.New()
	io.OnRoomEvent(func(e socketbridge.RoomEvent) {
		switch e.Kind {
		case socketbridge.RoomCreated:
			fmt.Println("subscribe to", e.Room)
		case socketbridge.RoomDeleted:
			fmt.Println("unsubscribe from", e.Room)
		}
	})
}

func ExampleServer_OnRefused() {
	io := socketbridge.New()
	io.OnRefused(func(r socketbridge.Refusal) {
		slog.Info("refused", "code", r.Code, "message", r.Message, "origin", r.Origin, "remote", r.RemoteIP)
	})
}
