package socketbridge

import (
	"context"
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// This file holds the session's part in the handling of a packet: check and load before
// the first handler, save after the last.

// Session returns the socket's session for this packet. Changes are saved when the
// handler returns (except in SessionManual), before the answer is sent. Session returns
// nil if the namespace shares no session.
func (p *Packet) Session() *fibersession.Handle {
	if p.session == nil && p.socket.session != nil {
		p.session = p.socket.session.Fork()
		p.session.QueuedSince(p.received)
	}
	return p.session
}

// prepareSession prepares the session for the packet's handlers. It returns an error if no
// handler may run: because the session or the socket has ended, also while the packet
// was queued or the session was loaded, or because the store failed.
func (p *Packet) prepareSession() error {
	s := p.socket
	if s.session == nil {
		return s.dropError()
	}
	if err := s.sessionError(); err != nil {
		return err
	}
	if s.mode == SessionPerPacket {
		if err := p.loadSession(s.server().cfg.Freshness); err != nil {
			return err
		}
	}
	if err := p.touchSession(); err != nil {
		return err
	}
	if err := s.sessionError(); err != nil {
		return err
	}
	return s.dropError()
}

// sessionError returns the reason why no handler may run for the socket's session, or
// nil. It applies Config.OnRegenerate if the session has a new ID that the socket has
// not been notified of.
func (s *Socket) sessionError() error {
	if s.session == nil {
		return nil
	}
	if err := s.session.Err(); err != nil {
		return err
	}
	if s.server().cfg.OnRegenerate == nil || s.session.Epoch() == s.epoch.Load() {
		return nil
	}
	return s.sessionRegenerated()
}

// Reload returns a packet middleware that loads the session before every event, so that
// handlers see changes of other requests, sockets and nodes. A freshness replaces
// Config.Freshness for these events, for example Reload(fibersession.Strict) before
// handlers that must not read a stale value.
//
// If the session has ended, the socket is disconnected. If the store fails, the event
// ends with the store's error, unless fibersession.Config.Tracking.OutageGrace allows the
// last known state to be served.
//
// In SessionPerPacket, the session is already loaded; loading it again with the same or
// a weaker freshness costs nothing.
func Reload(f ...fibersession.Freshness) Handler {
	return func(p *Packet) error {
		freshness := p.socket.server().cfg.Freshness
		if len(f) > 0 {
			freshness = f[0]
		}
		if err := p.loadSession(freshness); err != nil {
			return err
		}
		return p.Next()
	}
}

// loadSession makes the session as fresh as f demands, at most once per packet and
// freshness.
func (p *Packet) loadSession(f fibersession.Freshness) error {
	s := p.socket.session
	if s == nil || p.loaded && (p.freshness == f || p.freshness == fibersession.Strict) {
		return nil
	}
	if s.Fresh() && !s.Unconfirmed() {
		return s.Err() // nothing is stored yet, so there is nothing newer to load
	}
	if err := p.Session().Refresh(p.Context(), f); err != nil {
		p.socket.notifyStoreFailed(err)
		return err
	}
	p.loaded, p.freshness = true, f
	return nil
}

// touchSession extends the session's idle timeout. It writes to the store at most once
// per fibersession.Config.Timeouts.TouchInterval for all sockets of the session together. A
// failed write is logged and does not fail the event.
func (p *Packet) touchSession() error {
	s := p.socket
	if s.server().cfg.DisableTouch || !s.session.KeepAliveDue(p.received) {
		return nil
	}
	return p.Session().KeepAlive(p.Context())
}

// saveSession saves what the packet's handlers changed, through Packet.Session or
// Socket.Session.
func (p *Packet) saveSession() error {
	s := p.socket
	if s.mode != SessionPerPacket && s.mode != SessionPerConnection {
		return nil
	}
	if !changed(p.session) && !changed(s.session) {
		return nil // as for most events: without a context of its own
	}
	ctx := withoutEnd(p.ctx)
	return errors.Join(saveChanged(ctx, p.session, p.received), saveChanged(ctx, s.session, p.received))
}

// changed reports whether h has changes to be saved.
func changed(h *fibersession.Handle) bool { return h != nil && h.Changed() }

// saveChanged saves h if it has changes. ctx does not end: the store's own timeout bounds the
// save, so that a handler's change is saved even if its client has just disconnected. since is
// when the work that made the changes was queued.
func saveChanged(ctx context.Context, h *fibersession.Handle, since time.Time) error {
	if !changed(h) {
		return nil
	}
	h.QueuedSince(since)
	return h.Save(ctx)
}
