package engineio

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// upgrade answers the request that opens a WebSocket for a connection on polling. Whether
// the upgrade is allowed is decided once the WebSocket is open: clients understand a
// refusal as a close.
func (s *Server) upgrade(c *fiber.Ctx, conn *conn) error {
	key, err := checkWebSocketRequest(c)
	if err == nil && s.cfg.DisableUpgrades {
		err = ErrBadRequest
	}
	if err != nil {
		return sendError(c, err)
	}
	s.hijack(c, key, conn.serveUpgrade, func() {})
	return nil
}

// serveUpgrade moves a polling connection to a WebSocket, on the reader goroutine. The
// client sends "2probe", the server answers "3probe", the client's poll ends, and the client
// sends "5". From then on the queue is sent, and messages are received, on the WebSocket.
// Until then the connection stays on polling, even if the WebSocket fails.
func (c *conn) serveUpgrade(r *reader) {
	r.conn, r.stall = c, &stall{}
	w := &wsWriter{nc: r.nc, timeout: c.server.cfg.Timeouts.Write}
	if c.limit(1, 0) != nil || !c.startProbe(w) { // the request counts
		c.server.notices.Report(&upgradeFailedNotice, "", "cause", "the connection has moved or ended, or another upgrade is in progress", "remote", (*loggedConn)(c))
		r.closeUpgrade(w, wsframe.PolicyViolation, c.refusedUntil())
		return
	}
	w.setReadDeadline(time.Now().Add(c.server.cfg.Timeouts.Upgrade))
	if !c.awaitUpgrade(w, r) || !c.switchToWebSocket(w, r) {
		cause := "the client or a proxy ended it, or it took too long"
		if c.state.Load() >= closing {
			cause = "the connection was closed meanwhile"
		}
		c.server.notices.Report(&upgradeFailedNotice, "", "cause", cause, "remote", (*loggedConn)(c))
		r.closeUpgrade(w, wsframe.NormalClosure, c.stopProbe())
		return
	}
	c.read(r)
}

// startProbe reserves the upgrade for w. It returns false if another upgrade is in progress
// or if the connection is not on polling.
func (c *conn) startProbe(w *wsWriter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checkOnPolling() != nil || c.probe != nil {
		return false
	}
	c.probe = w
	return true
}

// stopProbe ends the upgrade. It returns how long its WebSocket may take to close. If the
// connection was ended at once, so is the WebSocket.
func (c *conn) stopProbe() (until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probe, c.probeAnswered, c.switching = nil, false, false // terminate does not interrupt it any more
	if c.state.Load() == closed && c.timerTask != giveUpClosing {
		return time.Time{}
	}
	return c.lingerUntil()
}

// refusedUntil returns how long the WebSocket of a refused upgrade may take to close.
func (c *conn) refusedUntil() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lingerUntil()
}

// lingerUntil returns the time by which a WebSocket that does not become the connection's
// transport is to be closed: if the connection is being closed, or was, the time that it has
// itself. A poll that took the close packet can have ended it early. The caller holds mu.
func (c *conn) lingerUntil() time.Time {
	if c.timerTask == giveUpClosing {
		return c.server.started.Add(c.timerDue)
	}
	return time.Now().Add(c.server.cfg.Timeouts.Close)
}

// awaitUpgrade answers the probe. It returns true once the client has sent "5".
func (c *conn) awaitUpgrade(w *wsWriter, r *reader) bool {
	for {
		m, err := r.next()
		if err != nil {
			return false
		}
		switch m.Op {
		case wsframe.Ping:
			if w.write([]packet{{kind: wsPong, data: m.Data}}) != nil {
				return false
			}
			continue
		case wsframe.Pong:
			continue
		case wsframe.Text:
		default:
			return false
		}
		p, err := eiopacket.Decode(m.Data)
		switch {
		case err != nil || p.Binary:
			return false
		case p.Type == eiopacket.Ping && string(p.Data) == "probe":
			c.mu.Lock()
			c.probeAnswered = true // before the client can act on the answer: see poll
			c.wakePoll()
			c.mu.Unlock()
			if w.write([]packet{{kind: probePong}}) != nil {
				return false
			}
		case p.Type == eiopacket.Upgrade:
			return true
		default:
			return false
		}
	}
}

// switchToWebSocket makes the WebSocket the connection's transport once no post is being
// read, and keeps receiverSem. This preserves the order: the receiver has seen every message
// that came by polling before the first one from the WebSocket, and each queued packet has
// either been sent by polling or is still in the queue.
func (c *conn) switchToWebSocket(w *wsWriter, r *reader) bool {
	c.mu.Lock()
	c.switching = true
	c.mu.Unlock()
	if !c.acquireReceiver() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() == closed {
		c.releaseReceiver()
		return false
	}
	c.ws, c.probe, c.probeAnswered, c.switching = w, nil, false, false
	w.setReadDeadline(time.Time{})
	r.stall, r.deadlines = &c.stall, w
	r.stall.start(c.server.now()) // what was read together with the "5" is handled first
	c.startWriting(r)
	c.wakePoll() // a poll that still waits gets a noop
	return true
}
