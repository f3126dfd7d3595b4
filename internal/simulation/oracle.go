package simulation

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// The limits of sessions in the simulation.
const (
	idleLimit     = 10 * time.Minute
	absoluteLimit = 40 * time.Minute
	touchInterval = time.Minute
	maxLag        = 2 * time.Second
	recheck       = 30 * time.Second
	callTimeout   = time.Second

	// endBound is how long after its session's end a socket may stay connected on a node whose
	// storage and feed work: a notification or, after a gap, one read with its retries.
	endBound = 5 * time.Second
	// silentBound is the same after notifications were lost without a gap.
	silentBound = 2*recheck + endBound
)

// oracle knows what was acknowledged, and checks what handlers see. Its rules:
//
//   - A handler sees the user and the values of its session that are possible between the start
//     of its call and now (register), counters within their bounds (counter), and both halves of
//     an Update.
//   - No call that began after a session's end was acknowledged sees that session. The same holds
//     for an ID after a new one was acknowledged, and for the limits of a session's life.
//   - A session that a browser has the ID of is there until one of these has begun.
//   - No socket outlives its session by more than endBound, and no event of a socket runs in
//     another session than the socket's, or after a new ID if OnRegenerate disconnects.
//   - No value is one of another session.
//
// With Tracked reads, a call may see what was current maxLag before it began.
type oracle struct {
	start   time.Time
	tracked bool

	mu       sync.Mutex
	calls    map[int]*call
	sessions map[string]*session
	cookies  map[string]*cookie
	sockets  map[*socket]bool
	ending   map[string]int // how many calls of EndAll are under way for a user
	failure  string
	step     int // the operation that the driver started last
	failedAt int
	seen     int // observations checked
}

// session is what the oracle knows of one session, which its pseudonym names.
type session struct {
	name     string
	first    at // when the first write began
	firstAck at // when the first write was acknowledged; never if none was
	extended at // when the last acknowledged write began
	used     at // when a call last used the session
	endFrom  at // when an end began; never if none did
	endTo    at // when an end was acknowledged; never if none was
	user     register
	values   map[string]*register
	n        counter
	moves    counter
	renewals []*interval // new IDs
	cookies  []*cookie   // the IDs that browsers got
}

// cookie is what the oracle knows of one session ID.
type cookie struct {
	session      *session
	replacedFrom at // when a new ID was first asked for
	replacedTo   at // when a new ID was acknowledged
}

// call is one request or event.
type call struct {
	op
	number int
	from   at
	node   *node
	sent   string  // the cookie of a request
	got    string  // the cookie of its response
	socket *socket // that the event is sent on

	opening *socket // that the call connects
	session *session
	write   *write
	count   *interval
	renewal *interval

	running  bool // the handler of an event is running
	answered bool // the client has the answer, or has given the call up
}

// view is what a handler sees of its session.
type view struct {
	name   string
	fresh  bool
	user   string
	values map[string]string
	n      int
	a, b   int
}

func newOracle(tracked bool) *oracle {
	return &oracle{
		start: time.Now(), tracked: tracked, calls: map[int]*call{}, sessions: map[string]*session{},
		cookies: map[string]*cookie{}, sockets: map[*socket]bool{}, ending: map[string]int{},
	}
}

func (o *oracle) now() at { return time.Since(o.start) }

func (o *oracle) fail(c *call, format string, args ...any) {
	if o.failure != "" {
		return
	}
	o.failure = fmt.Sprintf("%v after %v: %s", c, o.now(), fmt.Sprintf(format, args...))
	o.failedAt = o.step
}

func (c *call) String() string {
	if c == nil {
		return "check"
	}
	return fmt.Sprintf("call %d (%v on node %d, begun %v)", c.number, c.op.Kind, c.node.number, c.from)
}

// failed returns the first violation.
func (o *oracle) failed() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failure
}

// begin records a call that is about to be made.
func (o *oracle) begin(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.from = o.now()
	o.calls[c.number] = c
}

func (o *oracle) call(number int) *call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[number]
}

// stale returns how old what a call sees may be.
func (o *oracle) stale(n *node) time.Duration {
	if !o.tracked {
		return 0
	}
	if _, silent := n.link.healthySince(); !silent.IsZero() && time.Since(silent) < silentBound {
		return silentBound
	}
	return maxLag
}

// observe checks what the handler of a call sees.
func (o *oracle) observe(c *call, v view) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen++
	now := o.now()
	read := c.from - o.stale(c.node) // the oldest state that the handler may see
	s := o.sessions[v.name]
	if s == nil {
		s = &session{name: v.name, first: never, firstAck: never, endFrom: never, endTo: never, values: map[string]*register{}}
		o.sessions[v.name] = s
	}
	c.session, c.running = s, c.socket != nil
	if have := o.cookies[c.sent]; c.sent != "" && have != nil {
		o.checkCookie(c, have, s, v, read, now)
	}
	if c.socket != nil {
		o.checkSocket(c, s, read)
	}
	if !v.fresh {
		o.checkAlive(c, s, read)
		o.checkValues(c, s, v, read, now)
	}
	s.used = max(s.used, now)
}

