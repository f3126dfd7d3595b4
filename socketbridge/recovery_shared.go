package socketbridge

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// sharedLog is the recoveryLog of one namespace in the adapter's log, which all nodes
// share. Every event goes through the log, and is queued to the sockets of this node
// when the log delivers it back. So every client gets events in the order of the log,
// and the last offset that it received identifies the events that it missed.
type sharedLog struct {
	*recoveryBase
	sync.Mutex
	ns  *Namespace
	log adapter.Log
}

var _ recoveryLog = (*sharedLog)(nil)

func (l *sharedLog) position() uint64                         { return l.log.Position(l.ns.name) }
func (l *sharedLog) parseOffset(offset string) (uint64, bool) { return l.log.ParseOffset(offset) }
func (*sharedLog) close()                                     {}

// emit implements eventLog. An event is appended even if the client has disconnected, as
// long as it may come back.
func (l *sharedLog) emit(ctx context.Context, s *Socket, msgs []transport.Message) error {
	s.mu.Lock()
	switch {
	case s.refused:
		s.mu.Unlock()
		return s.sendEventAndWait(msgs) // it is in no room, so the log cannot reach it
	case !s.entered && s.state.Load() == connecting:
		err := s.holdEarly(msgs)
		s.mu.Unlock()
		return s.earlyError(0, err)
	}
	disconnected, reason := s.state.Load() == ended, s.reason
	s.mu.Unlock()
	if s.muted.Load() && !disconnected {
		return s.sendEventAndWait(msgs) // of OnInvalidSession: the log skips the socket, and nothing of it is kept
	}
	var err error
	if !disconnected || l.recoverable(reason) {
		err = l.append(s.ns.Broadcast().toRooms(s.id).WithContext(ctx), msgs)
	}
	if disconnected {
		return errors.Join(ErrDisconnected, err)
	}
	if err != nil {
		return err
	}
	return s.waitUntilDrained(context.Background()) // the log has delivered the event, so it is queued
}

// emitHeld emits the events that were emitted to the socket before it was in its
// namespace's rooms, where the log can reach it. ctx has values only.
func (s *Socket) emitHeld(ctx context.Context) {
	s.mu.Lock()
	held := s.early.takeHeld()
	s.mu.Unlock()
	for _, msgs := range held {
		if err := s.ns.recovery.emit(ctx, s, msgs); err != nil && !errors.Is(err, ErrDisconnected) {
			s.report(&recoveryEventLostNotice, "", "error", err)
		}
	}
}

// broadcast implements eventLog. Volatile and local events do not go through the log.
func (l *sharedLog) broadcast(b Broadcast, msgs []transport.Message) error {
	if b.local || b.flags&transport.Volatile != 0 {
		return noLog{l.ns}.broadcast(b, msgs)
	}
	return l.append(b, msgs)
}

// append appends an event to the log. If the log refuses it, it is sent to the sockets
// of this node only.
func (l *sharedLog) append(b Broadcast, msgs []transport.Message) error {
	m := b.message(adapter.Broadcast)
	if m == nil {
		return nil // b addresses no room
	}
	m.Payload = encodePayload(msgs)
	err := l.ns.server.tracePublish(b.ctx, m, l.log.Append)
	if err != nil && !errors.Is(err, adapter.ErrUnknownOutcome) {
		l.ns.sendLocal(b.to, b.except, b.from, b.flags, msgs)
	}
	return err
}

// deliver implements eventLog.
func (l *sharedLog) deliver(m *adapter.Message, msgs []transport.Message) {
	if m.Offset == "" { // volatile: not from the log
		noLog{l.ns}.deliver(m, msgs)
		return
	}
	withOffset := appendOffset(msgs, m.Offset)
	var observers []*Socket
	l.Lock()
	for _, s := range l.ns.rooms.find(m.Rooms, m.Except) {
		err := s.queueLogged(m.Position, flagsOf(m), withOffset, msgs) // a socket that is closed or too slow handles this itself
		if err == nil && s.observed.Load() && !s.muted.Load() {
			observers = append(observers, s)
		}
	}
	l.Unlock()
	notifyOutgoingTo(observers, msgs)
}

// read implements eventLog.
func (l *sharedLog) read(ctx context.Context, r *replay) error {
	var failed error
	end, err := l.log.Since(ctx, l.ns.name, r.upTo, func(m *adapter.Message) bool {
		if !r.addressed(m.Rooms, m.Except) {
			return true
		}
		msgs, _, err := decodePayload(m.Payload, siopacket.Header{Type: siopacket.Event, Namespace: l.ns.name})
		if err != nil {
			return true // cluster.Deliver has dropped it too
		}
		failed = r.add(m.Position, eventSize(msgs), appendOffset(msgs, m.Offset))
		return failed == nil
	})
	if err = errors.Join(err, failed); err == nil {
		r.upTo = end
	}
	return err
}

