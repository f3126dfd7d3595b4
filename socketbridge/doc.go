// Package socketbridge serves Socket.IO on Fiber v2 with the app's session in every
// event handler: fresh, safe to write, and gone everywhere the moment it ends. The
// official socket.io-client connects unchanged, over long-polling and WebSocket.
//
//	sessions := fibersession.New()
//	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
//
//	app := fiber.New()
//	app.Use(sessions.Handler())
//	app.Use(io.Handler()) // serves /socket.io/
//
//	io.OnConnection(func(s *socketbridge.Socket) {
//		s.On("incr", func(p *socketbridge.Packet) error {
//			n := fibersession.Value[int](p.Session(), "count") + 1
//			p.Session().Set("count", n) // saved when the handler returns
//			return p.Ack(n)             // sent when it is saved
//		})
//	})
//
// Four ideas carry the rest.
//
// The session is lifted at the handshake. Whatever the app mounted before the
// bridge runs for it, as for any request; then the bridge takes a detached handle of
// the request's session, and nothing of the request itself. All sockets and requests
// of one session on this node look at one state, so what one of them saves all of
// them see.
//
// What happens to the session reaches every open socket at once: a change
// (OnSessionChange), a new ID (Config.OnRegenerate), its end (Config.OnExpiry,
// OnInvalidSession). No event runs for a session that has ended.
//
// A packet goes one way: session reloaded, the socket's middlewares (Socket.Use),
// catch-all listeners, the event's chains, session saved, answer sent. Each handler
// goes on with Next, as Fiber's do. Acknowledging is the commit point: what Ack was
// given leaves only after the save succeeded. Emit leaves at once; a broadcast that
// must not overtake the save is preceded by p.Session().Save.
//
// Handlers of one socket run one at a time and in order, apart from the goroutine
// that reads: a slow handler delays no heartbeat, no answer, no other namespace and
// no other client. Sending never waits: a client that does not keep up is
// disconnected, alone.
//
// The package keeps messages for clients that are away only with Config.Recovery,
// and reaches the sockets of other nodes only with Config.Adapter.
package socketbridge
