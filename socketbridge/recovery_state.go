package socketbridge

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// savedState is the state of a disconnected socket.
type savedState struct {
	pid       string
	ns        *Namespace
	owner     owner
	id        string
	rooms     []string        // without the socket's own room and the reserved ones
	addressed map[string]bool // all its rooms: events to these were addressed to it
	data      *Data
	positions      // zero if foreign
	foreign   bool // saved by a server of Socket.IO for Node
	expires   time.Time
}

// positions are positions in the event log that say which events a socket has received.
// The JSON names are those of the stored form.
type positions struct {
	Joined    uint64 `json:"since"`  // of the log when the socket joined
	Confirmed uint64 `json:"base"`   // the last that the client had received by then; 0: none
	Queued    uint64 `json:"placed"` // the last event that was queued to the socket; 0: none
	Left      uint64 `json:"left"`   // of the log when the socket was disconnected
}

// owner is the session and the user that a socket belongs to.
type owner struct {
	session string // pseudonym of the session; "" if the session has ended
	user    string
}

// Sessions of owners that have none.
const (
	noSession = "none" // the namespace shares none

	// nothingStored is the session of clients whose session was never stored. Such a client
	// may keep no cookie, and comes back with another session of the same kind. The private
	// ID alone says that it is the same client.
	nothingStored = "nothing stored"
)

func (s *Socket) owner() owner {
	switch {
	case s.session == nil:
		return owner{session: noSession}
	case s.session.Fresh():
		return owner{session: nothingStored, user: s.session.User()}
	}
	return owner{session: s.session.Pseudonym("recovery"), user: s.session.User()}
}

// connectionBroke reports whether a reason means that the connection was lost, rather
// than closed on purpose.
func connectionBroke(r Reason) bool {
	return r == transport.TransportClose || r == transport.TransportError || r == transport.PingTimeout
}

// register implements recoveryLog.
func (b *recoveryBase) register(s *Socket) string {
	s.mu.Lock()
	refused := s.refused
	s.mu.Unlock()
	if s.client.plain != nil || refused {
		return ""
	}
	rec := s.recovery
	if rec.pid = rand.Text() + rand.Text(); rec.restored != nil { // 256 bits
		rec.pid = rec.restored.pid
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.connected == nil {
		b.connected = make(map[string]*Socket)
	}
	b.connected[rec.pid] = s
	return rec.pid
}

// capture implements recoveryLog.
func (*recoveryBase) capture(s *Socket, reason Reason) *savedState {
	log := s.ns.recovery
	if !log.recoverable(reason) || s.client.plain != nil || s.session != nil && s.session.Err() != nil {
		return nil
	}
	st := &savedState{pid: s.recovery.pid, ns: s.ns, owner: s.owner(), id: s.id, data: s.data.clone()}
	log.Lock()
	st.positions = s.recovery.positions
	st.Left = max(log.position(), st.Queued)
	log.Unlock()
	st.setRooms(s.ns.rooms.names(s, true))
	return st
}

// setRooms sets the rooms that the socket was in.
func (st *savedState) setRooms(rooms []string) {
	st.addressed = make(map[string]bool, len(rooms))
	for _, name := range rooms {
		st.addressed[name] = true
		if name != st.id && !isReserved(name) {
			st.rooms = append(st.rooms, name)
		}
	}
}

// detach implements recoveryLog.
func (b *recoveryBase) detach(s *Socket, st *savedState) {
	pid := s.recovery.pid
	if pid == "" {
		return
	}
	if st != nil {
		st.expires = time.Now().Add(b.cfg.Window)
		s.ns.recovery.save(st)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.connected[pid] == s {
		delete(b.connected, pid)
	}
}

// connectedSocket returns the owner's connected socket with this private ID, or nil.
func (b *recoveryBase) connectedSocket(pid string, ns *Namespace, o owner) *Socket {
	b.mu.Lock()
	s := b.connected[pid]
	b.mu.Unlock()
	if s == nil || s.ns != ns || s.owner() != o {
		return nil
	}
	return s
}

// closeAndWait closes the connection of a socket whose client has already reconnected,
// and waits until the socket's handlers have returned.
func (s *Socket) closeAndWait(ctx context.Context) {
	s.client.conn.Close(transport.TransportClose)
	ctx, cancel := context.WithTimeout(ctx, s.server().cfg.Timeouts.Connect)
	defer cancel()
	select {
	case <-s.finished.Done():
	case <-ctx.Done():
	}
}
