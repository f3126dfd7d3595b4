package socketbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// Session returns the socket's session, for this packet: what is set through it is
// saved when the handler returns (but in SessionManual), before the answer is sent.
// It is nil when the namespace shares no session.
func (p *Packet) Session() *fibersession.Handle {
	if p.session == nil && p.socket.session != nil {
		p.session = p.socket.session.Fork()
		p.session.QueuedSince(p.came)
	}
	return p.session
}

// check sees that nothing of the user's runs for a session that has ended, or for a
// socket that has: also for one that ended while the packet waited, or while its
// session was reloaded.
func (p *Packet) check() error {
	s := p.socket
	if s.session == nil {
		return p.late()
	}
	if err := s.current(); err != nil {
		return err
	}
	if s.mode == SessionPerPacket {
		if err := p.reload(s.server().cfg.Freshness); err != nil {
			return err
		}
	}
	if err := p.touch(); err != nil {
		return err
	}
	if err := s.current(); err != nil {
		return err
	}
	return p.late()
}

// current says why nothing may run for the socket's session any more, or nil.
func (s *Socket) current() error {
	if s.session == nil {
		return nil
	}
	if err := s.session.Err(); err != nil {
		return err
	}
	if s.server().cfg.OnRegenerate == nil || s.session.Epoch() == s.epoch.Load() {
		return nil
	}
	return s.renewed() // nobody has told of the new ID yet
}

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

// save writes what the packet's handlers changed in the session.
func (s *Socket) save(p *Packet) error {
	if s.mode != SessionPerPacket && s.mode != SessionPerConnection {
		return nil
	}
	return errors.Join(saveChanged(p.session, p.came), saveChanged(s.session, p.came))
}

// saveChanged is bounded by the store's own timeout, and not by the socket's life:
// what a handler changed is stored also when its client has just gone.
func saveChanged(h *fibersession.Handle, since time.Time) error {
	if h == nil || !h.Changed() {
		return nil
	}
	h.QueuedSince(since)
	return h.Save(context.Background())
}
