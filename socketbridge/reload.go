package socketbridge

import (
	"errors"
	"fmt"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// Reload returns a packet middleware that reads the session again before every
// event, so that the handlers see what any other request, socket or node has
// stored. When the session has ended the socket is disconnected; when the store
// cannot be asked the event ends with that error, unless
// fibersession.Config.Tracking.OutageGrace serves what was last known. In SessionPerPacket it
// is there already, and a second one costs nothing. A freshness is for these events
// in place of Config.Freshness: Reload(fibersession.Strict) before what must not miss
// anything.
func Reload(f ...fibersession.Freshness) Handler {
	return func(p *Packet) error {
		how := p.socket.server().cfg.Freshness
		if len(f) > 0 {
			how = f[0]
		}
		if err := p.reload(how); err != nil {
			return err
		}
		return p.Next()
	}
}

// reload sees to it that the session is as fresh as f says, once for each packet.
func (p *Packet) reload(f fibersession.Freshness) error {
	s := p.socket.session
	if s == nil || p.fresh && (p.how == f || p.how == fibersession.Strict) {
		return nil
	}
	if s.Fresh() {
		// Nothing is stored yet: there is nothing newer to read.
		return s.Err()
	}
	if err := p.Session().Refresh(p.Context(), f); err != nil {
		p.socket.unavailable(err)
		return err
	}
	p.fresh, p.how = true, f
	return nil
}

// touch lets the event keep its session alive. It writes to the store at most once
// per fibersession.Config.Timeouts.TouchInterval, for all sockets of the session together.
func (p *Packet) touch() error {
	s := p.socket
	if s.server().cfg.DisableTouch {
		return nil
	}
	err := p.Session().Touch(s.Context())
	if err == nil || errors.Is(err, fibersession.ErrSessionGone) {
		return err
	}
	// Whether it was written or not, nothing of the event was: it may be sent again.
	err = fmt.Errorf("%w: its idle limit could not be moved: %v", fibersession.ErrUnavailable, err)
	s.unavailable(err)
	return err
}
