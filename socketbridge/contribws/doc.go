// Package contribws makes a route of contrib/socketio part of the bridge: each
// *socketio.Websocket is a socket like any other.
//
//	app.Use(sessions.Handler())
//	app.Get("/ws/:room", contribws.New(io))
//
//	io.On("say", requireLogin, func(p *socketbridge.Packet) error {
//		return io.To("hall").Emit("said", p.Args()[0])
//	})
//	socketio.On(socketio.EventMessage, contribws.Guard(func(ep *socketio.EventPayload) {
//		user := contribws.SessionOf(ep.Kws).Get("user") // as before, and with a session
//		ep.Kws.Emit([]byte(fmt.Sprintf("%v said %s", user, ep.Data)))
//	}))
//
// The client speaks plain messages (socketbridge.Namespace.WebSocket): text frames
// with ["event", ...args] are events, any other frame is the event "message". What
// comes in goes both to the socket's chains and, as before, to the app's
// socketio.On listeners; what listeners send with kws.Emit goes out as it is,
// through the socket's own bounded queue.
//
// The network belongs to the bridge's own transport alone: it reads, writes, checks
// origins, bounds sizes, keeps deadlines and waits for what it started. The library
// runs beside it, over a connection in memory that is made for one client and never
// used for another. So what it holds on to after the end is nobody else's, and a
// listener that is slow or hangs delays neither the socket's chains (until
// MaxBehind messages wait) nor any other client.
//
// An app without socketio.On listeners does not need this package: io.WebSocket()
// serves the same clients.
//
// What cannot be changed from outside, and is the listeners' affair alone:
//
//   - A listener's panic ends the process, but for Config.Connect and the listeners
//     of "connect": wrap them with Guard.
//   - kws.SetAttribute and kws.SetUUID wait for the client's next message when they
//     are called outside of listeners, and everything of that kws but its messages
//     waits with them. Keep such things in SocketOf(kws).Data().
//   - kws.Emit queues 100 messages when its connection has ended, and then waits for
//     ever. SocketOf(kws).Emit returns an error.
//   - kws.Conn carries frames only: its own Locals, Params, Cookies, Headers and IP
//     are empty. Those of kws work, without the session's cookie.
//   - Three goroutines and one tick a second for each connection.
//
// Importing the package sets socketio.ReadTimeout to a microsecond, with which the
// library reads as fast as its listeners are.
package contribws
