package socketbridge

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/storage"
)

const (
	// claimLease is how long a node may be silent before the event that it handles counts
	// as lost. Nodes compare wall clocks, so it must be far above their differences.
	claimLease = time.Minute

	// unownedWindow is how long a ledger is kept that belongs to no stored session.
	unownedWindow = 10 * time.Minute

	// claimRetry is the first delay before an outcome that was not stored is written again.
	claimRetry = time.Second

	minWaitPoll, maxWaitPoll = 10 * time.Millisecond, 500 * time.Millisecond
)

// errStillHandled ends a repeat that waited for Config.Timeouts.Ack. The client is not
// answered, so it repeats the event again.
var errStillHandled = errors.New("socketbridge: a repeated event waited too long for its first attempt, which is still being handled (Config.Timeouts.Ack); the client was not answered and may repeat it")

// repeats is the part of a server that recognises repeated events.
type repeats struct {
	server *Server

	ready   sync.Once // opens the store at the first event, because only then the session store must be ready
	store   ledgerStore
	prefix  string        // of the keys
	timeout time.Duration // of one change of a ledger

}

func (r *repeats) open() {
	cfg := &r.server.cfg
	r.store, r.prefix, r.timeout = new(memoryLedgers), fibersession.ConfigDefault.Prefix, cfg.Timeouts.Request
	if cfg.Sessions != nil {
		r.store = cfg.Sessions.Backend() // first: it fills in the defaults of the next two
		r.prefix, r.timeout = cfg.Sessions.Config.Prefix, cfg.Sessions.Config.Timeouts.Storage
	}
	if cfg.Repeats.Storage != nil {
		r.store = cfg.Repeats.Storage
	}
	r.prefix += "r:"
}

// claim is one attempt to handle an event. Its methods are safe for concurrent use.
type claim struct {
	repeats *repeats
	key     string // of the ledger
	event   ledgerEvent
	session *fibersession.Handle // nil without one

	mu      sync.Mutex // guards the fields below; never held during I/O
	outcome outcome    // what is to be written
	timer   *time.Timer
	round   int  // counts the timers, so that one that was replaced does nothing
	failed  int  // failed attempts to write the outcome
	over    bool // the outcome was written

	known    *ledger // as the last change stored it; nil while it is in use
	revision storage.Revision
}

// outcome is how the handling of a claimed event ended.
type outcome struct {
	state  eventState // eventRunning: not yet
	answer ledgerAnswer
	forget bool // the next attempt shall be handled
}

// claimEvent claims the packet's event before it is handled. run is false if the event is
// a repeat: it was given its answer, or err says why not.
func (p *Packet) claimEvent(o offset) (run bool, err error) {
	c, err := p.newClaim(o)
	if err != nil {
		return false, err
	}
	wait, cancel := context.WithTimeout(p.Context(), p.socket.server().cfg.Timeouts.Ack)
	defer cancel()
	for poll := minWaitPoll; ; poll = min(2*poll, maxWaitPoll) {
		verdict, answer, err := c.begin(p.Context())
		switch {
		case err != nil:
			return false, err
		case verdict == claimRun:
			p.claim = c
			c.writeAfter(claimLease / 3)
			return true, nil
		case verdict != claimWait:
			return false, p.settleRepeat(verdict, answer)
		}
		if err := p.waitForFirst(wait, poll); err != nil {
			return false, err
		}
	}
}

// waitForFirst waits before the next look at an event that another attempt is handling.
func (p *Packet) waitForFirst(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.socket.Done():
	case <-ctx.Done():
	}
	p.withholdAck()
	p.repeated = true
	return errStillHandled
}

// settleRepeat gives a repeat what its first attempt got.
func (p *Packet) settleRepeat(v claimVerdict, a ledgerAnswer) error {
	p.repeated = true
	switch v {
	case claimAnswer:
		p.ackAgain(a)
		return nil
	case claimSilent:
		p.withholdAck()
		return nil
	case claimReused:
		return &EventError{Code: CodeOffsetReused, Message: "the offset was used for an event with another name or other arguments"}
	case claimFull:
		return &EventError{Code: CodeTooMany, Message: "too many events of the session are being handled"}
	default:
		return &EventError{Code: CodeOffsetExpired, Message: "the event was handled before, or may have been, and its answer is not kept"}
	}
}

// ackAgain answers a repeat with a kept answer.
func (p *Packet) ackAgain(a ledgerAnswer) {
	p.ack.mu.Lock()
	defer p.ack.mu.Unlock()
	if p.ack.given {
		return // by another chain
	}
	p.ack.given = true
	if p.in.HasID {
		p.ack.hold(siopacket.AppendPayload(nil, p.ackHeader(), a.payload, len(a.binary)), a.binary)
	}
}

