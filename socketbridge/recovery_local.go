package socketbridge

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// localLog is the recoveryLog of one namespace in the memory of this node. Its size is
// limited: see Recovery.
type localLog struct {
	*recoveryBase
	ns     *Namespace
	maxAge time.Duration
	epoch  string // of this process: offsets of another process are invalid

	// The lock is held while an event gets its position and is queued to its sockets, so
	// that every client gets events in the order of their offsets. Queueing never blocks.
	sync.Mutex
	events []*loggedEvent // consecutive positions, oldest first
	next   uint64         // position of the next event
	quotas map[string]*quota
	timer  *time.Timer // runs while events are kept
	closed bool
}

var _ recoveryLog = (*localLog)(nil)

// loggedEvent is an event that can be replayed.
type loggedEvent struct {
	at         time.Time
	to, except []string
	quota      string // name of its quota, or ""
	size       int
	msgs       []transport.Message // without the offset; nil once its quota dropped it
}

// quota counts the events that are kept for one session or one room. A socket cannot be
// sent more than MaxBytesPerSession anyway, so events beyond that are dropped, and one
// session cannot displace the events of all others.
type quota struct {
	bytes     int
	positions []uint64 // oldest first
}

// quotaAll is the quota of events to all sockets. No room has that name.
const quotaAll = reservedPrefix + "everybody"

func newLocalLog(n *Namespace) *localLog {
	base, engine := n.server.recovery, &n.server.cfg.Engine
	return &localLog{
		recoveryBase: base, ns: n,
		maxAge: base.cfg.Window + engine.PingInterval + engine.PingTimeout, // a broken connection is noticed late
		epoch:  rand.Text()[:10], next: 1, quotas: make(map[string]*quota),
	}
}

// emit implements eventLog. The event has its position before emit waits for the client.
func (l *localLog) emit(_ context.Context, s *Socket, msgs []transport.Message) error {
	if s.muted.Load() {
		return s.sendEventAndWait(msgs) // of OnInvalidSession: the log skips the socket, and nothing of it is kept
	}
	e := &loggedEvent{to: []string{s.id}, quota: s.recovery.quota, msgs: msgs}
	if err := l.append(e, nil, transport.Paced, func() []*Socket { return []*Socket{s} }); err != nil {
		return err
	}
	return s.waitUntilDrained(context.Background())
}

// broadcast implements eventLog.
func (l *localLog) broadcast(b Broadcast, msgs []transport.Message) error {
	l.send(b.to, b.except, b.from, b.flags, msgs)
	return b.publish(msgs)
}

// deliver implements eventLog.
func (l *localLog) deliver(m *adapter.Message, msgs []transport.Message) {
	l.send(m.Rooms, m.Except, nil, flagsOf(m), msgs)
}

// send logs an event, unless it is volatile, and queues it to the sockets of this node.
func (l *localLog) send(to, except []string, from *Socket, flags transport.Flags, msgs []transport.Message) {
	if flags&transport.Volatile != 0 {
		l.ns.sendLocal(to, except, from, flags, msgs)
		return
	}
	e := &loggedEvent{to: to, except: except, quota: l.quotaOf(to), msgs: msgs}
	if from != nil {
		e.except = append(slices.Clip(except), from.id)
	}
	_ = l.append(e, from, flags, func() []*Socket { return l.ns.rooms.find(to, except) })
}

// append gives an event its position and queues it to sockets, except from.
func (l *localLog) append(e *loggedEvent, from *Socket, flags transport.Flags, sockets func() []*Socket) error {
	msgs := e.msgs // trim can drop them
	observers, err := l.appendEvent(e, from, flags, sockets)
	notifyOutgoingTo(observers, msgs)
	return err
}

// appendEvent returns those sockets that have listeners for outgoing events.
func (l *localLog) appendEvent(e *loggedEvent, from *Socket, flags transport.Flags, sockets func() []*Socket) (observers []*Socket, err error) {
	e.size, e.at = eventSize(e.msgs), time.Now()
	l.Lock()
	defer l.Unlock()
	position := l.next
	l.next++
	if !l.closed {
		l.events = append(l.events, e)
		l.logBytes.Add(int64(e.size))
		if e.quota != "" {
			l.count(e.quota, position, e.size)
		}
		l.trim(e.at)
		if l.timer == nil {
			l.timer = time.AfterFunc(l.maxAge, l.expire)
		}
	}
	withOffset := appendOffset(e.msgs, l.offset(position))
	for _, s := range sockets() {
		if s == from {
			continue
		}
		failed := s.queueLogged(position, flags, withOffset, e.msgs)
		if err = errors.Join(err, failed); failed == nil && s.observed.Load() && !s.muted.Load() {
			observers = append(observers, s)
		}
	}
	return observers, err
}

// quotaOf returns the name of the quota of an event to these rooms: the quota of the
// session if the room is that of a socket, else that of the room.
func (l *localLog) quotaOf(to []string) string {
	switch len(to) {
	case 0:
		return quotaAll
	case 1:
		if s := l.ns.rooms.get(to[0]); s != nil {
			return s.recovery.quota
		}
		return to[0]
	}
	return ""
}

// count adds an event to its quota and drops the quota's oldest events above the limit.
func (l *localLog) count(name string, position uint64, size int) {
	q := l.quotas[name]
	if q == nil {
		q = &quota{}
		l.quotas[name] = q
	}
	q.bytes += size
	q.positions = append(q.positions, position)
	for q.bytes > l.cfg.MaxBytesPerSession && len(q.positions) > 1 {
		e := l.events[q.positions[0]-l.first()]
		q.positions = q.positions[1:]
		q.bytes -= e.size
		l.logBytes.Add(int64(eventOverhead - e.size))
		e.msgs, e.quota, e.size = nil, "", eventOverhead
	}
}

