package metrics_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/eventbench"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/metrics"
)

// BenchmarkEvent measures one event of a socket, up to its answer, without and with the
// collector.
func BenchmarkEvent(b *testing.B) {
	for _, name := range []string{"none", "metrics"} {
		b.Run(name, func(b *testing.B) {
			server := newServer(b, socketbridge.Config{})
			if name == "metrics" {
				defer metrics.New(metrics.Config{Server: server}).Close()
			}
			server.On("e", func(p *socketbridge.Packet) error { return p.Ack(1) })
			eventbench.Run(b, server, nil, eventbench.Same(`20["e"]`))
		})
	}
}

// BenchmarkScrape measures a scrape of a server with 10 and with 10,000 sockets, each in a room of
// its own beside that of its ID.
func BenchmarkScrape(b *testing.B) {
	for _, sockets := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("sockets=%d", sockets), func(b *testing.B) {
			server, store := newServer(b, socketbridge.Config{}), newStore(b, fibersession.Config{})
			registry := register(b, metrics.Config{Server: server, Sessions: store})
			server.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room of " + s.ID()) })
			for range sockets {
				join(b, server)
			}
			b.ReportAllocs()
			for b.Loop() {
				families, err := registry.Gather()
				if err != nil {
					b.Fatal(err)
				}
				for _, f := range families {
					if _, err := expfmt.MetricFamilyToText(io.Discard, f); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
