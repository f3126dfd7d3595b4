package bridgeotel

import (
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/setting"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// ScopeName is the name of the instrumentation scope of all spans and metrics.
const ScopeName = "github.com/fiberbridge/fiberbridge/socketbridge/otel"

// Config says what Observe observes, and to which providers it reports.
type Config struct {
	// Server is the server whose events, connects and messages to other nodes are reported. If it
	// is nil, only sessions are observed.
	// Optional. Default: nil.
	Server *socketbridge.Server

	// Sessions is the store whose operations are reported. If it is nil, only the server is
	// observed.
	// Optional. Default: nil.
	Sessions *fibersession.Store

	// TracerProvider gets the spans. For metrics without spans, set that of package
	// go.opentelemetry.io/otel/trace/noop.
	// Optional. Default: otel.GetTracerProvider().
	TracerProvider trace.TracerProvider

	// MeterProvider gets the metrics. For spans without metrics, set that of package
	// go.opentelemetry.io/otel/metric/noop.
	// Optional. Default: otel.GetMeterProvider().
	MeterProvider metric.MeterProvider
}

// Observe reports spans and metrics until stop is called. Operations that are in progress when
// it is called are not reported. It panics if cfg has neither a server nor a store. Errors of a
// provider go to OpenTelemetry's error handler (otel.SetErrorHandler).
//
// Call it once per server and store: a second Observe with the same providers reports everything
// twice.
func Observe(cfg Config) (stop func()) {
	if cfg.Server == nil && cfg.Sessions == nil {
		setting.Refuse("bridgeotel: Config.Server", "and Config.Sessions are nil: there is nothing to observe")
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	// Spans come first, so that measurements have the span of their operation (exemplars).
	stops := append(observeSpans(&cfg), observeMetrics(&cfg))
	return sync.OnceFunc(func() {
		for _, stop := range stops {
			stop()
		}
	})
}
