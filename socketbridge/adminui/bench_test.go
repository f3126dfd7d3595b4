package adminui_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// unlimited has no limits that a test's clients could reach.
func unlimited() socketbridge.Config {
	var cfg socketbridge.Config
	cfg.Limits.EventsPerSecond, cfg.Limits.BytesPerSecond, cfg.Limits.MaxConnsPerSession = -1, -1, -1
	cfg.Engine.Limits.MaxConnsPerIP, cfg.Engine.Limits.ConnRatePerIP = -1, -1
	return cfg
}

// join connects clients without a network, and returns a function that disconnects them.
func join(t testing.TB, io *socketbridge.Server, count int) (leave func()) {
	t.Helper()
	var conns []*transporttest.Conn
	for range count {
		conns = append(conns, joinOne(t, io, "/"))
	}
	return func() {
		for _, c := range conns {
			c.Leave(transport.TransportClose, nil)
		}
	}
}

func joinOne(t testing.TB, io *socketbridge.Server, namespace string) *transporttest.Conn {
	t.Helper()
	c, err := transporttest.Connect(io, nil)
	if err != nil {
		t.Fatal(err)
	}
	packet := "0" // CONNECT
	if namespace != "/" {
		packet += namespace + ","
	}
	if err := c.Text(packet); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(t.Context()); err != nil { // the confirmation
		t.Fatal(err)
	}
	return c
}

// BenchmarkEvent handles an event and answers it: without the admin namespace, with it, and
// while a page is connected.
func BenchmarkEvent(b *testing.B) {
	for _, c := range []struct {
		name                  string
		instrumented, watched bool
	}{{"plain", false, false}, {"instrumented", true, false}, {"watched", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := unlimited()
			cfg.Logger = slog.New(slog.DiscardHandler)
			io := socketbridge.New(cfg)
			handled := make(chan struct{}, 1)
			io.On("chat", func(p *socketbridge.Packet) error { handled <- struct{}{}; return p.Ack("ok") })
			if c.instrumented {
				adminui.Instrument(io, adminui.Config{Insecure: true, Logger: cfg.Logger})
			}
			conn := joinOne(b, io, "/")
			var page *transporttest.Conn
			if c.watched {
				page = joinOne(b, io, "/admin")
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := conn.Text(`2["chat","hello"]`); err != nil {
					b.Fatal(err)
				}
				<-handled
			}
			conn.Leave(transport.TransportClose, nil)
			if page != nil {
				page.Leave(transport.TransportClose, nil)
			}
			_ = io.Shutdown(context.Background())
		})
	}
}
