package bridgetest_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
)

// BenchmarkWholeTest is a whole test of a handler: a store, a server, a session, a client, an
// event with its answer, and the end of all of them.
func BenchmarkWholeTest(b *testing.B) {
	for b.Loop() {
		if text := failure(func(t *failing) {
			_, io := newChat(t)
			bridgetest.Dial(t, io, bridgetest.User("ann")).Ask("join", "red").Want(1)
		}); text != "" {
			b.Fatal(text)
		}
	}
}

// BenchmarkDial is a client with a session of its own.
func BenchmarkDial(b *testing.B) {
	io := newCounter(b)
	for b.Loop() {
		if text := failure(func(t *failing) { bridgetest.Dial(t, io, bridgetest.Session(nil)) }); text != "" {
			b.Fatal(text)
		}
	}
}

// BenchmarkAsk is an event with its answer.
func BenchmarkAsk(b *testing.B) {
	io := newServer(b)
	io.On("echo", func(p *socketbridge.Packet) error { return p.Ack(p.Values()...) })
	c := bridgetest.Dial(b, io)
	for b.Loop() {
		c.Ask("echo", 1).Want(1)
	}
}
