// Package contribws makes routes of contrib/socketio part of the server: each
// *socketio.Websocket is a socket like any other.
//
//	app.Use(sessions.Handler())
//	app.Get("/ws/:room", contribws.New(io)) // was: socketio.New(...)
//
//	io.On("say", requireLogin, func(p *socketbridge.Packet) error {
//		return io.To("hall").Emit("said", p.Args()[0])
//	})
//	socketio.On(socketio.EventMessage, func(ep *socketio.EventPayload) {
//		user := contribws.SessionOf(ep.Kws).Get("user") // as before, and with a session
//		ep.Kws.Emit([]byte(fmt.Sprintf("%v said %s", user, ep.Data)))
//	})
//
// An app without socketio.On listeners does not need this package: io.WebSocket() serves the
// same clients at a lower cost.
//
// The client speaks plain messages (socketbridge.Namespace.WebSocket). A text frame with
// ["event", ...args] is an event; any other frame is the event "message". Messages go to the
// socket's event handlers and, as before, to the app's socketio.On listeners. kws.Emit sends
// its message unchanged, through the socket's bounded queue.
//
// # How it works
//
//   - Only the server's own transport uses the network. It reads, writes, checks origins,
//     bounds sizes, sets deadlines, and waits for the goroutines that it started. The library
//     runs beside it, on a connection in memory that is created for one client and never
//     reused. Whatever the library keeps after the end belongs to that client alone.
//   - Messages do not pass through the library's reader, whose goroutine is ended at once. A
//     queue of the connection passes them to the listeners. So messages are handled as fast
//     as the listeners are, no lock is held while a client is silent (SetAttribute and Emit
//     never wait for it), and a panic in a listener of "connect" or "message" is only logged.
//   - A listener that is slow or blocks does not delay other clients. It does not delay the
//     socket's event handlers either, until MaxBehind messages wait.
//
// # Limitations
//
// These cannot be changed from outside the library:
//
//   - Listeners of "disconnect", "error" and "close" run on goroutines of the library or of
//     the caller that closes. Their panic ends the process: wrap them with Guard.
//   - kws.Emit on a connection that has ended keeps 100 messages and then blocks forever.
//     Within Config.Connect and listeners of "connect" it keeps 99, and then blocks until
//     they return. SocketOf(kws).Emit never blocks; it returns an error.
//   - kws.SetUUID leaves the connection in the library's list under its first UUID, even
//     after its end. Join rooms and use io.To instead.
//   - Only the library can write to kws.Conn: use kws.Emit. There is nothing to read from it,
//     and it has no Params (kws.Params works).
//   - Call socketio.On in main. A listener that is registered while packages are initialized
//     can run before this package's own. It then gets one internal message per connection,
//     and more than one "disconnect".
//   - Routes that still use socketio.New share the library's pools with the routes of this
//     package. Move all of them to this package.
//   - Each connection takes three goroutines and one tick per second, in addition to those of
//     the server.
package contribws
