// Package engineio is an Engine.IO 4 server for Fiber: it carries messages over
// HTTP long-polling and WebSocket, and moves a client from one to the other without
// losing, doubling or reordering any.
//
//	eio := engineio.New(core, engineio.Config{PingInterval: 20 * time.Second})
//	app.Use(eio.Handler()) // serves /socket.io/
//	…
//	err := eio.Shutdown(ctx)
//
// Three ideas carry it. A connection outlives what carries it: sending goes
// through one bounded queue, which polls take from and a WebSocket's writer
// empties; receiving needs the turn, which a post takes for its body and a WebSocket for its
// life. Nothing waits on a goroutine of its own: an idle poll is the waiting
// request, an idle WebSocket its reader, and each has one timer; a writer lives
// while there is something to write. Every request of every transport is checked,
// not the first only: where it comes from (origin.go), whether it is well formed
// (handler.go), and whether it comes from who opened the connection (Hooks.SameVisitor).
//
// Limits have defaults, and passing one ends one connection. What the HTTP server
// alone can limit is its configuration's business: set ReadTimeout, IdleTimeout
// and BodyLimit of fiber.Config.
//
// It does not speak Engine.IO 3, WebTransport, JSONP or permessage-deflate, and it
// does not know what a message means.
package engineio
