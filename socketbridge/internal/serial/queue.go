package serial

import (
	"errors"
	"sync"
)

var (
	// ErrFull says that a limit would be passed; nothing was queued.
	ErrFull = errors.New("serial: queue is full")
	// ErrClosed says that the queue was sealed or closed; nothing was queued.
	ErrClosed = errors.New("serial: queue is closed")
)

// keep is the largest capacity that an idle queue holds on to.
const keep = 16

// Queue is a bounded first-in-first-out queue. Until Start it only holds items,
// for Take; from Start on a worker takes them. The zero value works and has no
// limits. The exported fields must not change once the queue is in use. All
// methods are safe for concurrent use.
type Queue[T any] struct {
	// MaxItems bounds the number of items that wait or are in work. 0: no limit.
	MaxItems int
	// MaxSize bounds the sum of their sizes, but for one Push when there is nothing
	// else: what is too large for an empty queue could never be sent. 0: no limit.
	MaxSize int
	// Size returns the size of an item. It must give the same answer each time,
	// and must not call the queue. Nil: every size is 0.
	Size func(T) int

	mu      sync.Mutex
	items   []T
	spare   []T // the last batch's memory, for the next one
	count   int // of items, and of the batch in work
	size    int
	work    func([]T)
	working bool
	sealed  bool          // no more pushes
	idle    chan struct{} // closed when the worker ends; nil when nobody waits
}

// Push queues items together, after all that was queued before: all of them, or
// none and ErrFull or ErrClosed. It never blocks.
func (q *Queue[T]) Push(items ...T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.push(items)
}

// PushIdle is Push for items that are not worth waiting for: it returns ErrFull
// unless nothing waits and nothing is in work.
func (q *Queue[T]) PushIdle(items ...T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 && !q.sealed {
		return ErrFull
	}
	return q.push(items)
}

// Seal queues the last items, whatever the limits; everything pushed later is
// refused. It does nothing when the queue is sealed already.
func (q *Queue[T]) Seal(last ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.sealed {
		q.sealed = true
		q.add(last, q.sum(last))
	}
}

// Take moves all that waits to the end of dst. It must not be called after Start.
func (q *Queue[T]) Take(dst []T) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	dst = append(dst, q.items...)
	clear(q.items)
	q.items, q.count, q.size = q.items[:0], 0, 0
	if cap(q.items) > keep {
		q.items = nil
	}
	return dst
}

// Len returns how many items wait or are in work.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// Start gives the queue its worker. Work is called with all that waits, one call
// at a time; the batch is valid during the call only. Start may be called once.
func (q *Queue[T]) Start(work func(batch []T)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.work = work
	q.wake()
}

// Close drops what waits, refuses what comes and returns when the work that was
// going on is done. It must not be called by the work itself.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.sealed = true
	q.count -= len(q.items)
	q.size -= q.sum(q.items)
	q.items = nil
	if !q.working {
		q.mu.Unlock()
		return
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	<-idle
}

func (q *Queue[T]) push(items []T) error {
	if q.sealed {
		return ErrClosed
	}
	size := q.sum(items)
	tooMany := q.MaxItems > 0 && q.count+len(items) > q.MaxItems
	tooMuch := q.MaxSize > 0 && q.count > 0 && q.size+size > q.MaxSize
	if tooMany || tooMuch {
		return ErrFull
	}
	q.add(items, size)
	return nil
}

func (q *Queue[T]) add(items []T, size int) {
	q.items = append(q.items, items...)
	q.count += len(items)
	q.size += size
	q.wake()
}

func (q *Queue[T]) wake() {
	if q.work != nil && !q.working && len(q.items) > 0 {
		q.working = true
		go q.run() // Close waits for it
	}
}

func (q *Queue[T]) run() {
	q.mu.Lock()
	for len(q.items) > 0 {
		batch := q.items
		q.items, q.spare = q.spare, nil
		q.mu.Unlock()

		q.work(batch)
		size := q.sum(batch)
		clear(batch)

		q.mu.Lock()
		q.count -= len(batch)
		q.size -= size
		if cap(batch) <= keep {
			q.spare = batch[:0]
		}
	}
	q.working = false
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
	q.mu.Unlock()
}

func (q *Queue[T]) sum(items []T) (size int) {
	if q.Size == nil {
		return 0
	}
	for _, item := range items {
		size += q.Size(item)
	}
	return size
}
