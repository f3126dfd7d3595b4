package socketbridge

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// ConnectHandler is a connect middleware. It calls c.Next to run the next one. It
// refuses the client by returning an error, or nil without having called Next. The
// client sees the message and data of a *ConnectError, and of any other error only that
// it was refused.
type ConnectHandler func(c *Connect) error

// Connect is a client's request to join a namespace, as connect middlewares see it. One
// goroutine uses it, and it is valid until the middleware returns.
type Connect struct {
	socket *Socket
	auth   json.RawMessage
	chain  []ConnectHandler
	next   int
	passed bool
	ctx    context.Context // nil for the socket's
}

// Socket returns the socket that is being connected. Middlewares can already give it
// handlers, rooms and data.
func (c *Connect) Socket() *Socket { return c.socket }

// Session returns the session of the socket, or nil if the namespace shares none.
func (c *Connect) Session() *fibersession.Handle { return c.socket.session }

// Handshake returns the HTTP request that opened the connection. See Socket.Handshake.
func (c *Connect) Handshake() *transport.Handshake { return c.socket.Handshake() }

// Context is canceled when the client disconnects.
func (c *Connect) Context() context.Context {
	if c.ctx != nil {
		return c.ctx
	}
	return c.socket.Context()
}

// Auth decodes the client's auth option into v. If the client sent none, v stays
// unchanged. Its errors are as those of Answer.Bind.
func (c *Connect) Auth(v any) error {
	return decodeAuth(c.auth, v)
}

// Next runs the next middleware and returns its error.
func (c *Connect) Next() error {
	if c.next == len(c.chain) {
		c.passed = true
		return nil
	}
	h := c.chain[c.next]
	c.next++
	return h(c)
}

// run runs the middlewares. It returns nil if the client may join.
func (c *Connect) run() error {
	err := errPanic
	c.socket.guard("Use", func() { err = c.Next() })
	if err != nil {
		return err
	}
	if !c.passed {
		return errNotNext
	}
	return nil
}

// connectErrorOf returns the client's view of err.
func connectErrorOf(err error) *ConnectError {
	var ce *ConnectError
	if errors.As(err, &ce) {
		return ce
	}
	if e := clientError(err); e != nil {
		return &ConnectError{Message: e.Message, Data: e}
	}
	return &ConnectError{Message: "Forbidden", Data: &EventError{Code: CodeForbidden, Message: "Forbidden"}}
}

// openSession gives the socket its session: that of its ticket, or else that of the
// handshake's cookie.
func (s *Socket) openSession(ctx context.Context) error {
	if s.mode == SessionNone {
		if s.settings.required {
			return ErrSessionMissing
		}
		return nil
	}
	if ticket, given := s.ticket(); given {
		if err := s.redeem(ctx, ticket); err != nil {
			return err
		}
		s.epoch.Store(s.ticketed.epoch)
	} else {
		h, err := s.client.forkSession()
		if err != nil {
			return err
		}
		s.session = h
		s.epoch.Store(s.client.lifted.epoch)
	}
	if s.settings.required && s.session.Fresh() {
		return ErrSessionMissing
	}
	return s.sessionError()
}
