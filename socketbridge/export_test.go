package socketbridge

import "github.com/fiberbridge/fiberbridge/fibersession"

// Lifted returns the Handshake.Lifted of a handshake with the session of h. The
// connection releases h.
func Lifted(h *fibersession.Handle) any { return &lifted{handle: h, epoch: h.Epoch()} }

// MaxChangedKeys bounds the keys that one call of an OnSessionChange handler reports.
const MaxChangedKeys = maxChangedKeys

// NamespaceCount returns the number of the server's namespaces.
func (s *Server) NamespaceCount() int { return len(s.allNamespaces()) }

// AllRooms returns the socket's rooms, including those of the bridge.
func (s *Socket) AllRooms() []string { return s.ns.rooms.names(s, true) }

// KickedNames returns how many namespaces all clients together were disconnected from.
func (s *Server) KickedNames() (n int) {
	for _, c := range s.allClients() {
		c.mu.Lock()
		n += len(c.kicked)
		c.mu.Unlock()
	}
	return n
}

// HeldBytes returns the bytes of the events that wait or are being handled.
func (s *Server) HeldBytes() int64 { return s.heldBytes.Load() }

// HoldBytes counts n more bytes as held, as if other clients' events took them.
func (s *Server) HoldBytes(n int64) { s.heldBytes.Add(n) }

// MaxServerBytes bounds HeldBytes.
const MaxServerBytes = maxServerBytes
