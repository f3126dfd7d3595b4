// Package fibersession is Fiber's session middleware, extended: a session can be used
// without a request, written from many places at once, and watched for changes.
//
//	import _ "github.com/fiberbridge/fiberbridge/storage/redis" // for redis://
//
//	sessions := fibersession.New(fibersession.Config{
//		Storage: storage.MustOpen("redis://127.0.0.1:6379/0"),
//	})
//	app.Use(sessions.Handler())
//	app.Post("/theme/:name", func(c *fiber.Ctx) error {
//		fibersession.FromContext(c).Set("theme", c.Params("name"))
//		return c.SendStatus(204) // Handler saves the session and sends its cookie
//	})
//
// Use Incr or Update for a value that depends on its old one, such as a counter.
//
// An app that uses Fiber's middleware/session changes only the import path: Config has all
// of its fields, and Session all of its methods.
//
// # Sessions and handles
//
// A Session belongs to one request. It reads the request's cookie, writes the response's
// cookie, and cannot be used after the request. A Handle belongs to no request: sockets and
// background work use it. Store.Lift, Session.Detach and Store.GetByID return one. All
// Sessions and Handles of one session on a node share one copy of its stored values.
//
// Saving merges. Only the keys that a Session or Handle changed are stored, with
// compare-and-swap, onto the newest revision of the session. Concurrent writers therefore
// never overwrite keys that they did not change. On the same key, the last write wins. Update
// is for values that depend on others: its function runs again if another writer changed
// what it read.
//
// A session that has ended stays ended. A save that comes later returns ErrSessionGone.
//
// # Identity
//
// A session has an ID and a lineage. The ID is the secret in the browser's cookie.
// Regenerate and Login replace it, and the storage holds only its hash (unless
// Config.Builtin or Config.Express is set). The lineage is the random identity that a
// session keeps when its ID changes. It is never sent to a client. Pseudonym derives names
// for logs, rooms and metrics from it.
//
// # Changes on other nodes
//
// Handle.Watch reports changes of a session, a new ID, and its end, on any node. While a
// session is watched, the storage's feed keeps this node's copy up to date, and a timer ends
// it at its limit. A session that is not watched is read from the storage when a request
// begins to use it, on Reload and Refresh, and when a save finds a newer revision.
//
// With Config.UserKey, the storage also keeps an index of each user's sessions: see Login,
// Devices and EndAll.
package fibersession
