package bridgetest

import (
	"encoding/json"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// receive handles a packet of the server. It runs on the connection's worker.
func (c *Client) receive(p siopacket.Packet) {
	switch p.Type {
	case siopacket.Connect:
		var hello struct{ SID, PID string }
		if err := json.Unmarshal(p.Data, &hello); err != nil {
			c.t.Errorf("bridgetest: the server confirmed the CONNECT with %s: %v", p.Data, err)
		}
		c.update(func() {
			c.sid = hello.SID
			c.recovered = c.pid != "" && c.pid == hello.PID
			if c.pid = hello.PID; !c.recovered {
				c.offset = ""
			}
		})
	case siopacket.ConnectError:
		refusal := refusalOf(p.Data)
		c.update(func() { c.refusal, c.ended = refusal, true })
	case siopacket.Disconnect:
		c.end(false)
	case siopacket.Ack:
		c.update(func() {
			if r := c.replies[p.ID]; r != nil {
				r.answered, r.args, r.attachments = true, p.AppendArgs(nil), p.Attachments
			}
		})
	case siopacket.Event:
		c.receiveEvent(p)
	}
}

// receiveEvent passes an event to the function of On, or keeps it.
func (c *Client) receiveEvent(p siopacket.Packet) {
	e := &Event{Name: string(p.Name), client: c, id: p.ID, asked: p.HasID}
	e.args, e.attachments = p.AppendArgs(nil), p.Attachments
	c.mu.Lock()
	fn := c.on[e.Name]
	c.mu.Unlock()
	if fn != nil {
		fn(e)
	}
	c.update(func() {
		if fn == nil {
			c.events = append(c.events, e)
		}
		if c.pid == "" || len(e.args) == 0 {
			return
		}
		// As in the official client, a last argument that is a string may be the event's offset.
		var offset string
		if json.Unmarshal(e.args[len(e.args)-1], &offset) == nil {
			c.offset = offset
		}
	})
}

// end ends the client. reconnects says that the connection was lost.
func (c *Client) end(reconnects bool) {
	c.update(func() {
		if !c.ended {
			c.ended, c.reconnects = true, reconnects
		}
	})
}

// handled records what the server did with an event. c.mu is held.
func (c *Client) handled(id uint64, asked bool, err error) {
	if err != nil {
		c.errs = append(c.errs, err)
	}
	if r := c.replies[id]; asked && r != nil {
		r.handled, r.err = true, err
	}
}
