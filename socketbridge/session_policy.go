package socketbridge

import (
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Action is what happens to a socket when its session expires or gets a new ID.
type Action uint8

const (
	// ActionStay leaves the socket connected.
	ActionStay Action = iota + 1
	// ActionDisconnect disconnects the socket. Its client gets the reason "io server
	// disconnect" and does not reconnect on its own.
	ActionDisconnect
	// ActionReconnect closes the client's connection with all its namespaces. The client
	// gets the reason "transport close" and reconnects on its own, with the cookie that
	// its browser has by then.
	ActionReconnect
)

// Policy decides what happens to one socket. A policy that panics or returns an invalid
// value disconnects the socket. See Config.OnExpiry and Config.OnRegenerate.
type Policy func(s *Socket) Action

// Always returns a policy that returns a for every socket.
func Always(a Action) Policy { return func(*Socket) Action { return a } }

// askPolicy calls a policy. name is its field of Config.
func (s *Socket) askPolicy(name string, policy Policy) Action {
	var action Action
	s.guard(name, func() { action = policy(s) })
	if action < ActionStay || action > ActionReconnect {
		s.report(&policyNotice, name, "policy", "Config."+name, "returned", int(action))
		return ActionDisconnect
	}
	return action
}

// sessionRegenerated applies Config.OnRegenerate after the session got a new ID. It
// returns ErrRenewed if the socket does not stay.
func (s *Socket) sessionRegenerated() error {
	policy := s.server().cfg.OnRegenerate
	if policy == nil {
		return nil
	}
	epoch := s.session.Epoch()
	action := s.askPolicy("OnRegenerate", policy)
	if action == ActionStay {
		s.epoch.Store(epoch)
		return nil
	}
	s.report(&sessionRenewedNotice, "")
	if s.Connected() {
		s.disconnectAs(action)
	} else if action == ActionReconnect {
		s.client.conn.Close(transport.TransportClose)
	}
	return ErrRenewed // a socket that is still connecting is refused with it
}
