package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// ConnectHandler is a connect middleware. It goes on with c.Next, and refuses with
// an error: a *ConnectError tells the client why, another one only that. Returning
// nil without having called Next refuses too.
type ConnectHandler func(c *Connect) error

// Connect is a client's request to join a namespace, as connect middlewares see
// it. It is used by one goroutine, and valid until the middleware returns.
type Connect struct {
	socket *Socket
	auth   json.RawMessage
	chain  []ConnectHandler
	next   int
	passed bool
}

// Socket returns the socket that is being connected. Middlewares may already give
// it handlers, rooms and data.
func (c *Connect) Socket() *Socket { return c.socket }

// Session returns the session of the socket, or nil when none is shared.
func (c *Connect) Session() *fibersession.Handle { return c.socket.session }

// Handshake tells the HTTP request that opened the connection. See Socket.Handshake.
func (c *Connect) Handshake() *transport.Handshake { return c.socket.Handshake() }

// Context ends when the client goes away.
func (c *Connect) Context() context.Context { return c.socket.Context() }

// Auth decodes what the client gave as its auth option into v. Without one it
// leaves v alone.
func (c *Connect) Auth(v any) error {
	if len(c.auth) == 0 {
		return nil
	}
	return json.Unmarshal(c.auth, v)
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

// admit runs the middlewares. It returns nil when all of them passed.
func (c *Connect) admit() (err error) {
	defer caught(c.socket.log, "a connect middleware", slog.Attr{}, &err)
	if err := c.Next(); err != nil {
		return err
	}
	if !c.passed {
		return errNotNext
	}
	return nil
}

// refusal is what the client is told of err.
func refusal(err error) *ConnectError {
	var ce *ConnectError
	if errors.As(err, &ce) {
		return ce
	}
	if e := public(err); e != nil {
		return &ConnectError{Message: e.Message, Data: e}
	}
	return &ConnectError{Message: "Forbidden", Data: &EventError{Code: CodeForbidden, Message: "Forbidden"}}
}

// liftSession gives the socket its handle of the connection's session.
func (s *Socket) liftSession() error {
	if s.mode == SessionNone {
		if s.settings.required {
			return ErrSessionMissing
		}
		return nil
	}
	if ticket, given := s.ticket(); given {
		if err := s.redeem(ticket); err != nil {
			return err
		}
		s.epoch.Store(s.ticketed.epoch)
	} else {
		h, err := s.client.session()
		if err != nil {
			return err
		}
		s.session = h
		s.epoch.Store(s.client.lifted.epoch)
	}
	if s.settings.required && s.session.Fresh() {
		return ErrSessionMissing
	}
	return s.current()
}
