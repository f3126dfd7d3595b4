package socketbridge_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/eventbench"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/storage"
)

// BenchmarkIdempotent measures one event on an otherwise idle socket, without the
// transport: with no middleware, as a new event with Idempotent, and as a repeat.
func BenchmarkIdempotent(b *testing.B) {
	for name, open := range map[string]func(testing.TB) func() storage.Storage{"memory": inMemory, "redis": inRedis} {
		b.Run(name, func(b *testing.B) {
			for event, text := range map[string]string{"plain": `20["plain","page-%d"]`, "new": `20["once","page-%d"]`, "repeat": `20["once","page-0"]`} {
				b.Run(event, func(b *testing.B) {
					store := fibersession.New(fibersession.Config{Storage: open(b)(), Logger: silent})
					h := newStoredSession(b, store, map[string]any{"n": 1})
					io := newServer(b, socketbridge.Config{Sessions: store, Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}})
					handler := func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("n")) }
					io.On("plain", handler)
					io.On("once", socketbridge.Idempotent(), handler)
					n := 0
					eventbench.Run(b, io, socketbridge.Lifted(h), func() []transport.Message {
						packet := text
						if event != "repeat" {
							packet = fmt.Sprintf(text, n)
						}
						n++
						return []transport.Message{{Data: []byte(packet)}}
					})
				})
			}
		})
	}
}