// first returns the position of the oldest event. The caller holds the lock.
func (l *localLog) first() uint64 { return l.next - uint64(len(l.events)) }

// trim drops events that are too old, and the oldest ones if the log is too large.
func (l *localLog) trim(now time.Time) {
	n := 0
	for n < len(l.events) && (now.Sub(l.events[n].at) >= l.maxAge || l.logBytes.Load() > int64(l.cfg.MaxBytes)) {
		e := l.events[n]
		l.logBytes.Add(int64(-e.size))
		if q := l.quotas[e.quota]; q != nil {
			q.bytes -= e.size
			if q.positions = q.positions[1:]; len(q.positions) == 0 {
				delete(l.quotas, e.quota)
			}
		}
		l.events[n] = nil
		n++
	}
	if l.events = l.events[n:]; len(l.events) == 0 {
		l.events = nil
	}
}

// expire drops events that are too old.
func (l *localLog) expire() {
	l.Lock()
	defer l.Unlock()
	now := time.Now()
	l.trim(now)
	if l.timer = nil; len(l.events) > 0 && !l.closed {
		l.timer = time.AfterFunc(l.events[0].at.Add(l.maxAge).Sub(now), l.expire)
	}
}

// close implements eventLog.
func (l *localLog) close() {
	l.Lock()
	defer l.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	for _, e := range l.events {
		l.logBytes.Add(int64(-e.size))
	}
	l.events, l.quotas = nil, make(map[string]*quota)
}

// position implements eventLog.
func (l *localLog) position() uint64 { return l.next - 1 }

func (l *localLog) offset(position uint64) string {
	return l.epoch + "-" + strconv.FormatUint(position, 36)
}

// parseOffset implements eventLog.
func (l *localLog) parseOffset(offset string) (uint64, bool) {
	digits, ok := strings.CutPrefix(offset, l.epoch+"-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 36, 64)
	return n, err == nil
}

// read implements eventLog.
func (l *localLog) read(_ context.Context, r *replay) error {
	l.Lock()
	defer l.Unlock()
	if r.upTo >= l.next || r.upTo+1 < l.first() {
		return errNotKept
	}
	for i := r.upTo + 1 - l.first(); i < uint64(len(l.events)); i++ {
		e, position := l.events[i], l.first()+i
		if !r.addressed(e.to, e.except) {
			continue
		}
		if e.msgs == nil {
			return errNotKept
		}
		if err := r.add(position, e.size, appendOffset(e.msgs, l.offset(position))); err != nil {
			return err
		}
	}
	r.upTo = l.position()
	return nil
}

// recoverable implements stateStore.
func (*localLog) recoverable(reason Reason) bool { return connectionBroke(reason) }

// save implements stateStore.
func (l *localLog) save(st *savedState) { l.states.save(st) }

// restore implements stateStore.
func (l *localLog) restore(_ *Socket, pid string, o owner) *savedState {
	return l.states.restore(pid, l.ns, o)
}

// memoryStates keeps the states of disconnected sockets in the memory of this node, for
// all namespaces. Config.Recovery limits how many, and for how long.
type memoryStates struct {
	cfg Recovery

	mu     sync.Mutex
	byPID  map[string]*savedState
	order  []*savedState // the same states, the first to expire first
	timer  *time.Timer   // runs while states are kept
	closed bool
}

func (m *memoryStates) save(st *savedState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.closed || !now.Before(st.expires) {
		return
	}
	if m.byPID == nil {
		m.byPID = make(map[string]*savedState)
	}
	if old := m.byPID[st.pid]; old != nil {
		m.remove(slices.Index(m.order, old))
	}
	m.byPID[st.pid] = st
	// A state that is saved again after its socket was refused expires before others.
	at, _ := slices.BinarySearchFunc(m.order, st.expires, func(other *savedState, t time.Time) int {
		if other.expires.After(t) {
			return 1
		}
		return -1
	})
	m.order = slices.Insert(m.order, at, st)
	for len(m.byPID) > m.cfg.MaxSockets {
		m.remove(0)
	}
	if m.timer == nil {
		m.timer = time.AfterFunc(m.cfg.Window, m.expire)
	}
}

// restore returns the state of pid and removes it, if it belongs to this namespace and
// owner.
func (m *memoryStates) restore(pid string, ns *Namespace, o owner) *savedState {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.byPID[pid]
	if st == nil || st.ns != ns || st.owner != o || !time.Now().Before(st.expires) {
		return nil
	}
	m.remove(slices.Index(m.order, st))
	return st
}

// remove drops the state at this index of order. The caller holds the lock.
func (m *memoryStates) remove(at int) {
	delete(m.byPID, m.order[at].pid)
	m.order = slices.Delete(m.order, at, at+1)
}

// expire drops the states that have expired. One timer serves all states.
func (m *memoryStates) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(m.order) > 0 && !now.Before(m.order[0].expires) {
		m.remove(0)
	}
	if m.timer = nil; len(m.order) > 0 && !m.closed {
		m.timer = time.AfterFunc(m.order[0].expires.Sub(now), m.expire)
	}
}

// close drops all states; later ones are not kept.
func (m *memoryStates) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.byPID, m.order = nil, nil
}

// len returns how many states are kept.
func (m *memoryStates) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.byPID)
}
