package contribws

import (
	"bytes"
	"sync"
)

// queue holds what a client sent until the app's listeners have heard it, one
// message after the other. Its goroutine lives only while there is something to do.
type queue struct {
	fire     func(data []byte) // gives one message to the listeners
	maxItems int
	maxBytes int

	mu      sync.Mutex
	room    *sync.Cond // there is room, or nobody needs it any more
	waiting [][]byte
	bytes   int
	last    func() // what is to be done after what waits
	started bool
	working bool
	closed  bool // no more is taken
}

func newQueue(maxItems, maxBytes int, fire func([]byte)) *queue {
	q := &queue{fire: fire, maxItems: maxItems, maxBytes: maxBytes}
	q.room = sync.NewCond(&q.mu)
	return q
}

// put queues a copy of a message. It waits while too much waits already.
func (q *queue) put(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.full(len(data)) {
		q.room.Wait()
	}
	if q.closed {
		return
	}
	q.waiting = append(q.waiting, bytes.Clone(data))
	q.bytes += len(data)
	q.hire()
}

// full tells whether there is no room for n bytes. An empty queue has room for any
// message: the transport bounds its size. The caller holds the lock.
func (q *queue) full(n int) bool {
	return len(q.waiting) >= q.maxItems || len(q.waiting) > 0 && q.bytes+n > q.maxBytes
}

// start begins with what waits.
func (q *queue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.started = true
	q.hire()
}

// drop forgets what waits, and takes no more.
func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waiting, q.bytes = true, nil, 0
	q.room.Broadcast()
}

// end takes no more, and calls last after what waits.
func (q *queue) end(last func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.last = true, last
	q.room.Broadcast()
	q.hire()
}

// hire starts the worker if there is work. The caller holds the lock.
func (q *queue) hire() {
	if q.started && !q.working && (len(q.waiting) > 0 || q.last != nil) {
		q.working = true
		go q.work() // library.wait waits for what it does last
	}
}

func (q *queue) work() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case len(q.waiting) > 0:
			data := q.waiting[0]
			q.waiting[0] = nil
			if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
				q.waiting = nil // an idle connection keeps no buffer
			}
			q.bytes -= len(data)
			q.room.Broadcast()
			q.mu.Unlock()
			q.fire(data)
			q.mu.Lock()
		case q.last != nil:
			last := q.last
			q.last = nil
			q.mu.Unlock()
			last()
			q.mu.Lock()
		default:
			q.working = false
			return
		}
	}
}
