package socketbridge

import (
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

const (
	// maxClientAuth bounds the auth of one client's sockets, in bytes. Each socket keeps its
	// own until it has ended. One may have 16 KiB: see siopacket.Limits.
	maxClientAuth = 128 << 10
	// maxRefusals is how many CONNECTs of a client may be refused in a minute, twice as many
	// as it can be in namespaces. The packet is small, and refusing it can cost a load of the
	// session and the app's middlewares.
	maxRefusals = 2 * maxNamespaces
)

// connectRefusals counts the refused CONNECTs of one client in the current minute.
type connectRefusals struct {
	since time.Time
	n     int
}

// countRefusal closes the connection of a client whose CONNECTs are refused too often.
func (c *client) countRefusal() {
	now := time.Now()
	c.mu.Lock()
	if c.refusals == nil || now.Sub(c.refusals.since) >= time.Minute {
		c.refusals = &connectRefusals{since: now}
	}
	c.refusals.n++
	over := c.refusals.n == maxRefusals+1
	c.mu.Unlock()
	if over {
		c.report(&connectFloodNotice, "", "limit", maxRefusals)
		c.conn.Close(transport.ForcedClose)
	}
}
