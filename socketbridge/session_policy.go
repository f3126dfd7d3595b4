package socketbridge

import (
	"errors"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Action is what becomes of a socket when something happens to its session.
type Action uint8

const (
	// ActionStay leaves the socket as it is.
	ActionStay Action = iota + 1
	// ActionDisconnect disconnects the socket: its client hears "io server disconnect"
	// and does not come back by itself.
	ActionDisconnect
	// ActionReconnect closes the client's connection with all its namespaces: the
	// client hears "transport close" and comes back by itself, with the cookie that
	// its browser then has.
	ActionReconnect
)

// Policy decides the fate of one socket. See Config.OnExpiry and Config.OnRegenerate.
type Policy func(s *Socket) Action

// Always returns a policy that is the same for all sockets.
func Always(f Action) Policy { return func(*Socket) Action { return f } }

// decide asks a policy. One that panics, or says nothing, costs the socket its place.
func (s *Socket) decide(name string, ask Policy) Action {
	fate := ActionDisconnect
	s.guard(name, func() {
		if f := ask(s); f >= ActionStay && f <= ActionReconnect {
			fate = f
		}
	})
	return fate
}

// depart ends the socket as decided.
func (s *Socket) depart(f Action) {
	if f != ActionReconnect {
		s.Disconnect()
		return
	}
	s.client.forget(s, true) // what its client still sends is no offence
	s.end(transport.TransportClose, true)
	s.client.conn.Close(transport.TransportClose)
}

// renewed does what is to be done when the session has a new ID. It is ErrRenewed
// when the socket may not go along.
func (s *Socket) renewed() error {
	ask := s.server().cfg.OnRegenerate
	if ask == nil {
		return nil
	}
	epoch := s.session.Epoch()
	fate := s.decide("OnRegenerate", ask)
	if fate == ActionStay {
		s.epoch.Store(epoch)
		return nil
	}
	if s.Connected() {
		s.depart(fate)
	} else if fate == ActionReconnect {
		s.client.conn.Close(transport.TransportClose)
	}
	return ErrRenewed // for connect to refuse it
}

// lapse sees to a socket whose session has ended, once: nothing that waits is
// handled, no broadcast reaches it, OnInvalidSession handlers are told, and it ends. It
// returns at once. A socket that is still connecting finds out by itself.
func (s *Socket) lapse(cause error) {
	s.mu.Lock()
	if s.state != connected || s.lapsed {
		s.mu.Unlock()
		return
	}
	s.lapsed = true
	s.mu.Unlock()
	fate := ActionDisconnect
	if ask := s.server().cfg.OnExpiry; ask != nil && errors.Is(cause, fibersession.ErrExpired) {
		fate = s.decide("OnExpiry", ask)
	}
	if len(s.settings.invalid) == 0 {
		s.depart(fate)
		return
	}
	s.muted.Store(true)
	s.inbox.close(true)
	s.server().running.Add()
	go func() { // apart from the inbox, whose handler may take its time; Server.Shutdown waits for it
		defer s.server().running.Done()
		s.tellInvalid(cause)
		s.depart(fate)
	}()
}