// checkCookie compares the session of a request with that of its cookie.
func (o *oracle) checkCookie(c *call, have *cookie, s *session, v view, read, now at) {
	want := have.session
	if s == want {
		if !v.fresh && have.replacedTo < read {
			o.fail(c, "the session is reached by an ID that was replaced at %v", have.replacedTo)
		}
		return
	}
	switch {
	case want.endFrom <= now, have.replacedFrom <= now, want.firstAck > c.from:
	case now+time.Second >= want.extended+idleLimit, now+time.Second >= want.first+absoluteLimit:
	default:
		o.fail(c, "the session %s is gone, although nothing ended it: last extended at %v, first stored at %v", want.name, want.extended, want.first)
	}
}

// checkAlive checks that the session may still be in use.
func (o *oracle) checkAlive(c *call, s *session, read at) {
	switch {
	case s.endTo < read:
		o.fail(c, "the session %s is used, although its end was acknowledged at %v", s.name, s.endTo)
	case s.firstAck < never && s.firstAck+absoluteLimit+time.Second < read:
		o.fail(c, "the session %s is used past its absolute limit: it was stored at %v", s.name, s.firstAck)
	case s.firstAck < never && s.used+idleLimit+callTimeout < read: // a socket may hold a session that is not stored for longer
		o.fail(c, "the session %s is used past its idle limit: it was last used at %v", s.name, s.used)
	}
}

// checkSocket checks that an event runs in its socket's session and, if a new ID disconnects
// sockets, under its socket's ID.
func (o *oracle) checkSocket(c *call, s *session, read at) {
	k := c.socket
	if k.session != s {
		o.fail(c, "an event of a socket of session %s runs in session %s", k.session.name, s.name)
	}
	if !c.node.leavesOldIDs {
		return
	}
	for _, r := range s.renewals {
		if r.sure && r.from > k.since && r.to < read {
			o.fail(c, "an event runs on a socket of %v, although the session got a new ID at %v", k.since, r.to)
		}
	}
}

// checkValues compares what the handler sees with what was acknowledged.
func (o *oracle) checkValues(c *call, s *session, v view, read, now at) {
	if !s.user.allows(v.user, read, now) {
		o.fail(c, "the user is %q, which is not possible: %s", v.user, describe(&s.user))
	}
	for key, val := range v.values {
		if val != "" && !strings.HasPrefix(val, s.name+"#") {
			o.fail(c, "key %s holds %q, a value of another session", key, val)
		}
		if r := s.value(key); !r.allows(val, read, now) {
			o.fail(c, "key %s holds %q, which is not possible: %s", key, val, describe(r))
		}
	}
	if least, most := s.n.bounds(read, now); v.n < least || v.n > most {
		o.fail(c, "the counter is %d, want %d to %d", v.n, least, most)
	}
	if least, most := s.moves.bounds(read, now); v.b < least || v.b > most || v.a+v.b != 0 {
		o.fail(c, "the two values of the Updates are %d and %d, want %d to %d Updates, each of both", v.a, v.b, least, most)
	}
}

func describe(r *register) string {
	var b strings.Builder
	for _, w := range r.writes {
		to := "open"
		if w.to < never {
			to = w.to.String()
		}
		fmt.Fprintf(&b, "\n\t\t%q from %v to %s, sure: %v", w.val, w.from, to, w.sure)
	}
	return b.String()
}

func (s *session) value(key string) *register {
	if s.values[key] == nil {
		s.values[key] = new(register)
	}
	return s.values[key]
}

// changes records that the handler of a call is about to change its session.
func (o *oracle) changes(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, now := c.session, o.now()
	s.first = min(s.first, now)
	switch c.Kind {
	case httpSet, httpSlow, wsSet, wsSlow:
		r := s.value(c.key())
		r.prune(now - silentBound - time.Minute)
		c.write = r.begin(c.value(), now)
	case httpIncr, wsIncr:
		s.n.prune(now - silentBound - time.Minute)
		c.count = s.n.begin(now)
	case httpMove, wsMove:
		s.moves.prune(now - silentBound - time.Minute)
		c.count = s.moves.begin(now)
	case httpLogin:
		s.user.prune(now - silentBound - time.Minute)
		c.write = s.user.begin(c.user(), now)
		if o.ending[c.user()] > 0 {
			s.endFrom = min(s.endFrom, now)
		}
	case httpLogout:
		s.user.prune(now - silentBound - time.Minute)
		c.write = s.user.begin("", now)
	case httpEnd, wsEnd:
		s.endFrom = min(s.endFrom, now)
	}
	if c.renews() { // whichever ID the session has now
		for _, have := range s.cookies {
			have.replacedFrom = min(have.replacedFrom, now)
		}
		c.renewal = &interval{now, never, false}
		s.renewals = append(s.renewals, c.renewal)
	}
}

