package socketbridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Recovery configures connection state recovery: a client whose connection broke and
// who is back within the window gets its socket back (ID, rooms, Data) and the events
// that it missed, in order, without loss and without repetition.
//
// It is Socket.IO's, and clients need nothing for it, but it is safer in one way: a
// socket is only ever given back to the session and the user that had it, and connect
// middlewares run again. When the session has ended meanwhile, has another user, or
// when something of what was missed is kept no more, the client simply gets a new
// socket (Socket.Recovered tells).
//
// With an Adapter that is an adapter.Log (redisadapter.NewStreams) the client may come
// back to any node, also after its own was shut down; else to the node that it was on.
//
// What is replayed are events without acknowledgement that were not Volatile. While
// recovery is on, such events carry one more argument, the offset, as in Socket.IO.
type Recovery struct {
	// Window is how long a broken connection's state is kept. Socket.IO's
	// maxDisconnectionDuration; 2 minutes is its usual value.
	//
	// Optional. Default: 0, no recovery
	Window time.Duration

	// MaxBytes bounds the events that this node keeps, in all namespaces together;
	// each counts with 200 bytes more than its size. The oldest go first.
	//
	// Optional. Default: 64 << 20
	MaxBytes int

	// MaxBytesPerSession bounds what is sent to one socket that comes back, and so
	// also the events that are kept for one session or one room.
	//
	// Optional. Default: 256 << 10
	MaxBytesPerSession int

	// MaxSockets bounds how many sockets' states this node keeps. The oldest go
	// first.
	//
	// Optional. Default: 10_000
	MaxSockets int
}

// recovery keeps the states of sockets whose connection broke.
type recovery struct {
	cfg   Recovery
	bytes atomic.Int64 // what all histories keep

	mu     sync.Mutex
	live   map[string]*Socket // by private ID
	gone   map[string]*remains
	order  []*remains // oldest first; some may be taken already
	timer  *time.Timer
	closed bool
}

// remains are what is kept of a socket.
type remains struct {
	pid     string
	ns      *Namespace
	owner   owner
	id      string
	rooms   []string        // without the bridge's own, and its own
	meant   map[string]bool // all of them: to whom what it was sent was addressed
	data    *Data
	stay         // nothing when a server of Node kept it
	foreign bool // so it is
	expires time.Time
}

// stay says what of the past a socket has seen, in places.
type stay struct {
	Since  uint64 `json:"since"`  // the last before it was there
	Base   uint64 `json:"base"`   // the last that the client had got then; 0: none
	Placed uint64 `json:"placed"` // of the last event that was queued to it; 0: none was
	Left   uint64 `json:"left"`   // the last when it went
}

// owner is whom a socket belongs to.
type owner struct {
	session string // its name for this purpose
	user    string
}

// noSession is in the place of a session where a namespace shares none.
const noSession = "none"

func newRecovery(cfg Recovery) *recovery {
	if cfg.Window == 0 {
		return nil
	}
	return &recovery{cfg: cfg, live: make(map[string]*Socket), gone: make(map[string]*remains)}
}

// recoverable says whether a socket that ended like this may come back. Where all nodes
// keep the states together, one that is shut down leaves its own to the others.
func (s *Server) recoverable(r Reason) bool {
	switch r {
	case transport.TransportClose, transport.TransportError, transport.PingTimeout:
		return true
	case transport.ShuttingDown:
		return s.kept() != nil
	}
	return false
}

func (s *Socket) owner() owner {
	if s.session == nil {
		return owner{session: noSession}
	}
	return owner{session: s.session.Pseudonym("recovery"), user: s.session.User()}
}

// born gives a socket its private ID: a new one, or that of the socket whose place it
// takes.
func (r *recovery) born(s *Socket) {
	s.pid = rand.Text() + rand.Text() // 256 bits
	if s.left != nil {
		s.pid = s.left.pid
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[s.pid] = s
}

// remains returns what is to be kept of a socket that has ended and not yet left its
// rooms, or nil when it may not come back.
func (r *recovery) remains(s *Socket, reason Reason) *remains {
	if !s.server().recoverable(reason) || s.client.plain != nil || s.session != nil && s.session.Err() != nil {
		return nil
	}
	left := &remains{pid: s.pid, ns: s.ns, owner: s.owner(), id: s.id, data: s.data.clone(), stay: stay{Since: s.since, Base: s.base}}
	s.ns.past.Lock()
	left.Placed, left.Left = s.placed, max(s.ns.past.position(), s.placed)
	s.ns.past.Unlock()
	left.in(s.Rooms())
	return left
}

// in says what rooms the socket was in.
func (l *remains) in(rooms []string) {
	l.meant = make(map[string]bool, len(rooms))
	for _, name := range rooms {
		l.meant[name] = true
		if name != l.id && !strings.HasPrefix(name, reservedPrefix) {
			l.rooms = append(l.rooms, name)
		}
	}
}

// keep ends a socket's private ID, or begins to keep what remains of it. It comes
// after all handlers of the socket.
func (r *recovery) keep(s *Socket, left *remains) {
	if left != nil {
		left.expires = time.Now().Add(r.cfg.Window)
		if s.server().kept() != nil {
			left.keep()
			left = nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[s.pid] == s {
		delete(r.live, s.pid)
	}
	if left == nil || r.closed {
		return
	}
	r.gone[left.pid] = left
	r.order = append(r.order, left)
	for len(r.gone) > r.cfg.MaxSockets {
		r.drop()
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(r.cfg.Window, r.expire)
	}
}

// drop forgets the oldest. The caller holds the lock.
func (r *recovery) drop() {
	oldest := r.order[0]
	r.order[0] = nil
	r.order = r.order[1:]
	if r.gone[oldest.pid] == oldest {
		delete(r.gone, oldest.pid)
	}
}

// expire forgets what is too old. One timer does for all, while there is something.
func (r *recovery) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.order) > 0 && !now.Before(r.order[0].expires) {
		r.drop()
	}
	if r.timer = nil; len(r.order) > 0 && !r.closed {
		r.timer = time.AfterFunc(r.order[0].expires.Sub(now), r.expire)
	}
}

// close forgets everything.
func (r *recovery) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.gone, r.order = nil, nil
}

