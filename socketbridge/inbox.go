package socketbridge

import (
	"errors"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
)

// inbox runs the events and life steps of one socket in order. The goroutine that reads from the
// client runs an event if the socket is idle (inbox_inline.go). All else is queued for worker
// goroutines, which live only while there is work. Up to width events run at the same time; a
// step runs alone. newSocket sets the first three fields.
type inbox struct {
	socket *Socket
	width  int // see Config.Concurrency
	limit  int // of events in queue

	mu        sync.Mutex
	queue     []task
	running   *Packet // the first of the events that are being handled; see handler_watch.go
	workers   int
	exclusive bool          // a step is running: no other task may start
	space     chan struct{} // closed when the queue has room again; nil without a waiter
	closed    bool          // pushEvent is refused
	detached  uint8         // events that claim leaves to a worker
}

// task is an event to handle or a step of the socket's life. Exactly one field is set.
type task struct {
	packet *Packet
	step   func()
}

// pushEvent handles an event, or queues it. If the inbox is full, or the client's events take
// too much memory (eventQuota), it blocks until there is room, or the inbox or the client is
// closed. It returns errNotQueued if the event is dropped, and otherwise what Receive returns.
func (b *inbox) pushEvent(p *Packet) error {
	c := b.socket.client
	if !c.events.acquire(b.socket, p.size) {
		return errNotQueued
	}
	if b.claim(p) {
		return b.runInline(p)
	}
	if !b.pushCounted(p, c) {
		c.events.drop(c.server, p.size)
		return errNotQueued
	}
	return nil
}

var errNotQueued = errors.New("socketbridge: the event was not queued")

func (b *inbox) pushCounted(p *Packet, c *client) bool {
	b.mu.Lock()
	for last := false; len(b.queue) >= b.limit && !b.closed && !last; {
		if b.space == nil {
			b.space = make(chan struct{})
		}
		space := b.space
		b.mu.Unlock()
		b.socket.report(&inboxFullNotice, "events", "waiting", "Config.Limits.MaxInbox events of this socket")
		c.detach()
		select {
		case <-space:
		case <-c.broken.Done():
			last = true // nothing follows it
		case <-c.stop.Done():
			return false
		}
		b.mu.Lock()
	}
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.push(task{packet: p})
	b.mu.Unlock()
	return true
}

// pushStep queues a step of the socket's life behind all queued tasks. Neither limit nor
// close applies to steps.
func (b *inbox) pushStep(fn func()) {
	b.mu.Lock()
	b.push(task{step: fn})
	b.mu.Unlock()
}

// close refuses further events. With discard, it also drops the events in the queue.
func (b *inbox) close(discard bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if discard {
		kept := b.queue[:0]
		for _, t := range b.queue {
			if t.step != nil {
				kept = append(kept, t)
			} else {
				b.socket.client.events.drop(b.socket.server(), t.packet.size)
			}
		}
		clear(b.queue[len(kept):])
		b.queue = kept
	}
	b.signalSpace()
}

// push queues t and starts a worker if one is needed. b.mu must be held.
func (b *inbox) push(t task) {
	b.queue = append(b.queue, t)
	if b.workers < b.width && !b.exclusive {
		b.startWorker()
	}
}

// startWorker starts a worker goroutine. b.mu must be held.
func (b *inbox) startWorker() {
	b.workers++
	b.socket.server().running.Add()
	go b.work(nil) // ends when the queue is empty; Server.Shutdown waits for it
}

// work runs tasks until there is none left that this worker may start. done is the event that
// the worker has handled before, or nil. If a handler ends the goroutine (runtime.Goexit),
// another one goes on.
func (b *inbox) work(done *Packet) {
	serial.GrowStack(false)
	returned := false
	defer func() {
		if !returned {
			go b.work(done)
		}
	}()
	for t, ok := b.next(done); ok; t, ok = b.next(t.packet) {
		done = t.packet
		b.run(t)
	}
	returned = true
	b.socket.server().running.Done()
}

// next takes the next task that this worker may start, after the event done, which may be nil.
// It returns false if the worker has to end.
func (b *inbox) next(done *Packet) (task, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handled(done)
	// The last worker to end runs a step.
	if len(b.queue) == 0 || b.exclusive || b.queue[0].step != nil && b.workers > 1 {
		b.workers--
		return task{}, false
	}
	t := b.queue[0]
	b.queue[0] = task{}
	if b.queue = b.queue[1:]; len(b.queue) == 0 {
		b.queue = nil // an idle socket keeps no buffer
	}
	b.signalSpace()
	b.exclusive = t.step != nil
	if p := t.packet; p != nil {
		p.nextRunning, b.running = b.running, p
	}
	return t, true
}

// run runs a task. What is deferred is done even if a handler ends the goroutine.
func (b *inbox) run(t task) {
	if t.step != nil {
		defer b.stepDone()
		t.step()
		return
	}
	quota := &b.socket.client.events
	quota.begin()
	defer quota.end(b.socket.server(), t.packet.size)
	b.socket.handle(t.packet)
}

// stepDone lets other tasks start again.
func (b *inbox) stepDone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.exclusive = false
	for b.workers < min(b.width, len(b.queue)) {
		b.startWorker()
	}
}

// signalSpace wakes all blocked calls of pushEvent if the queue has room or is closed.
// b.mu must be held.
func (b *inbox) signalSpace() {
	if b.space != nil && (len(b.queue) < b.limit || b.closed) {
		close(b.space)
		b.space = nil
	}
}
