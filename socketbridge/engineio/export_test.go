package engineio

// SetMaxBodyBytes replaces the limit on the bytes of request bodies in memory. It must be
// called after LimitBodies, and before the first request.
func (s *Server) SetMaxBodyBytes(n int64) { s.bodies.Max.Store(n) }

// IdleWebSockets returns the number of WebSockets that have no reader.
func (s *Server) IdleWebSockets() (n int) {
	for _, c := range s.allConns() {
		if c.idle.Load() {
			n++
		}
	}
	return n
}
