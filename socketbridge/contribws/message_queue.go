package contribws

import (
	"bytes"
	"sync"
)

// messageQueue holds a client's messages until the app's listeners have handled them, one
// after the other. Its worker goroutine runs only while there is work.
type messageQueue struct {
	handle   func(data []byte) // passes one message to the listeners
	maxItems int
	maxBytes int

	mu      sync.Mutex
	notFull *sync.Cond // also signaled when the queue is closed
	waiting [][]byte
	bytes   int    // the size of waiting
	last    func() // runs after all waiting messages
	started bool
	working bool
	closed  bool // refuses new messages
}

func newMessageQueue(maxItems, maxBytes int, handle func([]byte)) *messageQueue {
	q := &messageQueue{handle: handle, maxItems: maxItems, maxBytes: maxBytes}
	q.notFull = sync.NewCond(&q.mu)
	return q
}

// enqueue queues a copy of a message. It blocks while the queue is full.
func (q *messageQueue) enqueue(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.full(len(data)) {
		q.notFull.Wait()
	}
	if q.closed {
		return
	}
	q.waiting = append(q.waiting, bytes.Clone(data))
	q.bytes += len(data)
	q.startWorker()
}

// full reports whether the queue has no room for n bytes. An empty queue has room for any
// message, whose size the transport bounds. The caller holds mu.
func (q *messageQueue) full(n int) bool {
	return len(q.waiting) >= q.maxItems || len(q.waiting) > 0 && q.bytes+n > q.maxBytes
}

// start lets the worker run. Until then, messages only wait.
func (q *messageQueue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.started = true
	q.startWorker()
}

// discard drops the waiting messages and refuses new ones.
func (q *messageQueue) discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waiting, q.bytes = true, nil, 0
	q.notFull.Broadcast()
}

// close refuses new messages. last runs after the waiting ones have been handled.
func (q *messageQueue) close(last func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.last = true, last
	q.notFull.Broadcast()
	q.startWorker()
}

// startWorker starts the worker if there is work. The caller holds mu.
func (q *messageQueue) startWorker() {
	if q.started && !q.working && (len(q.waiting) > 0 || q.last != nil) {
		q.working = true
		go q.work() // library.waitForEnd waits for the effect of last
	}
}

func (q *messageQueue) work() {
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
			q.notFull.Broadcast()
			q.mu.Unlock()
			q.handle(data)
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