// len returns how many states are kept.
func (r *recovery) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.gone)
}

// take returns what is kept under pid for an owner, once. Nothing is taken when it is
// another's.
func (r *recovery) take(pid string, ns *Namespace, who owner) *remains {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.gone[pid]
	if left == nil || left.ns != ns || left.owner != who || !time.Now().Before(left.expires) {
		return nil
	}
	delete(r.gone, pid)
	return left
}

// putBack undoes take: the middlewares refused, perhaps only for now.
func (r *recovery) putBack(left *remains) {
	if left.ns.server.kept() != nil {
		left.keep()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && time.Now().Before(left.expires) { // else nothing would make it go
		r.gone[left.pid] = left
		r.order = append([]*remains{left}, r.order...)
	}
}

// alive returns the socket that has pid, when it is the owner's.
func (r *recovery) alive(pid string, ns *Namespace, who owner) *Socket {
	r.mu.Lock()
	s := r.live[pid]
	r.mu.Unlock()
	if s == nil || s.ns != ns || s.owner() != who {
		return nil
	}
	return s
}

// comeback is what a client says of the socket that it had.
type comeback struct {
	PID    string `json:"pid"`
	Offset string `json:"offset"`
}

// maxPID bounds what a client may give as a private ID or an offset.
const maxPID = 64

// recover gives the socket the state of the one that the client had before, or, when
// that cannot be, marks where a new one begins. No user code has seen it yet.
func (s *Socket) recover() {
	r := s.server().recovery
	if r == nil {
		return
	}
	s.ns.past.Lock()
	s.since = s.ns.past.position()
	s.ns.past.Unlock()
	if s.share = s.id; s.session != nil {
		s.share = sessionRoom(s.session)
	}
	if s.client.plain != nil {
		return
	}
	var back comeback
	if len(s.auth) == 0 || json.Unmarshal(s.auth, &back) != nil || back.PID == "" || len(back.PID) > maxPID || len(back.Offset) > maxPID {
		return
	}
	who := s.owner()
	if who.session == "" {
		return // it ended meanwhile
	}
	if old := r.alive(back.PID, s.ns, who); old != nil {
		s.replace(old)
	}
	var left *remains
	if s.server().kept() != nil {
		left = s.takeKept(back.PID, who)
	} else {
		left = r.take(back.PID, s.ns, who)
	}
	if left == nil {
		return
	}
	after, got, ok := left.after(back.Offset)
	if !ok {
		return
	}
	c := s.server().newCatchUp(left.meant, after)
	if s.catchUp(c) != nil {
		return
	}
	s.mu.Lock()
	s.id, s.left, s.since, s.base, s.missed = left.id, left, after, got, c
	s.pending = slices.Clone(left.rooms)
	s.mu.Unlock()
	s.data.restore(left.data)
}

// catchUp collects what the socket has missed until now.
func (s *Socket) catchUp(c *catchUp) error {
	ctx, cancel := context.WithTimeout(s.Context(), s.server().cfg.Timeouts.Request)
	defer cancel()
	err := s.ns.past.catchUp(ctx, c)
	if errors.Is(err, adapter.ErrUnavailable) || errors.Is(err, adapter.ErrClosed) {
		s.log().Warn("socketbridge: a client cannot be given its socket back: what it missed cannot be read", "error", err)
	}
	return err
}

// after returns the place after which the client may have missed something, and what
// it has got. An offset that is the last one it was sent says that it missed nothing
// while it was there: then what was sent to others meanwhile need not be kept any more.
func (l *remains) after(offset string) (after, got uint64, ok bool) {
	if offset != "" { // else it has got nothing yet
		if got, ok = l.ns.past.place(offset); !ok {
			return 0, 0, false
		}
	}
	switch {
	case l.foreign:
		return got, got, got > 0
	case got > l.Left, got < l.Since && got != l.Base:
		return 0, 0, false
	case got >= l.Placed:
		return l.Left, got, true
	default:
		return max(got, l.Since), got, true // with Base, it has got nothing since it was there
	}
}

// replace ends the connection that the client has given up, though this node had not
// noticed, and waits until its socket's handlers have returned.
func (s *Socket) replace(old *Socket) {
	old.client.conn.Close(transport.TransportClose)
	ctx, cancel := context.WithTimeout(s.Context(), s.server().cfg.Timeouts.Connect)
	defer cancel()
	select {
	case <-old.finished.Done():
	case <-ctx.Done():
	}
}

// Recovered tells whether the client got back the socket that it had before its
// connection broke: its ID, rooms and Data are what they were. See Recovery.
func (s *Socket) Recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left != nil
}
