package socketbridge

// Reload returns a packet middleware that reads the session again before every
// event, so that the handlers see what any other request, socket or node has
// stored. When the session has ended the socket is disconnected; when the store
// cannot be asked the event ends with that error. In SessionPerPacket it is there
// already, and a second one costs nothing.
func Reload() Handler {
	return func(p *Packet) error {
		if err := p.reload(); err != nil {
			return err
		}
		return p.Next()
	}
}

// reload reads the session, once for each packet.
func (p *Packet) reload() error {
	s := p.socket.session
	if s == nil || p.fresh {
		return nil
	}
	if s.Fresh() {
		// Nothing is stored yet: there is nothing newer to read.
		return s.Err()
	}
	if err := p.Session().Reload(p.socket.ctx); err != nil {
		return err
	}
	p.fresh = true
	return nil
}
