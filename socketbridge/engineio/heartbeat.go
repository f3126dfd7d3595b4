package engineio

import (
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// timerTask is what a connection's only timer does when it fires.
type timerTask uint8

const (
	giveUpOpening timerTask = iota // the client has not completed the handshake
	sendPing
	giveUpPong    // the client has not answered the ping
	giveUpClosing // the client has not taken the queue and the close packet
)

// setTimer replaces the timer's task. The caller holds mu.
func (c *conn) setTimer(task timerTask, after time.Duration) {
	c.timerTask, c.timerDue = task, c.server.now()+after
	c.timer.Reset(after)
}

// onTimer runs on a goroutine of the time package and does not block.
func (c *conn) onTimer() {
	c.mu.Lock()
	if c.state.Load() == closed || c.server.now() < c.timerDue {
		c.mu.Unlock()
		return
	}
	reason, cause := transport.TransportError, error(nil)
	switch c.timerTask {
	case giveUpOpening:
		cause = errNotOpened
	case sendPing:
		c.ping()
		c.mu.Unlock()
		return
	case giveUpPong:
		if left := c.pongTimeLeft(); left > 0 {
			c.setTimer(giveUpPong, left)
			c.releasePoll = c.pollWaiting // a poll must not wait as long as the receiver does
			c.wakePoll()
			c.mu.Unlock()
			return
		}
		if c.pingQueued.Load() && c.out.High() {
			idle := c.server.now() - max(c.pingSent, c.progress())
			c.mu.Unlock()
			c.closeSlow("Config.PingTimeout", idle) // the ping has not reached it
			return
		}
		reason, cause = transport.PingTimeout, errNoPong
	case giveUpClosing:
		cause = errNotDrained
	}
	c.mu.Unlock()
	c.terminate(reason, cause)
}

// ping queues a ping and starts waiting for the pong. The caller holds mu.
func (c *conn) ping() {
	k := pingPacket
	if c.plain {
		k = wsPing
	}
	c.pingQueued.Store(true) // before the push: the writer can be faster
	_ = c.out.Push(packet{kind: k, paced: true})
	c.pingSent = c.server.now()
	c.stall.reset()
	c.setTimer(giveUpPong, c.server.cfg.PingTimeout)
	c.wakePoll()
}

// pingTaken restarts the wait for the pong if the ping is among the packets that the client
// has just taken: it may have been queued behind much else. The caller holds mu.
func (c *conn) pingTaken(batch []packet) {
	for i := range batch {
		if k := batch[i].kind; k == pingPacket || k == wsPing {
			c.pingQueued.Store(false)
			c.pingSent = c.server.now()
			c.stall.reset()
			return
		}
	}
}

// pongReceived schedules the next ping. A pong that answers no ping is ignored.
func (c *conn) pongReceived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() == open && c.timerTask == giveUpPong {
		c.setTimer(sendPing, c.server.cfg.PingInterval)
	}
}

// pongTimeLeft returns how long the client still has to answer the ping. The time during
// which the receiver kept the server from reading does not count, nor does the time in which
// the client takes what was queued before the ping. The caller holds mu.
func (c *conn) pongTimeLeft() time.Duration {
	stalled, now := c.stall.total()
	if now {
		return c.server.cfg.PingTimeout
	}
	from := c.pingSent
	if c.pingQueued.Load() {
		from = max(from, c.progress())
	}
	return from + c.server.cfg.PingTimeout + stalled - c.server.now()
}

// stall measures the time that the reader spends handling messages instead of reading.
type stall struct {
	since atomic.Int64 // when the reader stopped reading, by Server.now; 0 while it reads
	sum   atomic.Int64
}

// start and stop are called by the reader, which is one goroutine at a time.
func (s *stall) start(now time.Duration) { s.since.Store(max(1, int64(now))) }

func (s *stall) stop(now time.Duration) {
	if since := s.since.Swap(0); since != 0 {
		s.sum.Add(int64(now) - since)
	}
}

// reset starts a new measurement. A stall in progress counts in full, which favors the
// client.
func (s *stall) reset() { s.sum.Store(0) }

// total returns the time since reset, and whether the reader is stalled now.
func (s *stall) total() (time.Duration, bool) {
	return time.Duration(s.sum.Load()), s.since.Load() != 0
}
