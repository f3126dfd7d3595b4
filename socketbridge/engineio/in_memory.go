package engineio

import (
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/inmemory"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// isInMemory reports whether a request is the handshake of a client in memory.
func isInMemory(c *fiber.Ctx) bool {
	_, ok := c.Context().Conn().(inmemory.Client)
	return ok
}

// openInMemory opens the connection of a client in memory, and answers with 101 as if it were a
// WebSocket. The limits by address do not apply.
func (s *Server) openInMemory(c *fiber.Ctx, client inmemory.Client) error {
	from := s.remoteOf(c).addr
	request := s.newSnapshot(c, from)
	lifted, err := s.lift(c, from)
	if err != nil {
		return sendError(c, toError(err))
	}
	request.lifted = lifted
	conn := client.NewConn(request.handshake())
	if err := s.acceptInMemory(conn); err != nil {
		if lifted != nil && s.hooks.Release != nil {
			s.hooks.Release(lifted)
		}
		conn.Close(transport.Refused)
		return sendError(c, toError(err))
	}
	c.Status(fiber.StatusSwitchingProtocols)
	return nil
}

// acceptInMemory adds a connection and passes it to the acceptor.
func (s *Server) acceptInMemory(conn inmemory.Conn) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrShuttingDown
	}
	if s.memory == nil {
		s.memory = make(map[transport.Conn]struct{})
	}
	s.running++
	s.memory[conn] = struct{}{}
	s.mu.Unlock()
	go func() { // Shutdown waits for it
		<-conn.Done()
		s.mu.Lock()
		delete(s.memory, conn)
		s.mu.Unlock()
		s.removeRunning()
	}()
	r, err := s.acceptor.Accept(conn)
	if err == nil && r == nil {
		err = ErrRefused
	}
	if err != nil {
		return err
	}
	conn.Attach(r)
	return nil
}

// closeInMemory closes all connections of clients in memory.
func (s *Server) closeInMemory() {
	s.mu.RLock()
	all := make([]transport.Conn, 0, len(s.memory))
	for conn := range s.memory {
		all = append(all, conn)
	}
	s.mu.RUnlock()
	for _, conn := range all {
		conn.Close(transport.ShuttingDown)
	}
}
