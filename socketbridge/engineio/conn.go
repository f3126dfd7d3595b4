package engineio

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// state is the state of a connection. It only increases.
type state = int32

const (
	opening state = iota // the client cannot know of the connection yet
	open
	closing // the queue is still sent; incoming messages are dropped
	closed  // nothing is sent or received
)

// conn is one connection. Sending goes through the queue out. Receiving requires
// receiverSem, the right to call the receiver.
//
// On polling, a connection is served by whatever requests arrive. On a WebSocket, a reader
// goroutine reads and the queue's worker writes. The lock order is mu, then the queue's own
// lock. Neither is held during calls to the application or during I/O.
type conn struct {
	server   *Server
	acceptor transport.Acceptor
	id       string
	request  snapshot // of the handshake
	addr     netip.Addr

	out         serial.Queue[packet]
	receiverSem chan struct{} // a binary semaphore: full while a goroutine may call receiver
	receiver    transport.Receiver
	done        serial.Signal // fired when nothing of the connection runs any more
	stopped     serial.Signal // fired by terminate
	rate        rateLimiter
	stall       stall
	wake        chan struct{} // makes the waiting poll check again; nil if opened on a WebSocket
	reader      *reader       // the one whose goroutine can be lent, or nil; set before its first Receive
	nextFlush   *conn         // see flusher, whose lock guards it
	state       atomic.Int32  // written under mu
	loan        atomic.Uint32 // see lending.go
	idle        atomic.Bool   // see idleWaits: there is no reader, and receiverSem waits for the next one
	flusher     uint8         // in Server.flushers
	slot        uint8         // in lending.slots; used by the goroutine that is lent, or ends the loan
	plain       bool          // messages have no Engine.IO framing: see Server.Plain
	accepted    bool          // receiver is set, and is not changed any more; guarded by mu
	hasBacklog  atomic.Bool   // some of its packets were counted in Server.backlog
	pingQueued  atomic.Bool   // the ping has not been taken yet; written under mu

	mu            sync.Mutex // guards the fields below
	reason        transport.Reason
	cause         error
	ws            *wsWriter // nil while the connection is on polling
	probe         *wsWriter // the WebSocket of an upgrade in progress
	probeAnswered bool      // polls must end soon
	switching     bool      // the WebSocket takes over once no post is being read
	pollWaiting   bool
	posting       bool           // the body of a post is being read or handled
	releasePoll   bool           // the waiting poll must end, with a noop if the queue is empty
	closeSent     bool           // the close frame was written to the WebSocket
	closeReceived bool           // the client's close frame was read
	watching      bool           // watch runs
	finalPoll     eiopacket.Type // answers polls after the end
	timerTask     timerTask
	timer         *time.Timer
	timerDue      time.Duration // by Server.now; the timer can still fire for an earlier task
	pingSent      time.Duration // by Server.now
	polled        time.Duration // when a poll last took something, or the connection began; by Server.now
	watch         *time.Timer   // see watchProgress; nil until it is needed
	watchedSince  time.Duration // by Server.now
}

// newConn returns a connection in state opening. Only its timer runs.
func newConn(s *Server, id string, request snapshot, addr netip.Addr, transportName string) *conn {
	c := &conn{
		server:      s,
		acceptor:    s.acceptor,
		id:          id,
		request:     request,
		addr:        addr,
		receiverSem: make(chan struct{}, 1),
		finalPoll:   eiopacket.Close,
		polled:      s.now(),
	}
	if transportName == Polling {
		c.wake = make(chan struct{}, 1)
	}
	number := s.opened.Add(1)
	c.flusher = uint8(number % uint32(len(s.flushers)))
	c.slot = uint8(number % lendSlots)
	c.out.HighItems, c.out.HighSize = s.cfg.Limits.MaxQueueMessages, s.cfg.Limits.MaxQueueBytes
	c.out.Max, c.out.Measure, c.out.Release = max(1, s.cfg.Limits.MaxBacklogBytes/backlogShare), measurePacket, c.released
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(s.cfg.Timeouts.Upgrade, c.onTimer)
	c.setTimer(giveUpOpening, s.cfg.Timeouts.Upgrade)
	return c
}

// ID returns the connection's sid.
func (c *conn) ID() string { return c.id }

// Handshake returns the request that opened the connection.
func (c *conn) Handshake() *transport.Handshake { return c.request.handshake() }

// Lifted returns the result of Hooks.Lift.
func (c *conn) Lifted() any { return c.request.lifted }

// Done is closed when nothing of the connection runs any more.
func (c *conn) Done() <-chan struct{} { return c.done.Done() }

// Transport returns the name of the connection's current transport.
func (c *conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ws != nil || c.wake == nil {
		return WebSocket
	}
	return Polling
}

// Close ends the connection after its queue has been sent.
func (c *conn) Close(r transport.Reason) {
	code := wsframe.NormalClosure
	switch r {
	case transport.ShuttingDown, transport.TransportClose: // the client may reconnect
		code = wsframe.GoingAway
	case transport.Refused:
		code = wsframe.PolicyViolation
	}
	c.close(r, nil, code)
}

// close begins to close the connection: it records the reason and the cause, and queues the
// close packet.
func (c *conn) close(r transport.Reason, cause error, code uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() >= closing {
		return
	}
	c.state.Store(closing)
	c.reason, c.cause = r, cause
	c.setTimer(giveUpClosing, c.server.cfg.Timeouts.Close)
	c.out.Seal(packet{kind: closePacket, code: code})
	c.wakePoll()
}

