package engineio

import (
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
)

// maxLingering is how many WebSockets of upgrades a server reads on from after their close frame
// at the same time. With more, the others are closed right after it. A client can begin
// PacketsPerSecond upgrades per second, and each such WebSocket takes a goroutine and a buffer.
const maxLingering = 1 << 10

// lingering is a WebSocket of an upgrade that is being closed. It is not bounded by its
// connection's timer, and does not end with its connection.
type lingering struct {
	ws   *wsWriter
	over serial.Signal
}

// end ends the reads and writes of the WebSocket. Its goroutine then closes it.
func (l *lingering) end() {
	l.over.Fire()
	l.ws.interrupt()
}

// closeUpgrade closes a WebSocket that does not become its connection's transport, on the reader
// goroutine. As closeAndDrain does, it sends a close frame and discards what the client sends
// until the client has closed the WebSocket too, but not for longer than until deadline. If that
// has passed, it only closes the WebSocket. No other goroutine may use w any more.
func (r *reader) closeUpgrade(w *wsWriter, code uint16, deadline time.Time) {
	defer r.close()
	left := time.Until(deadline)
	if left <= 0 {
		return
	}
	w.resume()
	l := &lingering{ws: w}
	drains := r.server.addLingering(l)
	defer r.server.removeLingering(l)
	defer time.AfterFunc(left, l.end).Stop()
	if w.torn || w.write([]packet{{kind: closePacket, code: code}}) != nil {
		return
	}
	w.closeWrite()
	if drains {
		r.drain(l.over.Done())
	}
}

// addLingering makes l known to Shutdown. It returns false if l must not read any more, because
// there are enough others.
func (s *Server) addLingering(l *lingering) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		l.end()
	}
	if s.lingering == nil {
		s.lingering = make(map[*lingering]struct{})
	}
	s.lingering[l] = struct{}{}
	return len(s.lingering) <= maxLingering
}

func (s *Server) removeLingering(l *lingering) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lingering, l)
}

// cutLingering ends all lingering WebSockets, and those to come.
func (s *Server) cutLingering() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	for l := range s.lingering {
		l.end()
	}
}
