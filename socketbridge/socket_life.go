package socketbridge

import (
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// connect is the first step of a socket's life: middlewares, rooms, the CONNECT
// packet, connection handlers.
func (s *Socket) connect() {
	s.settings, s.mode = s.ns.config()
	err := s.liftSession()
	if err == nil {
		s.recover()
		c := &Connect{socket: s, auth: s.auth, chain: s.settings.uses}
		err = c.admit()
	}
	if err == nil {
		err = s.saveAfterConnect()
	}
	if err == nil {
		err = s.enter()
	}
	if err == nil {
		s.emitHeld()
		err = s.announce()
	}
	if err != nil {
		if s.left != nil {
			s.server().recovery.putBack(s.left)
		}
		s.refuse(err)
		return
	}
	if hook := s.server().cfg.Trace.Connected; hook != nil {
		s.guard("Trace.Connected", func() { hook(s) })
	}
	if err := s.current(); err != nil { // it ended while it joined
		s.lapse(err)
		return
	}
	for _, fn := range s.settings.connection {
		s.guard("OnConnection", func() { fn(s) })
	}
	if err := s.saveAfterConnect(); err != nil {
		s.log().Warn("socketbridge: what a connection handler changed was not saved", "error", err)
	}
}

// saveAfterConnect saves what connect middlewares or handlers changed.
func (s *Socket) saveAfterConnect() error {
	if s.mode != SessionPerPacket && s.mode != SessionPerConnection {
		return nil
	}
	return saveChanged(s.session, time.Now())
}

// enter makes the socket known: by its ID, in the room of its session and in the
// rooms that middlewares asked for. From now on it hears of its session.
func (s *Socket) enter() error {
	s.ns.rooms.enter(s)
	s.mu.Lock()
	names := s.waiting
	s.waiting, s.entered = nil, true
	s.mu.Unlock()
	if err := s.ns.rooms.join(s, names, s.server().cfg.Limits.MaxRooms); err != nil {
		return err
	}
	if s.session == nil {
		return nil
	}
	if err := s.ns.rooms.joinOwn(s, sessionRoom(s.session)); err != nil {
		return err
	}
	stop := s.session.Watch(s.sessionEvent)
	s.mu.Lock()
	s.unwatch = stop
	s.mu.Unlock()
	if err := s.current(); err != nil { // it may have ended just before
		return err
	}
	return s.followUser()
}

// announce tells the client that it is connected, and then what was emitted to it
// before. It returns ErrDisconnected when the socket has ended meanwhile.
func (s *Socket) announce() error {
	hello := struct {
		SID string `json:"sid"`
		PID string `json:"pid,omitempty"`
	}{SID: s.id}
	if r := s.server().recovery; r != nil && s.client.plain == nil && !s.guest {
		r.born(s)
		hello.PID = s.pid
	}
	msgs, err := encode(siopacket.Connect, s.ns.name, 0, false, hello)
	if err != nil {
		return err
	}
	if s.left != nil && s.catchUp(s.missed) != nil { // the client shall come anew
		s.client.conn.Close(transport.TransportClose)
		return ErrDisconnected
	}
	var missed []placed
	if p := s.ns.past; p != nil {
		p.Lock()
		defer p.Unlock()
	}
	if s.left != nil {
		if s.owner() != s.left.owner { // so it became while the middlewares ran
			s.client.conn.Close(transport.TransportClose)
			return ErrDisconnected
		}
		missed, s.caught, s.missed = s.missed.missed, s.missed.upTo, nil
		s.placed = max(s.placed, s.left.Placed)
		if len(missed) > 0 {
			s.placed = max(s.placed, missed[len(missed)-1].place)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == ended {
		return ErrDisconnected
	}
	s.state = connected
	// Under the lock, which Send never holds up: nothing may come before it.
	_ = s.client.conn.Send(0, msgs...) // when it fails, the connection's end is on its way
	later := s.early[:0:0]
	for _, e := range s.early {
		if e.place == 0 || e.place > s.caught {
			later = append(later, e)
		} else if i, found := slices.BinarySearchFunc(missed, e.place, placed.compare); !found && e.place > s.since { // it was for rooms that are new to it
			missed = slices.Insert(missed, i, placed{e.place, e.msgs})
		}
	}
	for _, e := range missed {
		_ = s.client.conn.Send(0, e.msgs...)
	}
	for _, e := range later {
		_ = s.client.conn.Send(e.flags, e.msgs...)
	}
	s.early = nil
	return nil
}

// refuse tells the client that it may not join, and forgets the socket.
func (s *Socket) refuse(err error) {
	if s.receive(err) {
		return
	}
	s.log().Info("socketbridge: a connection was refused", "error", err, "remote", s.Handshake().RemoteIP)
	s.client.forget(s, false) // before the client hears of it: it may try again at once
	e := errPanic
	s.guard("MarshalJSON of a ConnectError", func() { e = s.client.refuse(s.ns.name, refusal(err)) })
	if e != nil {
		s.log().Error("socketbridge: a refusal's data cannot be encoded", "error", e)
		_ = s.client.refuse(s.ns.name, refusal(errNotNext))
	}
	s.end(ServerDisconnect, true)
}

// sessionEvent hears of what happens to the session, on the goroutine of who did it.
func (s *Socket) sessionEvent(e fibersession.Event) {
	switch e.Kind {
	case fibersession.Ended:
		s.lapse(e.Cause)
		return
	case fibersession.Renewed:
		_ = s.renewed()
	}
	s.userEvent(e)
	if e.Kind == fibersession.Changed {
		s.changed(e.Keys)
	}
}

// end ends the socket: once, and whoever asks first names the reason. With discard,
// events that wait are dropped. It returns at once; the disconnect handlers run on
// the inbox, after what runs there.
func (s *Socket) end(reason Reason, discard bool) {
	s.mu.Lock()
	if s.state == ended {
		s.mu.Unlock()
		return
	}
	was := s.state
	if s.guest {
		was = connecting // its handlers never heard of it
	}
	s.state, s.reason, s.early = ended, reason, nil
	stop := s.unwatch
	s.mu.Unlock()
	s.gone.Fire()
	s.leaveUser()
	if stop != nil {
		stop()
	}
	if discard {
		s.life.Cancel()
	}
	s.acks.close()
	s.inbox.close(discard)
	s.inbox.step(func() { s.finish(was == connected) })
}

// finish is the last step of a socket's life.
func (s *Socket) finish(wasConnected bool) {
	s.mu.Lock()
	h, reason, stop := *s.hooks, s.reason, s.unwatch
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	if wasConnected {
		for _, fn := range h.disconnecting {
			s.guard("OnDisconnecting", func() { fn(reason) })
		}
	}
	var left *remains
	r := s.server().recovery
	if r != nil && wasConnected {
		left = r.remains(s, reason)
	}
	s.ns.rooms.leaveAll(s)
	if wasConnected {
		for _, fn := range h.disconnect {
			s.guard("OnDisconnect", func() { fn(reason) })
		}
		if err := s.saveAfterConnect(); err != nil {
			s.log().Warn("socketbridge: what a disconnect handler changed was not saved", "error", err)
		}
		if hook := s.server().cfg.Trace.Disconnected; hook != nil {
			s.guard("Trace.Disconnected", func() { hook(s, reason) })
		}
	}
	if r != nil && s.pid != "" {
		r.keep(s, left)
	}
	s.finished.Fire()
	s.life.Cancel()
	s.client.forget(s, true)
	s.client.release()
	if s.ticketed != nil {
		s.server().dropped(s.ticketed)
	}
}

// forced tells whether the server ended the socket, so that nothing more of what
// its client sent shall be handled.
func (s *Socket) forced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == ended && s.life.Canceled()
}

var _ transport.Receiver = (*client)(nil)
