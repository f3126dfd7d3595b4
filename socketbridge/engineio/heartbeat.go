package engineio

import (
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// duty is what a connection's one timer is set for.
type duty uint8

const (
	dutyOpen  duty = iota // give up: the connection did not come about
	dutyPing              // send a ping
	dutyPong              // give up: no pong has come
	dutyClose             // give up: the goodbye was not taken
)

// arm sets the timer for a duty. The lock is held.
func (c *conn) arm(d duty, after time.Duration) {
	c.duty, c.due = d, c.server.now()+after
	c.timer.Reset(after)
}

// onTimer runs on a goroutine of the time package and does not block.
func (c *conn) onTimer() {
	c.mu.Lock()
	if c.state.Load() == closed || c.server.now() < c.due {
		c.mu.Unlock()
		return
	}
	reason, cause := transport.TransportError, error(nil)
	switch c.duty {
	case dutyOpen:
		cause = errNotCarried
	case dutyPing:
		if cause = c.ping(); cause == nil {
			c.mu.Unlock()
			return
		}
	case dutyPong:
		if left := c.pongDue(); left > 0 {
			c.arm(dutyPong, left)
			c.release = c.polling // a poll must not wait as long as the core does
			c.wakePoll()
			c.mu.Unlock()
			return
		}
		reason, cause = transport.PingTimeout, errNoPong
	case dutyClose:
		cause = errNotDrained
	}
	c.mu.Unlock()
	c.end(reason, cause)
}

// ping queues a ping and waits for the answer. The lock is held.
func (c *conn) ping() error {
	k := pingPacket
	if c.plain {
		k = wsPing
	}
	if err := c.out.Push(packet{kind: k}); err != nil {
		return transport.ErrQueueFull
	}
	c.pinged = c.server.now()
	c.stall.reset()
	c.arm(dutyPong, c.server.cfg.PingTimeout)
	c.wakePoll()
	return nil
}

// pong takes the answer to a ping. One that was not asked for changes nothing.
func (c *conn) pong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() == open && c.duty == dutyPong {
		c.arm(dutyPing, c.server.cfg.PingInterval)
	}
}

// pongDue returns how long the client still has to answer: the time in which its
// bytes were not read, because the core held them back, is given back to it. The
// lock is held.
func (c *conn) pongDue() time.Duration {
	stalled, now := c.stall.total()
	if now {
		return c.server.cfg.PingTimeout
	}
	return c.pinged + c.server.cfg.PingTimeout + stalled - c.server.now()
}

// stall measures the time that the reading goroutine spends in the core.
type stall struct {
	since atomic.Int64 // when the reader entered the core, by Server.now; 0: it has not
	sum   atomic.Int64
}

// enter and leave are called by the reading goroutine only, which is one at a time.
func (s *stall) enter(now time.Duration) { s.since.Store(max(1, int64(now))) }

func (s *stall) leave(now time.Duration) {
	if since := s.since.Swap(0); since != 0 {
		s.sum.Add(int64(now) - since)
	}
}

// reset begins a new measurement. What the reader is spending at this moment is
// counted in full, which is to the client's favour.
func (s *stall) reset() { s.sum.Store(0) }

// total returns the time since reset, and whether the reader is in the core now.
func (s *stall) total() (time.Duration, bool) {
	return time.Duration(s.sum.Load()), s.since.Load() != 0
}
