package serial

import (
	"errors"
	"sync"
)

var (
	// ErrFull means that the items would exceed a limit. Nothing was queued.
	ErrFull = errors.New("serial: queue is full")
	// ErrClosed means that the queue is sealed or closed. Nothing was queued.
	ErrClosed = errors.New("serial: queue is closed")
)

// maxIdleCap is the maximum capacity of the slices that an idle queue retains.
const maxIdleCap = 16

// Queue is a bounded first-in-first-out queue. Before Start, items only accumulate,
// and Drain removes them. After Start, a worker goroutine processes them. The zero
// value is ready to use and has no limits. The exported fields must not change once
// the queue is in use. All methods are safe for concurrent use.
type Queue[T any] struct {
	// MaxItems is the maximum number of items that wait or are being processed. 0
	// means no limit.
	MaxItems int
	// MaxSize is the maximum sum of the sizes of these items. A Push to an empty
	// queue may exceed it, because otherwise a larger item could never be sent. 0
	// means no limit.
	MaxSize int
	// Size returns the size of an item. It must return the same size each time and
	// must not call the queue. If it is nil, every size is 0.
	Size func(T) int

	mu      sync.Mutex
	items   []T
	spare   []T // the last batch's slice, reused for the next one
	count   int // items that wait or are being processed
	size    int
	work    func([]T)
	running bool
	sealed  bool          // Push returns ErrClosed
	ended   chan struct{} // closed when the worker ends; nil until Close waits for it
}

// Push appends items to the queue: either all of them, or none and it returns ErrFull
// or ErrClosed. It never blocks.
func (q *Queue[T]) Push(items ...T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.push(items)
}

// PushIdle is like Push, but returns ErrFull unless the queue is empty and no item is
// being processed. It is for items that are not worth queueing.
func (q *Queue[T]) PushIdle(items ...T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 && !q.sealed {
		return ErrFull
	}
	return q.push(items)
}

// Seal appends the last items, regardless of the limits. Later pushes return
// ErrClosed. Seal does nothing if the queue is already sealed.
func (q *Queue[T]) Seal(last ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.sealed {
		q.sealed = true
		q.add(last, q.sum(last))
	}
}

// Drain moves all waiting items to the end of dst. It must not be called after Start.
func (q *Queue[T]) Drain(dst []T) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	dst = append(dst, q.items...)
	clear(q.items)
	q.items, q.count, q.size = q.items[:0], 0, 0
	if cap(q.items) > maxIdleCap {
		q.items = nil
	}
	return dst
}

// Len returns the number of items that wait or are being processed.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// Start makes a worker process the queue. It calls work with all waiting items, one
// call at a time. The batch is valid only during the call. Start may be called once.
func (q *Queue[T]) Start(work func(batch []T)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.work = work
	q.wake()
}

// Close drops all waiting items, seals the queue and waits until the running call of
// the work function, if any, has returned. The work function must not call Close.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.sealed = true
	q.count -= len(q.items)
	q.size -= q.sum(q.items)
	q.items = nil
	if !q.running {
		q.mu.Unlock()
		return
	}
	if q.ended == nil {
		q.ended = make(chan struct{})
	}
	ended := q.ended
	q.mu.Unlock()
	<-ended
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
	if q.work != nil && !q.running && len(q.items) > 0 {
		q.running = true
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
		if cap(batch) <= maxIdleCap {
			q.spare = batch[:0]
		}
	}
	q.running = false
	if q.ended != nil {
		close(q.ended)
		q.ended = nil
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
