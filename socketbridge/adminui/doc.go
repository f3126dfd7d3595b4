// Package adminui shows a server in Socket.IO's own Admin UI, the npm package
// @socket.io/admin-ui. It does what that package's instrument() does for a server on Node,
// so that one page shows Go and Node servers of a cluster.
//
//	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
//	adminui.Instrument(io, adminui.Config{
//		Authorize: func(session *fibersession.Handle) bool { return session.Get("role") == "admin" },
//	})
//
// Host the files of the npm package's ui/dist folder, or open https://admin.socket.io, and
// enter the address of your server. The UI connects to the namespace "/admin".
//
// # What it costs
//
// While no page of the UI is connected, no event of your app runs code of this package. With
// an adapter, the node asks the others every 5 s whether a page is connected to them.
//
// # What is shown
//
// Of a socket: its ID, its client, transport, rooms and namespace, the Data that
// socketbridge.Data.Share shows other nodes, and of its handshake what
// socketbridge.RemoteHandshake has. Cookies, other headers, query, auth, session IDs and the
// bridge's own rooms are not sent. Of an event, its name and the number of its arguments:
// Config.Arguments lists the events whose arguments are shown.
//
// docs/adminui.md has the limits, and what differs from the package for Node.
package adminui
