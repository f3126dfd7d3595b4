package socketbridge_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestHandlersRunInOrder(t *testing.T) {
	t.Parallel()
	const n = 1000
	got := make(chan int, n)
	io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1, MaxInbox: 8}})
	io.OnConnection(func(s *socketbridge.Socket) {
		time.Sleep(time.Millisecond) // events must wait for the connection handler
		s.On("n", func(p *socketbridge.Packet) error {
			var i int
			err := p.Bind(&i)
			got <- i
			return err
		})
	})
	c := join(t, io, "/")
	for i := range n {
		c.send(fmt.Sprintf(`2["n",%d]`, i))
	}
	for i := range n {
		if g := <-got; g != i {
			t.Fatalf("got event %d, want %d", g, i)
		}
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	const width = 4
	io := newServer(t, socketbridge.Config{Concurrency: width})
	meet := make(chan struct{})
	io.On("meet", func(p *socketbridge.Packet) error { // returns when handlers run concurrently
		select {
		case meet <- struct{}{}:
		case <-meet:
		}
		return p.Ack()
	})
	c := join(t, io, "/")
	var want, got []string
	for i := range width {
		c.send(fmt.Sprintf(`2%d["meet"]`, i))
		want = append(want, fmt.Sprintf(`3%d[]`, i))
	}
	for range width {
		got = append(got, c.next())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got answers %v, want %v", got, want)
	}
}

// TestD15_NoLockIsHeldWhileHandlersRun calls everything that an app may call from within
// every callback.
func TestD15_NoLockIsHeldWhileHandlersRun(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	everything := func(s *socketbridge.Socket) {
		_ = s.Join("a", "b")
		s.Leave("b")
		_ = s.Rooms()
		_ = s.Emit("x", 1)
		_ = s.Broadcast().Emit("x", 2)
		_ = io.To("a").Emit("x", 3)
		_ = io.Of("/other").Emit("x", 4)
		s.Data().Set("k", 1)
		_ = s.Data().Get("k")
		s.Use(func(p *socketbridge.Packet) error { return p.Next() })
		s.On("later", func(*socketbridge.Packet) error { return nil })
		s.OnAny(func(*socketbridge.Packet) error { return nil })
		s.OnError(func(*socketbridge.Packet, error) {})
		s.OnDisconnect(func(socketbridge.Reason) {})
		_ = s.Connected()
		_ = io.Sockets()
		_ = io.Stats()
		io.Of("/new").OnConnection(func(*socketbridge.Socket) {})
		_ = s.Transport()
		_ = s.Handshake()
	}
	done := make(chan string, 16)
	io.Use(func(c *socketbridge.Connect) error { everything(c.Socket()); return c.Next() })
	io.OnConnection(func(s *socketbridge.Socket) {
		everything(s)
		s.OnDisconnecting(func(socketbridge.Reason) { everything(s); s.Close() })
		s.OnDisconnect(func(socketbridge.Reason) { everything(s); s.Disconnect(); done <- "disconnect" })
		s.OnError(func(*socketbridge.Packet, error) { everything(s) })
		s.Use(func(p *socketbridge.Packet) error { everything(s); return p.Next() })
		s.OnAny(func(*socketbridge.Packet) error { everything(s); return nil })
		s.On("e", func(*socketbridge.Packet) error {
			everything(s)
			s.Disconnect()
			everything(s)
			return errors.New("and an error")
		})
	})
	c := join(t, io, "/")
	c.send(`2["e"]`)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("no disconnect within 20 s: a callback is blocked")
	}
}