// withholdAck lets the packet end without an answer.
func (p *Packet) withholdAck() {
	p.ack.mu.Lock()
	defer p.ack.mu.Unlock()
	p.ack.given = true
}

// recordAck records the answer of a claimed event.
func (p *Packet) recordAck(text []byte, binary [][]byte) {
	if p.claim == nil {
		return
	}
	header := siopacket.AppendPayload(nil, p.ackHeader(), nil, len(binary))
	p.claim.record(outcome{state: eventAnswered, answer: ledgerAnswer{payload: text[len(header):], binary: binary}})
}

// recordUnanswered records that a claimed event was handled and not answered. If err
// invites another attempt, the event is forgotten instead.
func (p *Packet) recordUnanswered(err error) {
	switch {
	case p.claim == nil:
	case tryAgain(clientError(err)):
		p.forgetClaim()
	default:
		p.claim.record(outcome{state: eventUnanswered})
	}
}

// forgetClaim lets the next attempt of a claimed event be handled.
func (p *Packet) forgetClaim() {
	if p.claim != nil {
		p.claim.record(outcome{forget: true})
	}
}

// tryAgain reports whether an error invites the client to another attempt.
func tryAgain(e *EventError) bool {
	return e != nil && (e.Code == CodeSessionUnavailable || e.Code == CodeTooMany)
}

// newClaim returns a claim that is not stored yet.
func (p *Packet) newClaim(o offset) (*claim, error) {
	s := p.socket
	r := &s.server().repeats
	r.ready.Do(r.open)
	c := &claim{repeats: r, session: s.session, outcome: outcome{state: eventRunning}}
	owner := "socket\x00" + s.id
	if s.session != nil {
		name := s.session.Pseudonym("repeats")
		if name == "" {
			return nil, s.session.Err()
		}
		owner = "session\x00" + name
	}
	sum := sha256.Sum256([]byte(owner))
	c.key = r.prefix + base64.RawURLEncoding.EncodeToString(sum[:])
	sequence := s.ns.name + "\x00string\x00" + o.sequence
	if o.isNumber {
		sequence = s.ns.name + "\x00socket\x00" + s.id
	}
	sum = sha256.Sum256([]byte(sequence))
	c.event = ledgerEvent{sequence: eventHash(sum[:]), number: o.number, content: p.contentHash()}
	rand.Read(c.event.token[:]) // never returns an error: it crashes the program instead
	return c, nil
}

// contentHash returns a hash of the event's name and arguments.
func (p *Packet) contentHash() eventHash {
	h := sha256.New()
	var length [8]byte
	write := func(part []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	write([]byte(p.event))
	write(p.in.Data)
	for _, b := range p.in.Attachments {
		write(b)
	}
	return eventHash(h.Sum(nil))
}

// begin stores the claim, unless the event is a repeat.
func (c *claim) begin(ctx context.Context) (v claimVerdict, a ledgerAnswer, err error) {
	unsure, err := c.change(ctx, func(l *ledger) (changed bool) {
		v, a, changed = l.claim(c.event, time.Now(), claimLease, unknownOutcome)
		return changed
	})
	if err != nil {
		if unsure { // it may be stored nevertheless, and would keep repeats waiting
			c.settle(outcome{forget: true})
			c.writeAfter(claimRetry)
		}
		return 0, a, fmt.Errorf("%w: the event was not claimed: %w", fibersession.ErrUnavailable, err)
	}
	return v, a, nil
}

// unknownOutcome is the answer to an event whose node has failed.
func unknownOutcome() ledgerAnswer {
	e := &EventError{Code: CodeUnknownOutcome, Message: "the event may or may not have been handled"}
	payload, _, err := siopacket.Append(nil, siopacket.Header{Type: siopacket.Ack}, map[string]any{"error": e})
	if err != nil {
		panic(err) // the error has no data that could fail
	}
	return ledgerAnswer{payload: payload[1:]}
}

// change changes the claim's ledger. fn can be called several times, and returns false if
// nothing is to be stored. unsure means that the change may be stored although err is not
// nil.
func (c *claim) change(ctx context.Context, fn func(l *ledger) bool) (unsure bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.repeats.timeout)
	defer cancel()
	for try := 0; ; try++ {
		l, rev, err := c.load(ctx)
		if err != nil {
			return unsure, err
		}
		if !fn(l) {
			return false, nil
		}
		rev, err = c.repeats.store.CompareAndSwap(ctx, c.key, rev, l.encode(), c.ttl())
		switch {
		case err == nil:
			c.mu.Lock()
			c.known, c.revision = l, rev
			c.mu.Unlock()
			return false, nil
		case errors.Is(err, storage.ErrUnknownOutcome):
			unsure = true // the next load tells
		case !errors.Is(err, storage.ErrConflict):
			return unsure, err
		}
		if !sleep(ctx, try) {
			return unsure, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
	}
}

// load returns the claim's ledger and its revision: what the last change stored, which is
// nearly always the newest, and otherwise what the storage holds.
func (c *claim) load(ctx context.Context) (*ledger, storage.Revision, error) {
	c.mu.Lock()
	l, rev := c.known, c.revision
	c.known = nil
	c.mu.Unlock()
	if l != nil {
		return l, rev, nil
	}
	item, err := c.repeats.store.Load(ctx, c.key)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return new(ledger), storage.Absent, nil
	case err != nil:
		return nil, storage.Absent, err
	}
	if l, err = decodeLedger(item.Value); err != nil {
		c.repeats.reportCorrupt(err)
		l = new(ledger)
	}
	return l, item.Revision, nil
}

