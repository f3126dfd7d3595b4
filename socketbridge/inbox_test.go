package socketbridge_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// TestBackpressure checks that a client that sends faster than its events are handled is
// read more slowly, loses no event, and delays neither its other namespaces nor others.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{MaxInbox: 4}})
		io.On("slow", func(p *socketbridge.Packet) error { <-hold; return p.Ack() })
		io.Of("/other").On("e", func(p *socketbridge.Packet) error { return p.Ack() })
		c := join(t, io, "/")
		c.join("/other")
		c.send(`20["slow"]`)
		synctest.Wait() // now the event is being handled
		for i := 1; i <= 4; i++ {
			c.send(fmt.Sprintf(`2%d["slow"]`, i))
		}
		c.send(`2/other,9["e"]`)
		c.expect(`3/other,9[]`)

		var sent atomic.Bool
		go func() { // the synctest bubble waits for it
			c.send(`25["slow"]`)
			sent.Store(true)
		}()
		synctest.Wait()
		if sent.Load() {
			t.Fatal("a full inbox accepted one more event")
		}
		close(hold)
		for i := range 6 {
			c.expect(fmt.Sprintf(`3%d[]`, i))
		}
	})
}

// TestBackpressureEnds checks that a reader waiting for space in the inbox is released
// when the server disconnects the socket.
func TestBackpressureEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{MaxInbox: 1}})
		io.On("slow", func(p *socketbridge.Packet) error { <-hold; return nil })
		c := join(t, io, "/")
		s := onlySocket(t, io)
		c.send(`2["slow"]`)
		synctest.Wait()
		c.send(`2["slow"]`)
		go func() { c.send(`2["slow"]`) }() // the synctest bubble waits for it
		synctest.Wait()
		s.Close()
		if reason := c.waitForClose(); reason != transport.ForcedClose {
			t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
		}
		close(hold)
	})
}
