// Package fibersession is Fiber's session middleware, extended: a session can be
// used without a request, written from many places at once, and watched.
//
//	sessions := fibersession.New()
//	app.Use(sessions.Handler())
//	app.Post("/visit", func(c *fiber.Ctx) error {
//		sess := fibersession.FromContext(c)
//		sess.Set("visits", fibersession.Value[int](sess, "visits")+1)
//		return c.SendStatus(204) // saved by the Handler, and the cookie with it
//	})
//
// An app that uses Fiber's middleware/session needs only another import line:
// Config has all of its fields, Session all of its methods.
//
// Four ideas:
//
//   - A Session is of one request: it writes the cookie, and is of no use after the
//     request. A Handle (Store.Lift, Session.Detach, Store.GetByID) never knew a
//     request and is for everything else. Both are small values over the one shared
//     state that a session has on this node.
//   - Saving is a merge. Only the keys that a handle changed are stored, onto
//     whatever the session has become, by compare-and-swap; what hangs together is
//     changed with Update, which runs again when it must. Nobody's change is lost.
//   - A session that ended stays ended: a save that comes late is ErrSessionGone.
//   - A session's identity is its lineage, which is never sent anywhere. Its ID is a
//     mere name for the browser, changed by Regenerate; in the store there is only
//     the ID's hash.
//
// A session that is watched (Handle.Watch) is kept up to date: what other nodes
// change is told through the storage's feed, and its expiry at its limit. What it
// does not do: of a session that nobody watches, a node learns what others did when
// it next asks the store (Reload, or any save).
package fibersession