// sleep waits before another try: not before the second, and then longer each time. It
// returns false if ctx has ended.
func sleep(ctx context.Context, try int) bool {
	if try == 0 {
		return ctx.Err() == nil
	}
	var random [1]byte
	rand.Read(random[:])
	t := time.NewTimer(time.Duration(random[0]) << min(try, 8) * time.Microsecond / 4)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ttl returns how long the ledger is kept.
func (c *claim) ttl() time.Duration {
	cfg := &c.repeats.server.cfg
	switch {
	case c.session == nil:
		return min(cfg.Repeats.Window, cfg.Recovery.Window+unownedWindow)
	case c.session.Fresh():
		return min(cfg.Repeats.Window, unownedWindow)
	default:
		return cfg.Repeats.Window
	}
}

// record stores how the event ended, before its answer is sent. If that fails, it is tried
// again in the background.
func (c *claim) record(o outcome) {
	if c.settle(o) && !c.write() {
		c.writeAfter(claimRetry)
	}
}

// settle sets the outcome to write and stops the timer. It returns false if another
// outcome stands: an answer that another goroutine gave at the same time, or that the event
// is forgotten.
func (c *claim) settle(o outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcome.forget || c.outcome.state == eventAnswered {
		return false
	}
	c.outcome, c.over, c.failed = o, false, 0
	c.round++
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	return true
}

// write stores the outcome, or extends the lease while there is none. It reports whether
// the outcome is stored.
func (c *claim) write() (done bool) {
	c.mu.Lock()
	o := c.outcome
	c.mu.Unlock()
	_, err := c.change(context.Background(), func(l *ledger) bool {
		switch {
		case o.forget:
			return l.forget(c.event.token)
		case o.state == eventRunning:
			return l.renew(c.event.token, time.Now())
		default:
			return l.finish(c.event.token, o.state, o.answer)
		}
	})
	if o.answer.size() > maxLedgerAnswer {
		c.repeats.reportLarge(o.answer.size())
	}
	if err != nil {
		c.repeats.reportFailure(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed++
		return false
	}
	c.failed = 0
	done = o.forget || o.state != eventRunning
	if done {
		c.over, c.known = true, nil
	}
	return done
}

// writeAfter calls write after d, and then again until the outcome is stored or the lease
// has run out.
func (c *claim) writeAfter(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startTimer(d)
}

// startTimer starts the next timer. c.mu must be held.
func (c *claim) startTimer(d time.Duration) {
	c.round++
	round := c.round
	c.timer = time.AfterFunc(d, func() { c.tick(round) })
}

// tick runs on a timer of the claim.
func (c *claim) tick(round int) {
	s := c.repeats.server
	s.running.Add()
	defer s.running.Done()
	c.mu.Lock()
	running := c.outcome.state == eventRunning && !c.outcome.forget
	stop := c.over || c.round != round || !running && s.closing.Load()
	c.mu.Unlock()
	if stop || c.write() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch next := claimRetry << c.failed; {
	case c.over || c.round != round:
	case c.failed == 0:
		c.startTimer(claimLease / 3)
	case next < claimLease:
		c.startTimer(min(next, claimLease/3))
	}
}

func (r *repeats) reportFailure(err error) {
	r.server.notices.Report(&repeatUnrecordedNotice, "", "error", err)
}

func (r *repeats) reportLarge(size int) {
	r.server.notices.Report(&repeatLargeNotice, "", "bytes", size, "limit", maxLedgerAnswer)
}

func (r *repeats) reportCorrupt(err error) {
	r.server.notices.Report(&repeatCorruptNotice, "", "error", err)
}
