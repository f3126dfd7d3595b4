package socketbridge

import "github.com/fiberbridge/fiberbridge/socketbridge/transport"

// An event of an idle socket is handled on the goroutine that reads from the client, if the
// transport can lend it (transport.Lender). This saves two changes of goroutines for each event.
// If the handler takes long, another goroutine reads on, and this one goes on as a worker.

// workersAfterDetach is the number of events that a worker handles after a handler has taken
// long. Its next events probably take long, too.
const workersAfterDetach = 16

// claim makes the calling goroutine the socket's worker, for p. It returns false if it must not
// handle p: because something else of the socket runs or waits, because events run at the same
// time, or because the last ones took long.
func (b *inbox) claim(p *Packet) bool {
	if b.socket.client.lender == nil || b.width > 1 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.workers > 0 || b.exclusive || len(b.queue) > 0 || b.closed {
		return false
	}
	if b.detached > 0 {
		b.detached--
		return false
	}
	b.workers, b.running = 1, p
	return true
}

// runInline handles a claimed event on the reader goroutine. It returns what Receive returns.
func (b *inbox) runInline(p *Packet) error {
	lender := b.socket.client.lender
	b.socket.server().running.Add()
	loan := lender.Lend()
	if loan == 0 {
		b.unclaim(p)
		return nil
	}
	returned := false
	defer func() {
		if !returned { // the handler has ended the goroutine (runtime.Goexit)
			lender.Detach()
			go b.work(p) // Server.Shutdown waits for it
		}
	}()
	b.run(task{packet: p})
	returned = true
	if lender.Return(loan) {
		b.endInline(p)
		return nil
	}
	b.mu.Lock()
	b.detached = workersAfterDetach
	b.mu.Unlock()
	b.work(p)
	return transport.ErrDetached
}

// unclaim leaves a claimed event to a worker.
func (b *inbox) unclaim(p *Packet) {
	b.mu.Lock()
	b.handled(p)
	b.queue = append([]task{{packet: p}}, b.queue...)
	b.mu.Unlock()
	go b.work(nil) // Server.Shutdown waits for it
}

// endInline leaves what was queued during a claimed event to a worker.
func (b *inbox) endInline(p *Packet) {
	b.mu.Lock()
	b.handled(p)
	idle := len(b.queue) == 0
	if idle {
		b.workers = 0
	}
	b.mu.Unlock()
	if !idle {
		go b.work(nil) // Server.Shutdown waits for it
		return
	}
	b.socket.server().running.Done()
}

// detach is called before the calling goroutine waits for something that the client sends or
// takes: if it is the client's reader, another goroutine reads on.
func (c *client) detach() {
	if c.lender != nil {
		c.lender.Detach()
	}
}

// lenderOf returns the transport's connection if it is a Lender, and nil otherwise.
func lenderOf(conn transport.Conn) transport.Lender {
	if plain, ok := conn.(*plainConn); ok {
		conn = plain.Conn
	}
	lender, _ := conn.(transport.Lender)
	return lender
}
