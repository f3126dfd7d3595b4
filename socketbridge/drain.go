package socketbridge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Drain determines the pace at which Shutdown sends clients to other nodes. The zero value
// closes all connections at once.
//
// A client whose connection is closed reconnects by itself: the official client after 0.5 to
// 1.5 s. Without a pace, all clients of a node reconnect in the same second, and each of them
// costs the other nodes a handshake and a load of its session. See docs/deploys.md.
type Drain struct {
	// Delay is the time between the call of Shutdown and the first close. Ready fails from the
	// beginning, so that load balancers send new clients elsewhere, and everything else goes on:
	// the node still accepts connections, because a load balancer that has not noticed yet would
	// show its clients an error. Make it longer than the load balancer needs: its interval of
	// checks times the number of failed ones, and on Kubernetes 5 s.
	//
	// Optional. Default: 0, no delay
	Delay time.Duration

	// Rate is how many connections Shutdown closes per second, after Delay. Meanwhile new
	// connections are refused with 503, and the others work as before: each is closed when
	// its turn has come and all events that it has sent are handled and answered.
	//
	// If the context of Shutdown ends too early for Delay and Rate, both are adapted: all
	// connections are sent away within three quarters of the time, evenly, and Delay keeps at least
	// a third of that. The log says so.
	//
	// Optional. Default: 0, all connections at once
	Rate int
}

// drain is the first part of a shutdown.
type drain struct {
	begun    atomic.Bool
	refusing atomic.Bool   // new connections are refused
	done     chan struct{} // closed when the drain is over
	stop     serial.Signal // fired when the rest of Shutdown begins
}

// drainClients sends the clients away at the pace of Config.Drain. It returns when none is
// left, when ctx ends, or when another call of Shutdown has gone on because its context has ended.
// Only the first call does something; the others wait for it.
func (s *Server) drainClients(ctx context.Context) {
	if s.drain.begun.Swap(true) {
		select {
		case <-s.drain.done:
		case <-ctx.Done():
		}
		return
	}
	defer close(s.drain.done)
	cfg := s.cfg.Drain
	if cfg.Delay == 0 && cfg.Rate == 0 {
		return
	}
	plan := drainPlan{begun: time.Now(), delay: cfg.Delay}
	if cfg.Rate > 0 {
		plan.interval = time.Second / time.Duration(cfg.Rate)
	}
	plan.deadline, plan.bounded = ctx.Deadline()
	n := s.clientCount()
	s.notices.Report(&drainingNotice, "", "connections", n, "delay", cfg.Delay, "rate", cfg.Rate)
	hurried := plan.fitDelay(n)
	if !s.drain.sleep(ctx, time.Until(plan.begun.Add(plan.delay))) {
		return
	}
	s.drain.refusing.Store(true)
	s.engine.RefuseConnections()
	n = s.clientCount() // some came and went during the delay
	if plan.fitInterval(n) || hurried {
		s.notices.Report(&drainHurriedNotice, "", "connections", n, "delay", plan.delay, "interval", plan.interval)
	}
	if cfg.Rate == 0 {
		return
	}
	ctx, cancel := plan.context(ctx)
	defer cancel()
	s.sendAway(ctx, plan.interval)
}

// sendAway closes all connections, one per interval. A connection that was being opened when new
// ones began to be refused is found in a later round.
func (s *Server) sendAway(ctx context.Context, interval time.Duration) {
	slots := &drainSlots{drain: &s.drain, ctx: ctx, interval: interval}
	next := time.Now()
	for round := s.allClients(); len(round) > 0; round = s.allClients() {
		for _, c := range round {
			if !s.drain.sleep(ctx, time.Until(next)) {
				return
			}
			next = time.Now().Add(interval)
			s.running.Add()
			go func() { // Shutdown waits for it
				defer s.running.Done()
				c.sendAway(slots)
			}()
		}
		for _, c := range round { // those that handle an event take longer
			select {
			case <-c.conn.Done():
			case <-ctx.Done():
				return
			case <-s.drain.stop.Done():
				return
			}
		}
	}
}

// sendAway closes the connection once its events are handled and answered, and it has a slot.
func (c *client) sendAway(slots *drainSlots) {
	if !c.finishEvents(slots) || !slots.wait() {
		return
	}
	// Those that have arrived meanwhile are finished too, and further ones are dropped: the
	// client sees the end of the connection, as for those on their way.
	began := time.Now()
	c.leaving.Store(true)
	if !c.finishEvents(slots) {
		return
	}
	if time.Since(began) > slots.interval && !slots.wait() { // others may have used the time
		return
	}
	c.conn.Close(transport.ShuttingDown)
}

// finishEvents waits until the events that the client's sockets have received are handled and
// answered. It returns false if the drain ends first.
func (c *client) finishEvents(slots *drainSlots) bool {
	for _, s := range c.allSockets() {
		handled := make(chan struct{})
		s.inbox.pushStep(func() { close(handled) }) // behind them
		select {
		case <-handled:
		case <-slots.ctx.Done():
			return false
		case <-slots.drain.stop.Done():
			return false
		}
	}
	return true
}

// drainSlots are the times at which connections may be closed: at most one per interval,
// in whichever order they become ready.
type drainSlots struct {
	drain    *drain
	ctx      context.Context
	interval time.Duration

	mu   sync.Mutex
	next time.Time
}

// wait waits for the next free slot. It returns false if the drain ends first.
func (d *drainSlots) wait() bool {
	d.mu.Lock()
	now := time.Now()
	slot := d.next
	if slot.Before(now) {
		slot = now
	}
	d.next = slot.Add(d.interval)
	d.mu.Unlock()
	return d.drain.sleep(d.ctx, slot.Sub(now))
}

// sleep waits for d. It returns false if the drain ends first.
func (r *drain) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		select {
		case <-r.stop.Done():
			return false
		default:
			return ctx.Err() == nil
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-r.stop.Done():
		return false
	}
}

// drainPlan adapts delay and interval to the time that Shutdown has.
type drainPlan struct {
	begun    time.Time
	delay    time.Duration
	interval time.Duration
	deadline time.Time
	bounded  bool // deadline is set
}

// budget returns how much of the time of Shutdown the drain may take. The rest is for handlers
// that are still running, and for the other parts of Shutdown.
func (p *drainPlan) budget() time.Duration { return max(0, p.deadline.Sub(p.begun)*3/4) }

// fitDelay shortens the delay if n connections need the time. It reports whether it did.
func (p *drainPlan) fitDelay(n int) bool {
	if !p.bounded {
		return false
	}
	longest := max(p.budget()/3, p.budget()-time.Duration(n)*p.interval)
	if p.delay <= longest {
		return false
	}
	p.delay = longest
	return true
}

// fitInterval shortens the interval if n connections do not fit into the rest of the time. It
// reports whether it did.
func (p *drainPlan) fitInterval(n int) bool {
	if !p.bounded || n == 0 {
		return false
	}
	longest := max(0, p.budget()-time.Since(p.begun)) / time.Duration(n)
	if p.interval <= longest {
		return false
	}
	p.interval = longest
	return true
}

// context returns a context that ends when the budget is used up.
func (p *drainPlan) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if !p.bounded {
		return context.WithCancel(ctx)
	}
	// Connections are closed until the end of the budget; the last one may take a moment more.
	return context.WithDeadline(ctx, p.begun.Add(p.budget()+p.deadline.Sub(p.begun)/8))
}
