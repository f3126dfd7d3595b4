package engineio

import (
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Send queues messages. It never waits. If the messages do not fit, because the client reads
// too slowly, it closes the connection.
func (c *conn) Send(f transport.Flags, msgs ...transport.Message) error {
	var small [4]packet // saves an allocation
	packets := small[:0]
	paced := f&transport.Paced != 0
	for i, m := range msgs {
		k := textMessage
		switch {
		case m.Binary:
			k = binaryMessage
		case c.plain:
			k = plainText
		}
		packets = append(packets, packet{kind: k, part: i > 0, paced: paced, data: m.Data})
	}
	if f&transport.Volatile != 0 {
		return c.sendVolatile(packets, msgs)
	}
	counted := !paced && c.out.High()
	if counted {
		c.countBacklog(packets)
	}
	err := c.out.Push(packets...)
	if err != nil && counted {
		c.server.backlog.remove(packets)
	}
	switch err {
	case serial.ErrClosed:
		return transport.ErrClosed
	case serial.ErrFull:
		c.closeSlow(maxBacklogSetting, c.sinceProgress())
		return transport.ErrQueueFull
	}
	c.countSent(msgs)
	c.wakePoll()
	if c.out.High() {
		c.watchProgress()
		if counted && c.server.backlog.exceeded() {
			c.server.shedBacklog()
		}
	}
	return nil
}

// countSent counts messages that were queued.
func (c *conn) countSent(msgs []transport.Message) {
	var size int
	for _, m := range msgs {
		size += len(m.Data)
	}
	c.server.stats.packetsOut.Add(int64(len(msgs)))
	c.server.stats.bytesOut.Add(int64(size))
}

func (c *conn) sendVolatile(packets []packet, msgs []transport.Message) error {
	err := serial.ErrFull
	if c.canSendNow() {
		err = c.out.PushIdle(packets...)
	}
	switch err {
	case nil:
		c.countSent(msgs)
		c.wakePoll()
		return nil
	case serial.ErrClosed:
		return transport.ErrClosed
	}
	return transport.ErrQueueFull
}

// canSendNow reports whether a message would be sent at once if the queue is empty.
func (c *conn) canSendNow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws != nil || c.pollWaiting || c.state.Load() >= closing
}

// Drained returns a channel to wait on while the queue is above its limits.
func (c *conn) Drained() (<-chan struct{}, error) {
	ch, err := c.out.Drained()
	if err != nil {
		return nil, transport.ErrClosed
	}
	if ch != nil {
		c.server.stats.waits.Add(1)
	}
	return ch, nil
}

// A client makes progress when it takes something of its queue: a poll takes packets, or
// the network takes bytes of a WebSocket. On a WebSocket, a write without progress runs into
// its deadline (websocket_writer.go). On polling nothing is being written between two polls,
// so a timer watches the queue while it is above its limits.

// watchProgress starts that timer.
func (c *conn) watchProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watching || c.ws != nil || c.wake == nil || c.state.Load() == closed {
		return
	}
	c.watching, c.watchedSince = true, c.server.now()
	if c.watch == nil {
		c.watch = time.AfterFunc(c.server.pollStallTimeout(), c.checkProgress)
	} else {
		c.watch.Reset(c.server.pollStallTimeout())
	}
}

// checkProgress runs on a goroutine of the time package and does not block.
func (c *conn) checkProgress() {
	limit := c.server.pollStallTimeout()
	c.mu.Lock()
	if c.state.Load() == closed || c.ws != nil || !c.out.High() {
		c.watching = false
		c.mu.Unlock()
		return
	}
	idle := c.server.now() - max(c.polled, c.watchedSince)
	if c.probe != nil { // the client may not poll any more; Timeouts.Upgrade bounds this
		idle = 0
	}
	if idle < limit {
		c.watch.Reset(limit - idle)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	setting := "Config.Timeouts.Write"
	if limit > c.server.cfg.Timeouts.Write {
		setting = "Config.PingTimeout"
	}
	c.closeSlow(setting, idle)
}

// pollStallTimeout is how long a client on polling may take nothing while its queue is above
// the limits. It includes the time in which the client receives the last response, which
// the server does not see. A client that needs longer than PingTimeout for that could not
// answer pings in time either.
func (s *Server) pollStallTimeout() time.Duration {
	return max(s.cfg.Timeouts.Write, s.cfg.PingTimeout)
}

// sinceProgress returns for how long the client has taken nothing. On a WebSocket, it can be
// a quarter of Timeouts.Write too long.
func (c *conn) sinceProgress() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.now() - c.progress()
}

// progress returns when the client last took something, by Server.now. The caller holds mu.
func (c *conn) progress() time.Duration {
	at := c.polled
	if c.ws != nil {
		if t := c.ws.progress(); !t.IsZero() {
			at = max(at, t.Sub(c.server.started))
		}
	}
	return at
}

// closeSlow ends the connection of a client that reads too slowly, at once. setting names
// what it has exceeded.
func (c *conn) closeSlow(setting string, idle time.Duration) {
	l := c.out.Load()
	idle = idle.Round(time.Millisecond)
	if !c.terminate(transport.TransportError, fmt.Errorf("%w: the client took nothing for %v, %d bytes are queued (%s)",
		transport.ErrQueueFull, idle, l.Size, setting)) {
		return
	}
	c.server.stats.slow.Add(1)
	c.server.notices.Report(&slowClientNotice, setting, "setting", setting,
		"queued_bytes", l.Size, "queued_messages", l.Items, "nothing_taken_for", idle, "remote", (*loggedConn)(c))
}
