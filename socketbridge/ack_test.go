package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestAckToClient(t *testing.T) {
	t.Parallel()
	var kept *socketbridge.Packet
	second := make(chan error, 1)
	io := newServer(t, socketbridge.Config{})
	io.On("plain", func(p *socketbridge.Packet) error { return p.Ack(1, "two", nil, []string{"<three>"}) })
	io.On("none", func(p *socketbridge.Packet) error {
		if p.WantsAck() {
			t.Error("WantsAck is true for an event without an acknowledgement")
		}
		return p.Ack("not sent")
	})
	io.On("twice", func(p *socketbridge.Packet) error {
		err := p.Ack("first")
		second <- p.Ack("second")
		return err
	})
	io.On("later", func(p *socketbridge.Packet) error { kept = p; return nil })
	io.On("now", func(p *socketbridge.Packet) error { return errors.Join(kept.Ack("late"), p.Ack("now")) })
	io.On("unencodable", func(p *socketbridge.Packet) error {
		if err := p.Ack(make(chan int)); err == nil {
			t.Error("Ack of a channel succeeded, want an error")
		}
		return p.Ack("another try")
	})
	io.On("fails", func(p *socketbridge.Packet) error {
		return fmt.Errorf("wrapped: %w", &socketbridge.EventError{Code: "no_money", Message: "broke", Data: 7})
	})

	c := join(t, io, "/")
	c.send(`21["plain"]`)
	c.expect(`31[1,"two",null,["<three>"]]`)
	c.send(`2["none"]`)
	c.send(`2000000000000003["twice"]`)
	c.expect(`33["first"]`)
	if err := <-second; !errors.Is(err, socketbridge.ErrAcked) {
		t.Errorf("second answer: got error %v, want ErrAcked", err)
	}
	c.send(`24["later"]`)
	c.send(`25["now"]`)
	c.expect(`34["late"]`, `35["now"]`)
	c.send(`26["unencodable"]`)
	c.expect(`36["another try"]`)
	c.send(`27["fails"]`)
	c.expect(`37[{"error":{"code":"no_money","message":"broke","data":7}}]`)
}

func TestEmitWithAck(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{})
		io.On("ask", func(p *socketbridge.Packet) error { // in a handler: the answer comes while it runs
			a, err := p.Socket().EmitWithAck(p.Context(), "question", "x")
			if err != nil {
				return err
			}
			var n int
			var text string
			if err := a.Bind(&n, &text); err != nil {
				return err
			}
			return p.Ack(n, text)
		})
		c := join(t, io, "/")
		c.send(`21["ask"]`)
		q := c.next()
		id := strings.TrimSuffix(strings.TrimPrefix(q, "2"), `["question","x"]`)
		c.send("3" + id + `[42,"yes"]`)
		c.expect(`31[42,"yes"]`)
		c.send("3" + id + `[43,"again"]`) // a second answer is ignored
		c.send(`2["ask"]`)
	})
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			join(t, io, "/")
			s := onlySocket(t, io)
			begin := time.Now()
			if _, err := s.EmitWithAck(bg, "e"); !errors.Is(err, socketbridge.ErrAckTimeout) || time.Since(begin) != 30*time.Second {
				t.Errorf("got error %v after %v, want ErrAckTimeout after 30 s", err, time.Since(begin))
			}
			begin = time.Now()
			ctx, cancel := context.WithTimeout(bg, time.Minute)
			defer cancel()
			if _, err := s.EmitWithAck(ctx, "e"); !errors.Is(err, socketbridge.ErrAckTimeout) || time.Since(begin) != time.Minute {
				t.Errorf("got error %v after %v, want ErrAckTimeout after 1 min", err, time.Since(begin))
			}
			ctx, cancel = context.WithCancel(bg)
			time.AfterFunc(time.Second, cancel)
			if _, err := s.EmitWithAck(ctx, "e"); !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want context.Canceled", err)
			}
		})
	})
	t.Run("disconnect ends the wait", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{})
		c := join(t, io, "/")
		s := onlySocket(t, io)
		got := make(chan error, 1)
		go func() { // ends with the wait below
			_, err := s.EmitWithAck(bg, "e")
			got <- err
		}()
		c.next()
		c.leave()
		if err := <-got; !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Errorf("during the wait: got error %v, want ErrDisconnected", err)
		}
		if _, err := s.EmitWithAck(bg, "e"); !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Errorf("after the disconnect: got error %v, want ErrDisconnected", err)
		}
	})
	t.Run("a timeout frees the pending acknowledgement", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			join(t, io, "/")
			s := onlySocket(t, io)
			ctx, cancel := context.WithTimeout(bg, time.Millisecond)
			defer cancel()
			for range 3000 { // 1024 may be pending
				if _, err := s.EmitWithAck(ctx, "e"); !errors.Is(err, socketbridge.ErrAckTimeout) {
					t.Fatalf("got error %v, want ErrAckTimeout", err)
				}
			}
		})
	})
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			join(t, io, "/")
			s := onlySocket(t, io)
			for range 1024 {
				go s.EmitWithAck(bg, "e") // the bubble waits for it
			}
			synctest.Wait()
			if _, err := s.EmitWithAck(bg, "e"); !errors.Is(err, socketbridge.ErrTooManyAcks) {
				t.Errorf("got error %v, want ErrTooManyAcks", err)
			}
		})
	})
	t.Run("reserved names", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{})
		join(t, io, "/")
		s := onlySocket(t, io)
		for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
			if err := s.Emit(name); !errors.Is(err, socketbridge.ErrReservedEvent) {
				t.Errorf("Emit of %s: got error %v, want ErrReservedEvent", name, err)
			}
		}
	})
}

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
