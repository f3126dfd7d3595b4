package socketbridge

import "github.com/fiberbridge/fiberbridge/fibersession"

// Lifted is what a handshake leaves that came with the session of h, which the
// connection then releases.
func Lifted(h *fibersession.Handle) any { return &lifted{handle: h, epoch: h.Epoch()} }

// MaxNews is the most keys that a handler of OnSessionChange is told of at once.
const MaxNews = maxNews

// NamespaceCount is how many namespaces the server has.
func (s *Server) NamespaceCount() int { return len(s.allNamespaces()) }
