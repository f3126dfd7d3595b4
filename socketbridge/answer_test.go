package socketbridge_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestErrorsAreAnswered checks that a client that asked for an acknowledgement gets one,
// whatever the handler returns, without the text of internal errors. An error of a
// middleware of Socket.Use is answered only if it is an EventError (B6).
func TestErrorsAreAnswered(t *testing.T) {
	t.Parallel()
	const internal = `[{"error":{"code":"internal_error","message":"internal error"}}]`
	mine := &socketbridge.EventError{Code: "mine", Message: "no"}
	for name, tt := range map[string]struct {
		handler  socketbridge.Handler
		want     string
		answered bool // also if a middleware returns it
	}{
		"any error":                {func(*socketbridge.Packet) error { return errors.New("secret") }, internal, false},
		"an error of Fiber":        {func(*socketbridge.Packet) error { return fiber.ErrTeapot }, internal, false},
		"an EventError":            {func(*socketbridge.Packet) error { return mine }, `[{"error":{"code":"mine","message":"no"}}]`, true},
		"a wrapped EventError":     {func(*socketbridge.Packet) error { return fmt.Errorf("secret: %w", mine) }, `[{"error":{"code":"mine","message":"no"}}]`, true},
		"an error after an answer": {func(p *socketbridge.Packet) error { return errors.Join(p.Ack("answered"), errors.New("secret")) }, `["answered"]`, true},
		"data that cannot be encoded": {func(*socketbridge.Packet) error {
			return &socketbridge.EventError{Code: "mine", Data: func() {}}
		}, internal, true},
	} {
		for place, add := range map[string]func(*socketbridge.Socket){
			"handler": func(s *socketbridge.Socket) { s.On("e", tt.handler) },
			"middleware": func(s *socketbridge.Socket) {
				s.Use(func(p *socketbridge.Packet) error {
					if p.Event() == "e" {
						return tt.handler(p)
					}
					return p.Next()
				})
			},
		} {
			t.Run(name+", "+place, func(t *testing.T) {
				t.Parallel()
				io := newServer(t, socketbridge.Config{})
				io.OnConnection(add)
				io.On("after", func(p *socketbridge.Packet) error { return p.Ack("alive") })
				c := join(t, io, "/")
				c.send(`2["e"]`) // without an acknowledgement
				c.send(`21["e"]`)
				if place == "handler" || tt.answered {
					c.expect(`31` + tt.want)
				}
				c.send(`22["after"]`)
				c.expect(`32["alive"]`)
			})
		}
	}
}

// TestErrorsAreAnswered_AfterDisconnect checks that an answer to a disconnected client
// is not logged as an error.
func TestErrorsAreAnswered_AfterDisconnect(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	io := newServer(t, socketbridge.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ended := make(chan struct{})
	io.On("e", func(p *socketbridge.Packet) error {
		p.Socket().Disconnect()
		return errors.New("too late")
	})
	io.OnConnection(func(s *socketbridge.Socket) {
		s.OnError(func(*socketbridge.Packet, error) { close(ended) })
	})
	c := join(t, io, "/")
	c.send(`21["e"]`)
	<-ended
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("got log %q, want no error in it", log.String())
	}
}