// recoverable implements stateStore. When this node shuts down, its clients may
// reconnect to another node.
func (*sharedLog) recoverable(reason Reason) bool {
	return connectionBroke(reason) || reason == transport.ShuttingDown
}

// sharedState is what adapter.RecoveryState.State holds, as JSON.
type sharedState struct {
	positions
	// Values are the socket's data of basic types, encoded by fibersession.Typed:
	// RecoveryState.Data, which servers of Node read too, does not tell an int from a
	// float64. Nodes that store the types of the values under this name, as a JSON
	// object, cannot decode it, nor this node theirs: the client then gets a new socket.
	Values  []byte `json:"types,omitempty"`
	Expires int64  `json:"expires"` // Unix time in milliseconds
}

// key returns a name of the owner that reveals nothing of it, for the shared log. It is
// "" if any client may own the state.
func (o owner) key() string {
	if o.session == noSession {
		return ""
	}
	sum := sha256.Sum256([]byte("recovery\x00" + o.session + "\x00" + o.user))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// save implements stateStore. It waits for the log, up to Config.Timeouts.Request.
func (l *sharedLog) save(st *savedState) {
	ttl := min(time.Until(st.expires), l.cfg.Window)
	if ttl <= 0 {
		return
	}
	s := l.ns.server
	rs, err := st.encode()
	if err == nil {
		ctx, cancel := context.WithTimeout(s.cluster.ctx, s.cfg.Timeouts.Request)
		defer cancel()
		err = l.log.SaveState(ctx, rs, ttl)
	}
	if err != nil {
		s.notices.Report(&recoveryUnsavedNotice, "", "namespace", l.ns.name, "error", err)
	}
}

// encode returns the state in the form of the adapter.
func (st *savedState) encode() (*adapter.RecoveryState, error) {
	data, values := st.data.encode()
	rs := &adapter.RecoveryState{
		Namespace: st.ns.name, PID: st.pid, ID: st.id, Rooms: slices.Sorted(maps.Keys(st.addressed)),
		Data: data, Owner: st.owner.key(),
	}
	var err error
	if !st.foreign {
		rs.State, err = json.Marshal(sharedState{positions: st.positions, Values: values, Expires: st.expires.UnixMilli()})
	}
	return rs, err
}

// restore implements stateStore.
func (l *sharedLog) restore(s *Socket, pid string, o owner) *savedState {
	ctx, cancel := context.WithTimeout(s.Context(), s.server().cfg.Timeouts.Request)
	defer cancel()
	rs, err := l.log.TakeState(ctx, l.ns.name, pid, o.key())
	if err != nil {
		s.report(&recoveryUnreadableNotice, "", "error", err)
	}
	if rs == nil || err != nil {
		return nil
	}
	st, err := l.decode(rs, pid, o)
	if err != nil {
		s.report(&recoveryUnreadableNotice, "", "error", err)
		return nil
	}
	return st
}

// errBadState is returned for a state whose ID or rooms are invalid.
var errBadState = errors.New("socketbridge: saved state with an invalid socket ID, or too many rooms")

// decode returns the state that the log kept for an owner.
func (l *sharedLog) decode(rs *adapter.RecoveryState, pid string, o owner) (*savedState, error) {
	st := &savedState{pid: pid, ns: l.ns, owner: o, id: rs.ID, foreign: rs.State == nil}
	var state sharedState
	var err error
	if st.foreign {
		st.expires = time.Now().Add(l.cfg.Window)
		st.setRooms(appRooms(rs.Rooms)) // a foreign node must not put sockets into reserved rooms
	} else {
		if err = json.Unmarshal(rs.State, &state); err != nil {
			return nil, err
		}
		st.positions, st.expires = state.positions, time.UnixMilli(state.Expires)
		st.setRooms(rs.Rooms)
	}
	if st.data, err = decodeData(rs.Data, state.Values); err != nil {
		return nil, err
	}
	st.addressed[st.id] = true
	if err := checkRoomNames(st.rooms); err != nil {
		return nil, err
	}
	if st.id == "" || len(st.id) > maxResumeField || isReserved(st.id) || len(st.rooms) > l.ns.server.cfg.Limits.MaxRooms {
		return nil, errBadState
	}
	return st, nil
}
