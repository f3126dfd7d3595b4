// Package bridgeotel gives OpenTelemetry the spans and the metrics of a socketbridge.Server and
// of a fibersession.Store:
//
//	stop := bridgeotel.Observe(bridgeotel.Config{Server: io, Sessions: sessions})
//	defer stop()
//
// It uses the global providers unless Config has others. Only an app that imports this package
// gets OpenTelemetry in its binary.
//
// # Spans
//
// The handling of an event, a client's connect, an event that requests an acknowledgement and a
// message to other nodes are spans. Packet.Context and Connect.Context have the span of their
// event or connect, so that what is called with them becomes its child. The operations of
// sessions are children of what caused them: an event, or a request whose span is in
// fiber.Ctx.UserContext. A message takes its span's ID to the other nodes, where its delivery is
// a child of that span. A broadcast takes part with Broadcast.WithContext. A connect links to the
// span of the request that opened the connection.
//
// # Attributes
//
// Spans have the names of events and namespaces, the ID of the socket, the session's pseudonym
// (see fibersession.LogLabel) and the outcome of the operation as a word. They have no session
// IDs, no values, no names of rooms or users, and no texts of errors. Attributes of metrics have
// a bounded number of values.
//
// docs/tracing.md lists spans, attributes and instruments.
package bridgeotel
