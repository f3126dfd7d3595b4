package socketbridge

import (
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
)

// inbox runs the work of one socket in order, on goroutines that live only while
// there is work: one, or up to width for events. Its zero value is not ready: see
// init.
type inbox struct {
	socket *Socket
	width  int
	limit  int

	mu      sync.Mutex
	queue   []work
	workers int
	alone   bool          // a worker runs a func: nothing else may run beside it
	room    chan struct{} // closed when space was made; nil when nobody waits
	closed  bool          // no more events
}

// work is an event to handle, or a step of the socket's life, which runs alone.
type work struct {
	packet *Packet
	step   func()
}

// push adds an event. When the inbox is full it waits until there is room or stop
// is fired. It reports whether the event was taken.
func (b *inbox) push(p *Packet, stop *serial.Signal) bool {
	b.mu.Lock()
	for len(b.queue) >= b.limit && !b.closed {
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		b.mu.Unlock()
		select {
		case <-room:
		case <-stop.Done():
			return false
		}
		b.mu.Lock()
	}
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.add(work{packet: p})
	b.mu.Unlock()
	return true
}

// step adds a step of the socket's life after all that is queued. It is taken
// whether there is room or not.
func (b *inbox) step(fn func()) {
	b.mu.Lock()
	b.add(work{step: fn})
	b.mu.Unlock()
}

// close refuses further events; with discard, those that wait are dropped.
func (b *inbox) close(discard bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if discard {
		kept := b.queue[:0]
		for _, w := range b.queue {
			if w.step != nil {
				kept = append(kept, w)
			}
		}
		clear(b.queue[len(kept):])
		b.queue = kept
	}
	b.wake()
}

// add queues w and sees that somebody works. The caller holds the lock.
func (b *inbox) add(w work) {
	b.queue = append(b.queue, w)
	if b.workers < b.width && !b.alone {
		b.hire()
	}
}

// hire starts a worker. The caller holds the lock.
func (b *inbox) hire() {
	b.workers++
	b.socket.server().running.Add()
	go func() { // ends when the queue is empty; Server.Shutdown waits for it
		growStack(false)
		b.work()
	}()
}

// work is a worker: it takes one thing after the other until nothing is left that
// it may take.
func (b *inbox) work() {
	defer b.socket.server().running.Done()
	b.mu.Lock()
	for {
		if len(b.queue) == 0 || b.alone {
			break
		}
		w := b.queue[0]
		if w.step != nil && b.workers > 1 {
			break // the last worker to end runs the step
		}
		b.queue[0] = work{}
		if b.queue = b.queue[1:]; len(b.queue) == 0 {
			b.queue = nil // an idle socket keeps no buffer
		}
		b.wake()
		b.alone = w.step != nil
		b.mu.Unlock()
		if w.step != nil {
			w.step()
		} else {
			b.socket.handle(w.packet)
		}
		b.mu.Lock()
		if b.alone {
			b.alone = false
			for b.workers < min(b.width, len(b.queue)) {
				b.hire()
			}
		}
	}
	b.workers--
	b.mu.Unlock()
}

// wake tells those who wait for room. The caller holds the lock.
func (b *inbox) wake() {
	if b.room != nil && (len(b.queue) < b.limit || b.closed) {
		close(b.room)
		b.room = nil
	}
}

// frame is the stack that an event with a session needs.
type frame [6 << 10]byte

// growStack gives a new goroutine that much stack. Left to itself it would be moved to
// a larger one in the middle of the event, with all the frames that are there by then:
// an eighth of what an event costs. The size of its own frame does it, so never is
// false: then nothing is cleared.
//
//go:noinline
func growStack(never bool) {
	if never {
		var f frame
		keepFrame(&f)
	}
}

//go:noinline
func keepFrame(*frame) {}
