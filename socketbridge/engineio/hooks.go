package engineio

import "github.com/gofiber/fiber/v2"

// Hooks connect a Server to the application's sessions. All are optional. They may run
// concurrently, for different requests.
type Hooks struct {
	// Lift extracts from a handshake request what the connection needs later, such as the
	// visitor's session. It is called once per connection, on the request's goroutine,
	// after all other checks have passed. Its result becomes Handshake.Lifted. If it
	// returns an *Error, the handshake is answered with that error. Any other error is
	// answered with 403 and code 4, and its text is not sent. The value returned with an
	// error is ignored.
	//
	// Optional. Default: nil, nothing is extracted
	Lift func(c *fiber.Ctx) (any, error)

	// SameVisitor reports whether a later request of a connection (a poll, a post or an
	// upgrade) comes from the visitor who opened it. If it returns false, the request is
	// answered as if the connection did not exist, and the connection is left alone.
	//
	// Optional. Default: nil, everyone who knows the connection's ID
	SameVisitor func(c *fiber.Ctx, lifted any) bool

	// Release is called with a lifted value whose connection the Acceptor never accepted.
	// For accepted connections, Receiver.Closed is called instead. It must not block.
	//
	// Optional. Default: nil
	Release func(lifted any)

	// SessionCookie reports whether a cookie of that name can carry a session. Such
	// cookies are left out of the Handshake.
	//
	// Optional. Default: nil, the Handshake has all cookies
	SessionCookie func(name string) bool

	// Node is the ID of this process in the lines of the log.
	//
	// Optional. Default: "", no ID is logged
	Node string

	// SessionHeader and SessionQuery do the same for headers and URL parameters.
	//
	// Optional. Default: nil, the Handshake has all of them
	SessionHeader, SessionQuery func(name string) bool
}
