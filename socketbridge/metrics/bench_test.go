package metrics_test

import (
	"io"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/metrics"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// benchConn is a connection that signals each message sent.
type benchConn struct {
	*transporttest.Conn
	sent chan struct{}
}

func (c benchConn) Send(transport.Flags, ...transport.Message) error {
	c.sent <- struct{}{}
	return nil
}

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
			conn := benchConn{transporttest.NewConn(nil), make(chan struct{}, 1)}
			r, err := server.Accept(conn)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Closed(transport.TransportClose, nil)
			send := func(text []byte) {
				if err := r.Receive(transport.Message{Data: text}); err != nil {
					b.Fatal(err)
				}
				<-conn.sent
			}
			send([]byte("0"))
			b.ReportAllocs()
			for b.Loop() {
				send([]byte(`20["e"]`))
			}
		})
	}
}

// BenchmarkScrape measures a scrape of a server with 10,000 sockets.
func BenchmarkScrape(b *testing.B) {
	server := newServer(b, socketbridge.Config{})
	store := newStore(b, fibersession.Config{})
	registry := prometheus.NewRegistry()
	m := metrics.New(metrics.Config{Server: server, Sessions: store})
	defer m.Close()
	registry.MustRegister(m)
	server.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room " + s.ID()[:1]) })
	for range 10_000 {
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
}