// finish records the answer of a call. ok means that it was acknowledged.
func (o *oracle) finish(c *call, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.calls, c.number)
	s, now := c.session, o.now()
	if s == nil { // no handler saw the session, but the call may have extended it
		if have := o.cookies[c.sent]; have != nil {
			have.session.used = max(have.session.used, now)
		}
		if c.socket != nil {
			c.socket.session.used = max(c.socket.session.used, now)
		}
		return
	}
	s.used = max(s.used, now)
	c.answered = true
	if ok || !c.running { // otherwise the handler of an event goes on without its client, and can still save
		c.settle(now, ok)
	}
	if c.renewal != nil {
		c.renewal.to, c.renewal.sure = now, ok && c.got != "" && c.got != c.sent
	}
	if ok {
		switch c.Kind {
		case httpEnd:
			s.endTo = min(s.endTo, now)
		case httpLogout, httpRenew: // store nothing if there is no user, or no session; a new ID alone extends nothing
		case wsEnd, httpRead, wsRead, wsConnect:
		default:
			s.firstAck = min(s.firstAck, now)
			s.extended = max(s.extended, c.from)
		}
	}
	o.recordCookie(c, ok, now)
}

// settle records that a call cannot take effect later.
func (c *call) settle(now at, ok bool) {
	if c.write != nil {
		c.write.to, c.write.sure = now, ok
	}
	if c.count != nil {
		c.count.to, c.count.sure = now, ok
	}
}

// handled records that an event's handler has returned and its session was saved, or not.
func (o *oracle) handled(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.running = false
	if c.answered && c.write != nil && !c.write.sure || c.answered && c.count != nil && !c.count.sure {
		c.settle(o.now(), false)
	}
}

// ended records that a session's end was acknowledged.
func (o *oracle) ended(s *session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.endTo = min(s.endTo, o.now())
}

// recordCookie records which session a response's cookie is for, and that it replaces the
// request's.
func (o *oracle) recordCookie(c *call, ok bool, now at) {
	if c.got == "" || c.session == nil || c.Kind == httpEnd {
		return
	}
	if o.cookies[c.got] == nil {
		have := &cookie{session: c.session, replacedFrom: never, replacedTo: never}
		o.cookies[c.got] = have
		c.session.cookies = append(c.session.cookies, have)
		for _, r := range c.session.renewals {
			if r != c.renewal && r.to >= c.from { // it may have come later
				have.replacedFrom = min(have.replacedFrom, c.from)
			}
		}
	}
	if c.Kind == wsConnect {
		return
	}
	if have := o.cookies[c.sent]; have != nil && have.session == c.session && c.got != c.sent && ok {
		have.replacedTo = min(have.replacedTo, now)
	}
}

// beginEndAll records that a call begins to end all sessions of a user.
func (o *oracle) beginEndAll(user string) (from at) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending[user]++
	for _, s := range o.sessions {
		for _, w := range s.user.writes {
			if w.val == user {
				s.endFrom = min(s.endFrom, o.now())
			}
		}
	}
	return o.now()
}

// finishEndAll records the answer of such a call. If it succeeded, it ended the sessions that
// certainly were the user's while it ran.
func (o *oracle) finishEndAll(user string, from at, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending[user]--
	now := o.now()
	for _, s := range o.sessions {
		if val, settled := s.user.settled(from, now); ok && settled && val == user {
			s.endTo = min(s.endTo, now)
		}
	}
}

// connected and disconnected record a socket's life, as the server reports it.
func (o *oracle) connected(k *socket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sockets[k] = true
}

func (o *oracle) disconnected(k *socket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sockets, k)
}

// sweep checks that no socket outlives its session.
func (o *oracle) sweep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for k := range o.sockets {
		s := k.session
		since, silent := k.node.link.healthySince()
		bound := since.Sub(o.start) + endBound
		if !silent.IsZero() {
			bound = max(bound, silent.Sub(o.start)+silentBound)
		}
		ended := s.endTo
		if s.firstAck < never {
			ended = min(ended, s.firstAck+absoluteLimit)
		}
		if ended < never && max(ended+endBound, bound, k.since+endBound) < now {
			o.fail(nil, "a socket on node %d is still connected %v after the end of its session %s; the node works since %v",
				k.node.number, now-ended, s.name, since.Sub(o.start))
		}
	}
	if len(o.sessions) > 400 {
		o.forget(now)
	}
}

// forget drops sessions that ended long ago, with their cookies.
func (o *oracle) forget(now at) {
	inUse := map[*session]bool{}
	for k := range o.sockets {
		inUse[k.session] = true
	}
	for _, c := range o.calls {
		inUse[c.session] = true
	}
	for name, s := range o.sessions {
		if !inUse[s] && s.used+absoluteLimit < now {
			delete(o.sessions, name)
		}
	}
	for id, c := range o.cookies {
		if o.sessions[c.session.name] != c.session {
			delete(o.cookies, id)
		}
	}
}
