// Package contribws makes a route of contrib/socketio part of the bridge: each
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
// The client speaks plain messages (socketbridge.Namespace.WebSocket): text frames
// with ["event", ...args] are events, any other frame is the event "message". What
// comes in goes to the socket's chains and, as before, to the app's socketio.On
// listeners; what listeners send with kws.Emit goes out as it is, through the
// socket's own bounded queue.
//
// Three ideas:
//
//   - The network belongs to the bridge's own transport alone: it reads, writes,
//     checks origins, bounds sizes, keeps deadlines and waits for what it started.
//     The library runs beside it, over a connection in memory that is made for one
//     client and never used for another. What it holds on to after the end is
//     nobody else's.
//   - Messages do not pass through the library's reader, whose goroutine is ended at
//     once: a queue of the connection's own gives them to the listeners. So they
//     come as fast as listeners are, no lock is held while a client is silent
//     (SetAttribute and Emit never wait for it), and a panic in a listener of
//     "connect" or "message" is logged and goes no further.
//   - A listener that is slow or hangs delays neither the socket's chains, until
//     MaxBehind messages wait, nor any other client.
//
// An app without socketio.On listeners does not need this package: io.WebSocket()
// serves the same clients, for less.
//
// What cannot be changed from outside, and is to be known:
//
//   - Listeners of "disconnect", "error" and "close" run on goroutines of the library
//     or of who closes. Their panic ends the process: wrap them with Guard.
//   - kws.Emit to a connection that has ended keeps 100 messages, and then waits for
//     ever; within Config.Connect and listeners of "connect" it keeps 99, and waits
//     for them to return. SocketOf(kws).Emit never waits, and returns an error.
//   - kws.SetUUID leaves the connection in the library's list under its first UUID,
//     also after its end. Join rooms, and use io.To.
//   - kws.Conn can be written to by nobody but the library: use kws.Emit. It has
//     nothing to read, and no Params (kws.Params works).
//   - socketio.On belongs into main. A listener that is registered while packages are
//     initialised may come before this package's own, and would hear one message of
//     its making for each connection, and more than one "disconnect".
//   - A route that stays with socketio.New shares the library's pools with these.
//     Give all of them to this package.
//   - Three goroutines and one tick a second for each connection, beside those of
//     the bridge.
package contribws