// terminate ends the connection at once. If close was called before, its reason and cause
// stand. It drops the queue. terminate does not wait for the end; done reports it. It
// returns false if the connection has been ended before.
func (c *conn) terminate(r transport.Reason, cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state.Load() {
	case closed:
		return false
	case opening, open:
		c.reason, c.cause = r, cause
	}
	c.state.Store(closed)
	c.timer.Stop()
	if c.watch != nil {
		c.watch.Stop()
	}
	c.stopped.Fire()
	c.out.Discard()
	for _, ws := range []*wsWriter{c.ws, c.probe} {
		if ws != nil {
			ws.interrupt()
		}
	}
	c.wakePoll()
	go c.finish(c.accepted) // Done, and Server.Shutdown, wait for it
	return true
}

// finish runs once, after terminate.
func (c *conn) finish(accepted bool) {
	if accepted {
		if i, ok := c.receiver.(transport.Interrupter); ok {
			_ = c.recoverPanic(func() error { i.Interrupt(); return nil })
		}
	}
	c.Detach()
	// An idle connection has receiverSem, and no reader that would release it.
	c.readAgain()
	c.receiverSem <- struct{}{} // waits for the last Receive, and is never released
	c.out.Close()
	if c.receiver != nil {
		c.server.stats.countClosed(c.reason)
		_ = c.recoverPanic(func() error { c.receiver.Closed(c.reason, c.cause); return nil })
	} else {
		c.server.notices.Report(&notOpenedNotice, "", "reason", string(c.reason), "cause", c.cause, "remote", (*loggedConn)(c))
		if c.server.hooks.Release != nil && c.request.lifted != nil {
			_ = c.recoverPanic(func() error { c.server.hooks.Release(c.request.lifted); return nil })
		}
	}
	c.server.removeConn(c) // fires done
}

// accept passes the connection to the acceptor. The caller has receiverSem.
func (c *conn) accept() error {
	err := c.recoverPanic(func() (err error) {
		c.receiver, err = c.acceptor.Accept(c)
		return err
	})
	if err == nil && c.receiver == nil {
		err = ErrRefused
	}
	if err != nil {
		c.receiver = nil
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() == opening {
		c.state.Store(open)
		c.accepted = true
		c.server.stats.opened.Add(1)
		c.setTimer(sendPing, c.server.cfg.PingInterval)
	}
	return nil
}

// detached is returned instead of a failure by a goroutine that no longer reads.
var detached = new(failure)

// failure is an error that ends the connection.
type failure struct {
	reason  transport.Reason
	code    uint16 // of the close frame
	cause   error
	refused bool // by the receiver
}

// handlePacket handles one packet from the client. The caller has receiverSem. After a
// failure, no further packet may be handled.
func (c *conn) handlePacket(p eiopacket.Packet) *failure {
	switch p.Type {
	case eiopacket.Message:
		return c.receive(transport.Message{Binary: p.Binary, Data: p.Data})
	case eiopacket.Pong:
		c.pongReceived()
	case eiopacket.Close:
		return &failure{reason: transport.TransportClose, code: wsframe.NormalClosure}
	case eiopacket.Ping:
		return &failure{reason: transport.TransportError, code: wsframe.PolicyViolation, cause: ErrPing}
	case eiopacket.Open:
		return &failure{reason: transport.ParseError, code: wsframe.PolicyViolation, cause: eiopacket.ErrPacket}
	case eiopacket.Upgrade, eiopacket.Noop: // ignored, as the reference server does
	}
	return nil
}

// receive passes a message to the receiver, unless the connection is closing. The caller
// has receiverSem.
func (c *conn) receive(m transport.Message) *failure {
	if c.state.Load() != open {
		return nil
	}
	c.server.stats.packetsIn.Add(1)
	c.server.stats.bytesIn.Add(int64(len(m.Data)))
	var panicked bool
	err := c.callReceive(m, &panicked)
	switch {
	case panicked:
		return &failure{reason: transport.TransportError, code: wsframe.InternalError, cause: err}
	case err == transport.ErrDetached:
		return detached
	case err != nil:
		return &failure{reason: transport.ParseError, code: wsframe.PolicyViolation, cause: err, refused: true}
	}
	return nil
}

// callReceive does what recoverPanic does, but without a closure: it runs for each message.
func (c *conn) callReceive(m transport.Message, panicked *bool) (err error) {
	defer func() {
		if v := recover(); v != nil {
			*panicked, err = true, c.panicError(v)
		}
	}()
	return c.receiver.Receive(m)
}

// recoverPanic calls fn, which calls the application. A panic there ends this connection
// instead of the process.
func (c *conn) recoverPanic(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = c.panicError(v)
		}
	}()
	return fn()
}

func (c *conn) panicError(v any) error {
	c.server.notices.Report(&receiverPanicNotice, "", notice.Panic(v)...)
	return fmt.Errorf("%w: %v", ErrPanic, v)
}

// acquireReceiver waits for receiverSem. It returns false if the connection has ended, and
// the semaphore can never be acquired again.
func (c *conn) acquireReceiver() bool {
	select {
	case c.receiverSem <- struct{}{}:
		return true
	default: // Done allocates its channel, so it is called only if there is a wait
	}
	select {
	case c.receiverSem <- struct{}{}:
		return true
	case <-c.Done():
		return false
	}
}

func (c *conn) releaseReceiver() { <-c.receiverSem }

// wakePoll makes the waiting poll, if there is one, check again.
func (c *conn) wakePoll() {
	if c.wake != nil {
		select {
		case c.wake <- struct{}{}:
		default: // a wake-up is already pending
		}
	}
}
