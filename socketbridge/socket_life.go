package socketbridge

import (
	"context"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// connect is the first step of a socket's life. It opens the session, runs the connect
// middlewares, joins the rooms, confirms the client's CONNECT and runs the connection
// handlers.
func (s *Socket) connect() {
	s.settings, s.mode = s.ns.connectSettings()
	var traced context.Context // nil if the server is not observed
	err := s.traceConnect(func(ctx context.Context) error {
		traced = ctx
		return s.confirm(ctx)
	})
	if err != nil {
		if st := s.recovery.restored; st != nil {
			s.ns.recovery.save(st) // the client may try again
		}
		s.reject(err)
		return
	}
	s.traceConnected()
	if err := s.sessionError(); err != nil { // the session ended during the connect
		s.sessionEnded(err)
		return
	}
	for _, fn := range s.settings.connection {
		s.guard("OnConnection", func() { fn(s) })
	}
	if err := s.saveLifeStep(withoutEnd(traced)); err != nil {
		s.report(&changesLostNotice, "OnConnection", "handler", "OnConnection", "error", err)
	}
	if o := s.client.observer; o != nil {
		o.Connected(s.ns.name, s)
	}
}

// confirm connects the socket, up to the confirmation of the client's CONNECT. It returns the
// reason if the client is refused. ctx is nil if the server is not observed.
func (s *Socket) confirm(ctx context.Context) error {
	opening := ctx
	if opening == nil {
		opening = s.Context()
	}
	err := s.openSession(opening)
	s.opened.Store(true)
	if err != nil {
		return err
	}
	s.ns.recovery.attach(opening, s)
	c := &Connect{socket: s, auth: s.auth, chain: s.settings.uses, ctx: ctx}
	if err := c.run(); err != nil {
		return err
	}
	saveCtx := withoutEnd(ctx)
	if err := s.saveLifeStep(saveCtx); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	s.emitHeld(saveCtx)
	return s.announce()
}

// saveLifeStep saves what the handlers of a life step changed in Socket.Session. ctx does not
// end.
func (s *Socket) saveLifeStep(ctx context.Context) error {
	if s.mode != SessionPerPacket && s.mode != SessionPerConnection {
		return nil
	}
	return saveChanged(ctx, s.session, time.Now())
}

// enter adds the socket to its namespace: under its ID, to the rooms that middlewares
// joined and to the rooms of its session and user. From then on, sessionEvent is called
// for the session's changes.
func (s *Socket) enter() error {
	s.ns.rooms.addSocket(s)
	s.mu.Lock()
	names := s.pending
	s.pending, s.entered = nil, true
	s.mu.Unlock()
	if err := s.ns.rooms.join(s, names, s.server().cfg.Limits.MaxRooms); err != nil {
		return err
	}
	if s.session == nil {
		return nil
	}
	if err := s.ns.rooms.joinReserved(s, sessionRoom(s.session)); err != nil {
		return err
	}
	stop := s.session.Watch(s.sessionEvent)
	s.mu.Lock()
	s.unwatch = stop
	s.mu.Unlock()
	if err := s.sessionError(); err != nil { // the session may have ended before Watch
		return err
	}
	return s.followUser()
}

// announce confirms the client's CONNECT and sends the packets that were emitted before.
// It returns ErrDisconnected if the socket has ended meanwhile.
func (s *Socket) announce() error {
	hello := struct {
		SID string `json:"sid"`
		PID string `json:"pid,omitempty"`
	}{SID: s.id, PID: s.ns.recovery.register(s)}
	msgs, err := encode(siopacket.Connect, s.ns.name, 0, false, hello)
	if err != nil {
		return err
	}
	if s.updateReplay() != nil {
		s.client.conn.Close(transport.TransportClose) // the client reconnects, and gets a new socket
		return ErrDisconnected
	}
	s.ns.recovery.Lock()
	defer s.ns.recovery.Unlock()
	missed, err := s.takeReplay()
	if err != nil {
		s.client.conn.Close(transport.TransportClose)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == ended || s.early.dropped() {
		return ErrDisconnected
	}
	defer s.state.Store(connected) // after all that is sent here: see currentState
	// Sent under the lock, so that no other packet is queued first. Send never blocks.
	_ = s.client.conn.Send(0, msgs...) // if it fails, Closed is about to be called
	missed, later := s.mergeEarly(missed)
	// All of it is in memory already, so the limits of the connection do not apply: Paced.
	for _, e := range missed {
		_ = s.client.conn.Send(transport.Paced, e.msgs...)
	}
	for _, e := range later {
		_ = s.client.conn.Send(e.flags|transport.Paced, e.msgs...)
	}
	s.early = nil
	return nil
}

// reject ends a connect that failed with err: the client gets a connect_error, or, for
// an invalid session, the OnInvalidSession handlers run.
func (s *Socket) reject(err error) {
	if o := s.client.observer; o != nil {
		o.Refused(s.ns.name, err)
	}
	if s.connectInvalid(err) {
		return
	}
	s.report(&connectRefusedNotice, refusalKey(err), "error", err)
	s.client.removeSocket(s, false) // before the packet is sent: the client may try again at once
	e := errPanic
	s.guard("MarshalJSON of a ConnectError", func() { e = s.client.sendConnectError(s.ns.name, connectErrorOf(err)) })
	if e != nil {
		s.report(&connectErrorDataNotice, "", "error", e)
		_ = s.client.sendConnectError(s.ns.name, connectErrorOf(errNotNext))
	}
	s.end(ServerDisconnect, true)
}

// sessionEvent handles a change of the session. It runs on the goroutine that made it.
func (s *Socket) sessionEvent(e fibersession.Event) {
	s.traceSession(e)
	switch e.Kind {
	case fibersession.Ended:
		s.sessionEnded(e.Cause)
		return
	case fibersession.Renewed:
		_ = s.sessionRegenerated()
	}
	s.userEvent(e)
	if e.Kind == fibersession.Changed {
		s.sessionChanged(e.Keys)
	}
}

// end ends the socket. Only the first call has an effect and sets the reason. With
// discard, queued events are dropped. It returns at once; finish runs on the inbox,
// after the events that are still handled.
func (s *Socket) end(reason Reason, discard bool) {
	s.mu.Lock()
	was := s.state.Load()
	if was == ended {
		s.mu.Unlock()
		return
	}
	if s.refused {
		was = connecting // OnConnection was not called, so OnDisconnect is not either
	}
	tooEarly := s.early.dropped()
	s.reason, s.early = reason, nil
	s.state.Store(ended)
	stop := s.unwatch
	s.mu.Unlock()
	s.done.Fire()
	if tooEarly {
		s.report(&earlyFullNotice, s.ns.name, "namespace", s.ns.name)
	}
	s.leaveUser()
	if stop != nil {
		stop()
	}
	if discard {
		s.ctx.Cancel()
	}
	s.acks.close()
	s.server().setEnding(s, true)
	s.inbox.close(discard)
	s.inbox.pushStep(func() { s.finish(was == connected) })
}

// finish is the last step of a socket's life: it runs the disconnect handlers, leaves
// the rooms and releases the session.
func (s *Socket) finish(wasConnected bool) {
	s.mu.Lock()
	h, reason, stop := s.hooks.Load(), s.reason, s.unwatch
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	if wasConnected {
		for _, fn := range h.disconnecting {
			s.guard("OnDisconnecting", func() { fn(reason) })
		}
	}
	var saved *savedState
	if wasConnected {
		saved = s.ns.recovery.capture(s, reason)
	}
	s.ns.rooms.removeSocket(s)
	if wasConnected {
		for _, fn := range h.disconnect {
			s.guard("OnDisconnect", func() { fn(reason) })
		}
		if err := s.saveLifeStep(context.Background()); err != nil {
			s.report(&changesLostNotice, "OnDisconnect", "handler", "OnDisconnect", "error", err)
		}
		s.traceDisconnected(reason)
	}
	s.ns.recovery.detach(s, saved)
	s.server().setEnding(s, false)
	s.finished.Fire()
	if o := s.client.observer; o != nil {
		o.Disconnected(s.ns.name, s.id, reason)
	}
	s.ctx.Cancel()
	s.client.removeSocket(s, true)
	s.client.release(len(s.auth))
	if s.ticketed != nil {
		s.server().releaseLifted(s.ticketed)
	}
	s.server().leaveNamespace(s.ns)
}

// endedByServer reports whether the server ended the socket, so that its queued events
// must be dropped.
func (s *Socket) endedByServer() bool { return s.state.Load() == ended && s.ctx.Canceled() }

var _ transport.Receiver = (*client)(nil)
