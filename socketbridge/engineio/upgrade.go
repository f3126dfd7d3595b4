package engineio

import (
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// serveUpgrade moves a polling connection to a WebSocket, on the reading goroutine:
// the client asks ("2probe"), is answered ("3probe"), lets its poll end, and says
// "5". From then on all that is queued, and all that comes, goes this way. Until
// then the connection lives on polling, whatever becomes of the WebSocket.
func (c *conn) serveUpgrade(r *reader) {
	w := &wsWriter{nc: r.nc, timeout: c.server.cfg.Timeouts.Write}
	if !c.beginProbe(w) {
		_ = w.write([]packet{{kind: goodbye, code: wsframe.PolicyViolation}})
		r.close()
		return
	}
	w.setReadDeadline(time.Now().Add(c.server.cfg.Timeouts.Upgrade))
	r.stall = &stall{}
	if !c.awaitUpgrade(w, r) || !c.takeOver(w, r) {
		c.endProbe()
		_ = w.write([]packet{{kind: goodbye, code: wsframe.NormalClosure}})
		r.close()
		return
	}
	c.read(r)
}

// beginProbe reserves the upgrade: there is one at a time, and one that succeeds.
func (c *conn) beginProbe(w *wsWriter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mayPoll() != nil || c.probe != nil {
		return false
	}
	c.probe = w
	return true
}

func (c *conn) endProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probe, c.probed, c.switching = nil, false, false
}

// awaitUpgrade answers the probe and returns true when the client has said "5".
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
			if w.write([]packet{{kind: probePong}}) != nil {
				return false
			}
			c.mu.Lock()
			c.probed = true
			c.wakePoll()
			c.mu.Unlock()
		case p.Type == eiopacket.Upgrade:
			return true
		default:
			return false
		}
	}
}

// takeOver makes the WebSocket the carrier when no post is being read any more, and
// keeps the turn. Then what came by polling was given to the core before what
// comes now, and what was queued was sent there or will be sent here.
func (c *conn) takeOver(w *wsWriter, r *reader) bool {
	c.mu.Lock()
	c.switching = true
	c.mu.Unlock()
	if !c.takeTurn() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() == closed {
		<-c.turn
		return false
	}
	c.ws, c.probe, c.probed, c.switching = w, nil, false, false
	w.setReadDeadline(time.Time{})
	r.stall = &c.stall
	r.stall.enter(c.server.now()) // what was read with the "5" is handled first
	c.out.Start(c.write)
	c.wakePoll() // a poll that still waits has nothing to wait for
	return true
}
