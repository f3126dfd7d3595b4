package bridgeotel_test

import (
	"testing"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	bridgeotel "github.com/fiberbridge/fiberbridge/socketbridge/otel"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// BenchmarkEvent is one event with its acknowledgement, without a session, over a connection in
// memory.
func BenchmarkEvent(b *testing.B) {
	off := bridgeotel.Config{TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider()}
	traces := func(s sdktrace.Sampler) bridgeotel.Config {
		cfg := off
		cfg.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSampler(s))
		return cfg
	}
	metrics := off
	metrics.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	for _, bm := range []struct {
		name string
		cfg  *bridgeotel.Config
	}{
		{"not observed", nil},
		{"no-op providers", &off},
		{"sampling off", ptr(traces(sdktrace.NeverSample()))},
		{"all sampled, no exporter", ptr(traces(sdktrace.AlwaysSample()))},
		{"metrics only", &metrics},
	} {
		b.Run(bm.name, func(b *testing.B) {
			io := socketbridge.New(socketbridge.Config{})
			io.On("e", func(p *socketbridge.Packet) error { return p.Ack() })
			if bm.cfg != nil {
				cfg := *bm.cfg
				cfg.Server = io
				b.Cleanup(bridgeotel.Observe(cfg))
			}
			conn, err := transporttest.Connect(io, nil)
			if err != nil {
				b.Fatal(err)
			}
			roundTrip := func(packet string) {
				if err := conn.Text(packet); err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			roundTrip("0")
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(`21["e"]`)
			}
			conn.Leave("transport close", nil)
			if err := io.Shutdown(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
