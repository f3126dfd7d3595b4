// Package socketbridge serves Socket.IO on Fiber v2, with the web session of the app in
// every event handler. The official socket.io-client connects unchanged, over
// long-polling and WebSocket.
//
// Give the server the session store of the app, mount it after the session middleware,
// and add handlers:
//
//	sessions := fibersession.New()
//	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
//
//	app := fiber.New()
//	io.LimitBodies(app) // bounds the memory of request bodies
//	app.Use(sessions.Handler())
//	app.Use(io.Handler()) // serves /socket.io/
//
//	io.On("incr", func(p *socketbridge.Packet) error {
//		n, err := p.Session().Incr(p.Context(), "count", 1)
//		if err != nil {
//			return err
//		}
//		p.Session().Set("by", "socket") // saved when the handler returns
//		return p.Ack(n)                 // sent after the save
//	})
//
// # What you can do
//
//   - Handle events: Server.On for all sockets, Socket.On for one, Socket.Use for packet
//     middlewares, Packet.Bind to decode arguments, Packet.Values to send them on,
//     Packet.Ack to answer.
//   - Decide who may connect: Server.Use for connect middlewares, Server.RequireSession
//     for visitors with a stored session only, Server.Ticket for clients that cannot send
//     the cookie.
//   - Send events: Socket.Emit to one client, Server.To to rooms, Server.ToSession to all
//     tabs of a browser, Server.ToUser to all devices of a user. EmitWithAck waits for
//     answers, EmitWithAckFunc is called with one.
//   - Separate parts of an app: Server.Of for namespaces by name, Server.OfPattern for
//     names that clients choose.
//   - React to the session: OnSessionChange when values change, Config.OnRegenerate when
//     it gets a new ID, Config.OnExpiry and OnInvalidSession when it ends.
//   - Run several nodes with Config.Adapter, and resend missed events to clients that
//     reconnect with Config.Recovery. Without these, broadcasts reach this node's clients
//     only, and a disconnected client misses events.
//   - Serve clients without Socket.IO over plain WebSockets: Namespace.WebSocket.
//
// # How the session reaches a handler
//
// The handshake is an ordinary request: all middleware that the app mounts before the
// bridge runs for it. The bridge then takes a fibersession.Handle of the request's
// session, and keeps nothing of the request itself. On one node, all sockets and requests
// of a session share one copy of its state, so each sees what the others save.
//
// When the session changes, gets a new ID or ends, on any node, all its sockets are
// notified. No event is handled for a session that has ended.
//
// # How an event is handled
//
// For every event, the server loads the session, runs the socket's middlewares
// (Socket.Use), the catch-all listeners (Socket.OnAny) and the event's chains, saves the
// session and sends the answer. Middlewares call Next, as in Fiber. Config.Mode changes
// when the session is loaded and saved.
//
// An answer confirms that the session was saved: Packet.Ack holds it back until then, and
// if saving fails, the client gets an error instead. Emit sends at once. To broadcast a
// change only after it is stored, call p.Session().Save first.
//
// The handlers of one socket run one at a time and in order, on a goroutine of their own,
// so a slow handler does not delay heartbeats, acknowledgements, other namespaces or other
// clients. Sending never blocks on a client: one that reads too slowly is disconnected.
package socketbridge
