package socketbridge

import (
	"maps"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// This file reports handlers that do not return. A handler cannot be stopped, and the later
// events of its socket wait for it.

// Every handlerCheck, the server looks at the events that are being handled. One that is still
// there after handlerChecks more looks is reported, so after 30 to 40 s. An event needs no timer
// of its own this way.
const (
	handlerCheck  = 10 * time.Second
	handlerChecks = 3
)

// handled removes an event, which may be nil, from the running ones. b.mu must be held.
func (b *inbox) handled(p *Packet) {
	if p == nil {
		return
	}
	for at := &b.running; *at != nil; at = &(*at).nextRunning {
		if *at == p {
			*at, p.nextRunning = p.nextRunning, nil
			return
		}
	}
}

// overdue counts one more look at the running events. It returns those to report.
func (b *inbox) overdue() (slow []*Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := b.running; p != nil; p = p.nextRunning {
		if p.looks++; p.looks == handlerChecks+1 {
			slow = append(slow, p)
		}
	}
	return slow
}

// handlerWatch looks at the running events of all sockets while the server has clients.
// Server.clientsMu guards it.
type handlerWatch struct {
	on     bool
	ending map[*Socket]struct{} // sockets that have ended, and whose last handlers have not returned
}

// watchHandlers makes sure that the looks go on. clientsMu must be held.
func (s *Server) watchHandlers() {
	if !s.handlers.on {
		s.handlers.on = true
		time.AfterFunc(handlerCheck, s.checkHandlers)
	}
}

// checkHandlers looks once, and goes on if there are clients.
func (s *Server) checkHandlers() {
	s.clientsMu.Lock()
	sockets := slices.Collect(maps.Keys(s.handlers.ending))
	clients := slices.Collect(maps.Keys(s.clients))
	if s.handlers.on = false; len(sockets)+len(clients) > 0 {
		s.watchHandlers()
	}
	s.clientsMu.Unlock()
	for _, c := range clients {
		sockets = append(sockets, c.allSockets()...)
	}
	for _, socket := range sockets {
		for _, p := range socket.inbox.overdue() {
			socket.report(&handlerSlowNotice, socket.eventKey(p.event), "event", notice.Text(p.event))
		}
	}
}

// setEnding records whether the socket has ended while handlers of it may still run.
func (s *Server) setEnding(socket *Socket, ending bool) {
	s.clientsMu.Lock()
	defer s.clientsMu.Unlock()
	if !ending {
		delete(s.handlers.ending, socket)
		return
	}
	if s.handlers.ending == nil {
		s.handlers.ending = make(map[*Socket]struct{})
	}
	s.handlers.ending[socket] = struct{}{}
}
