// Package engineio is an Engine.IO 4 server for Fiber. It carries messages over HTTP
// long-polling and WebSocket, and upgrades a client from polling to WebSocket without
// losing, duplicating or reordering messages.
//
//	eio := engineio.New(acceptor, engineio.Config{PingInterval: 20 * time.Second})
//	app.Use(eio.Handler()) // serves /socket.io/
//	…
//	err := eio.Shutdown(ctx)
//
// A connection outlives its transport. To send, it has one bounded queue, which polls or
// the writer of a WebSocket empty. To receive, a goroutine needs the connection's receiver
// semaphore: a post holds it while its body is handled, and a WebSocket as long as it is
// open.
//
// Waiting takes no goroutine of its own. An idle connection on polling is one waiting
// request, an idle WebSocket is its reader, and each has one timer. A writer runs only while
// there is something to write.
//
// Every request of every transport is checked, not only the handshake: its origin
// (origin.go), its query (handler.go), and whether it comes from the visitor who opened the
// connection (Hooks.SameVisitor).
//
// All limits have defaults. A client that exceeds one loses its own connection and affects
// no other. Some limits only the HTTP server can enforce: set ReadTimeout and IdleTimeout in
// fiber.Config, and call LimitBodies.
//
// The package does not support Engine.IO 3, WebTransport, JSONP or permessage-deflate. It
// does not interpret the messages it carries.
package engineio
