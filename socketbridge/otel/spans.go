package bridgeotel

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.39.0"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/measure"
)

// The attributes of spans that OpenTelemetry has no names for. Those of messaging.socket.io are
// the names of the instrumentation of Socket.IO for Node.
const (
	keyNamespace = attribute.Key("messaging.socket.io.namespace")
	keyEvent     = attribute.Key("messaging.socket.io.event_name")

	keySocket  = attribute.Key("fiberbridge.socket.id")
	keySession = attribute.Key("fiberbridge.session") // the pseudonym
	keyOutcome = attribute.Key("fiberbridge.outcome")
	keyMessage = attribute.Key("fiberbridge.message")    // the kind of a message between nodes
	keyWait    = attribute.Key("fiberbridge.event.wait") // seconds in the socket's inbox
)

// The options of Tracer.Start, made once.
var (
	asServer   = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	asClient   = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	asProducer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer)}
	asConsumer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}
	asInternal = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal)}
)

// operations has the span's kind and the type of messaging operation of each operation.
var operations = map[socketbridge.OperationKind]struct {
	options []trace.SpanStartOption
	kind    []attribute.KeyValue
}{
	socketbridge.OpConnect: {asServer, nil},
	socketbridge.OpHandle:  {asConsumer, []attribute.KeyValue{semconv.MessagingOperationTypeProcess}},
	socketbridge.OpAsk:     {asClient, []attribute.KeyValue{semconv.MessagingOperationTypeSend}},
	socketbridge.OpPublish: {asProducer, []attribute.KeyValue{semconv.MessagingOperationTypeSend}},
	socketbridge.OpRequest: {asClient, []attribute.KeyValue{semconv.MessagingOperationTypeSend}},
	socketbridge.OpDeliver: {asConsumer, []attribute.KeyValue{semconv.MessagingOperationTypeProcess}},
	socketbridge.OpRecover: {asInternal, nil},
}

// observeSpans reports spans until the functions that it returns are called.
func observeSpans(cfg *Config) (stops []func()) {
	t := &tracer{cfg.TracerProvider.Tracer(ScopeName)}
	if _, none := t.Tracer.(tracenoop.Tracer); none {
		return nil
	}
	if cfg.Server != nil {
		stops = append(stops, cfg.Server.Observe(socketbridge.Trace{Operation: t.server, Handshake: traceContext}))
	}
	if cfg.Sessions != nil {
		stops = append(stops, cfg.Sessions.Observe(fibersession.Trace{Operation: t.session}))
	}
	return stops
}

// tracer makes spans of operations. It implements their hooks.
type tracer struct{ trace.Tracer }

// server is socketbridge.Trace.Operation.
func (t *tracer) server(ctx context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
	if op.Kind == socketbridge.OpDeliver {
		ctx = extract(ctx, op.Message)
	}
	registered := op.Registered()
	options := operations[op.Kind].options
	if request := spanContextOf(op.Handshake); request.IsValid() {
		options = append(slices.Clip(options), trace.WithLinks(trace.Link{SpanContext: request}))
	}
	ctx, span := t.Start(ctx, spanName(op, registered), options...)
	if op.Kind == socketbridge.OpPublish || op.Kind == socketbridge.OpRequest {
		inject(ctx, op.Message)
	}
	if !span.IsRecording() {
		return ctx, nil // ctx still has the trace, which is not sampled
	}
	began := time.Now()
	return ctx, func(err error) {
		describe(span, op, registered)
		if op.Kind == socketbridge.OpHandle {
			span.SetAttributes(keyWait.Float64(began.Sub(op.Packet.Received()).Seconds()))
		}
		end(span, op.Outcome(err))
	}
}

// spanName returns the name of the span of an operation. It has no names that clients choose, so
// that there is a bounded number of them.
func spanName(op *socketbridge.Operation, registered bool) string {
	switch {
	case registered, op.Kind == socketbridge.OpAsk:
		return string(op.Kind) + " " + validText(op.Event)
	case op.Message != nil:
		return string(op.Kind) + " " + measure.MessageWord(op.Message)
	default:
		return string(op.Kind)
	}
}

// describe sets the attributes of an operation that has ended.
func describe(span trace.Span, op *socketbridge.Operation, registered bool) {
	span.SetAttributes(semconv.MessagingSystemKey.String("socket.io"), semconv.MessagingOperationName(string(op.Kind)), keyNamespace.String(validText(op.Namespace)))
	span.SetAttributes(operations[op.Kind].kind...)
	if s := op.Socket; s != nil {
		span.SetAttributes(keySocket.String(validText(s.ID()))) // a socket that was recovered has that of the old one
		if h := s.Session(); h != nil {
			setSession(span, h.Pseudonym(fibersession.LogLabel))
		}
	}
	switch {
	case registered, op.Kind == socketbridge.OpAsk:
		span.SetAttributes(keyEvent.String(validText(op.Event)))
	case op.Kind == socketbridge.OpHandle:
		span.SetAttributes(keyEvent.String(measure.Other))
	case op.Message != nil:
		span.SetAttributes(keyMessage.String(measure.MessageWord(op.Message)))
	}
}

// session is fibersession.Trace.Operation.
func (t *tracer) session(ctx context.Context, op *fibersession.Operation) (context.Context, func(error)) {
	ctx, span := t.Start(ctx, "session "+string(op.Kind), asInternal...)
	if !span.IsRecording() {
		return ctx, nil
	}
	return ctx, func(err error) {
		setSession(span, op.Session()) // known once the session was loaded
		end(span, op.Outcome(err))
	}
}

// setSession sets the attribute with the session's pseudonym, which is "" if there is none.
func setSession(span trace.Span, pseudonym string) {
	if pseudonym != "" {
		span.SetAttributes(keySession.String(pseudonym))
	}
}

// decided are outcomes that a client or the app decides. A span with one is no failure of the
// server, as an HTTP response 404 is none. All others but "ok" are.
var decided = map[string]bool{
	"refused": true, "dropped": true, "disconnected": true, "canceled": true, "not_found": true,
	socketbridge.CodeBadArguments: true, socketbridge.CodeInvalidArgument: true, socketbridge.CodeTooMany: true, socketbridge.CodeTicketInvalid: true,
	socketbridge.CodeSessionGone: true, socketbridge.CodeSessionMissing: true, socketbridge.CodeSessionRenewed: true,
	"no_state": true, "bad_offset": true, "not_kept": true, "too_long": true, // a client that reconnects gets a new socket
}

// end sets the outcome of a span and ends it.
func end(span trace.Span, outcome string) {
	span.SetAttributes(keyOutcome.String(outcome))
	if outcome != "ok" {
		span.SetAttributes(semconv.ErrorTypeKey.String(outcome))
		if !decided[outcome] {
			span.SetStatus(codes.Error, outcome)
		}
	}
	span.End()
}

// validText returns s with U+FFFD for bytes that are not UTF-8, which exporters refuse.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
