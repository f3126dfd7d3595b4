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
	r.conn = c
	w := &wsWriter{nc: r.nc, timeout: c.server.cfg.Timeouts.Write}
	if c.limit(1, 0) != nil || !c.startProbe(w) { // the request counts
		c.server.notices.Report(&upgradeFailedNotice, "", "cause", "the connection has moved or ended, or another upgrade is in progress", "remote", (*loggedConn)(c))
		_ = w.write([]packet{{kind: closePacket, code: wsframe.PolicyViolation}})
		r.close()
		return
	}
	w.setReadDeadline(time.Now().Add(c.server.cfg.Timeouts.Upgrade))
	r.stall = &stall{}
	if !c.awaitUpgrade(w, r) || !c.switchToWebSocket(w, r) {
		c.server.notices.Report(&upgradeFailedNotice, "", "cause", "the client or a proxy ended it, or it took too long", "remote", (*loggedConn)(c))
		c.stopProbe()
		_ = w.write([]packet{{kind: closePacket, code: wsframe.NormalClosure}})
		r.close()
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

func (c *conn) stopProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probe, c.probeAnswered, c.switching = nil, false, false
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
