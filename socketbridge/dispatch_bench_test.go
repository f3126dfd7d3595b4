package socketbridge_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/eventbench"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// BenchmarkEvent measures one event on an otherwise idle socket, without the transport:
// the session is loaded, a handler reads it, and the answer is sent.
func BenchmarkEvent(b *testing.B) {
	store := fibersession.New(fibersession.Config{Logger: silent})
	h := newStoredSession(b, store, map[string]any{"n": 1})
	io := newServer(b, socketbridge.Config{Sessions: store, Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}})
	io.On("e", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("n")) })
	eventbench.Run(b, io, socketbridge.Lifted(h), eventbench.Same(`20["e"]`))
}
