package socketbridge

import (
	"errors"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// sessionEnded disconnects a connected socket after its session has ended, once: queued
// events are dropped, broadcasts skip the socket, and the OnInvalidSession handlers run
// before the disconnect. It returns at once. A socket that is still connecting checks
// the session itself.
func (s *Socket) sessionEnded(cause error) {
	s.mu.Lock()
	if s.state.Load() != connected || s.expelled {
		s.mu.Unlock()
		return
	}
	s.expelled = true
	s.mu.Unlock()
	s.report(&sessionEndedNotice, "", "error", cause)
	action := ActionDisconnect
	if policy := s.server().cfg.OnExpiry; policy != nil && errors.Is(cause, fibersession.ErrExpired) {
		action = s.askPolicy("OnExpiry", policy)
	}
	if len(s.settings.invalid) == 0 {
		s.disconnectAs(action)
		return
	}
	s.muted.Store(true)
	s.inbox.close(true)
	s.server().running.Add()
	go func() { // not on the inbox, where a slow event may be running; Server.Shutdown waits for it
		defer s.server().running.Done()
		s.notifyInvalid(cause)
		s.disconnectAs(action)
	}()
}

// disconnectAs ends the socket by a policy's decision. ActionStay disconnects too.
func (s *Socket) disconnectAs(a Action) {
	if a != ActionReconnect {
		s.Disconnect()
		return
	}
	s.client.removeSocket(s, true) // packets that are still on their way are no protocol violation
	s.end(transport.TransportClose, true)
	s.client.conn.Close(transport.TransportClose)
}
