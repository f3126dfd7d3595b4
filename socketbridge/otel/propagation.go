package bridgeotel

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// A message between nodes has room for the W3C header "traceparent" and for no other, so the
// propagator is fixed, and "tracestate" and baggage stay on the node.
const traceparent = "traceparent"

// traceContext returns the trace context of ctx as a traceparent, or "". It is
// socketbridge.Trace.Handshake.
func traceContext(ctx context.Context) string {
	var m adapter.Message
	inject(ctx, &m)
	return m.Trace
}

// spanContextOf returns the span context of a traceparent of this process. It is invalid if there
// is none.
func spanContextOf(text string) trace.SpanContext {
	if text == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(extract(context.Background(), &adapter.Message{Trace: text})).WithRemote(false)
}

// inject gives a message the trace context of ctx, if there is one.
func inject(ctx context.Context, m *adapter.Message) {
	propagation.TraceContext{}.Inject(ctx, (*carrier)(m))
}

// extract returns ctx with the trace context of a message, if it has a valid one.
func extract(ctx context.Context, m *adapter.Message) context.Context {
	if m.Trace == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, (*carrier)(m))
}

// carrier is a message as a propagation.TextMapCarrier.
type carrier adapter.Message

// Get implements propagation.TextMapCarrier.
func (c *carrier) Get(key string) string {
	if key == traceparent {
		return c.Trace
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c *carrier) Set(key, value string) {
	if key == traceparent {
		c.Trace = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (*carrier) Keys() []string { return []string{traceparent} }
