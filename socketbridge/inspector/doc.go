// Package inspector is a live page over a bridge: nodes, sockets, rooms, sessions and users of
// the whole cluster, what fails and why, and what happened to a user's session.
//
//	app.Use(io.Handler())
//	app.Use("/inspector", inspector.New(inspector.Config{
//		Bridge: io,
//		Authorize: func(c *fiber.Ctx) (administrator string, err error) {
//			user := fibersession.FromContext(c).User()
//			if !isAdministrator(user) {
//				return "", fiber.ErrNotFound
//			}
//			return user, nil
//		},
//	}))
//
// Three ideas:
//
//   - The page is a client of the server, in a namespace of its own (Namespace). Its HTTP
//     handler asks Authorize and gives the page a pass: it works once, for 30 seconds. The page
//     needs one to connect, another one every 60 seconds, and one for everything that it ends.
//   - Nodes with an inspector ask each other through the adapter. Lists are cut, sorted and
//     searched where the sockets are, so a page costs the same with 100 and 100,000 sockets.
//   - Each node keeps a time line in memory, of 20,000 records and 4 MiB at most: connections,
//     refusals, errors of handlers, and which request or event changed which keys of which
//     session. Rates and latencies are measured only while a page is open.
//
// Sessions are named by the pseudonyms of the log (fibersession.LogLabel). Neither session IDs
// nor the arguments of events leave a node, and values of sessions only if Config.Values lists
// their keys.
//
// A node without an inspector, such as a Socket.IO server for Node, is counted, and its
// sockets are found by user and room. It has no time line.
package inspector
