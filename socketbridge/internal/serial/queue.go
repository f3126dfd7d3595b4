package serial

import (
	"errors"
	"sync"
	"sync/atomic"
)

var (
	// ErrFull means that the items would exceed the limit. Nothing was queued.
	ErrFull = errors.New("serial: queue is full")
	// ErrClosed means that the queue is sealed or closed. Nothing was queued.
	ErrClosed = errors.New("serial: queue is closed")
)

// maxIdleCap is the maximum capacity of the slices that an idle queue retains.
const maxIdleCap = 16

// Load is what items add to a queue, while they wait and while they are being processed.
type Load struct {
	Items int // compared with HighItems
	Size  int // compared with HighSize
	Bound int // compared with Max
}

// Queue is a first-in-first-out queue with a limit and a high-water mark. Before Start,
// items only accumulate, and Drain removes them. After Start, a worker goroutine processes
// them. The zero value is ready to use and has no limits. The exported fields must not
// change once the queue is in use. All methods are safe for concurrent use.
type Queue[T any] struct {
	// Max is the maximum sum of Load.Bound. A Push that finds this sum at 0 may exceed it,
	// because otherwise a larger item could never be sent. 0 means no limit.
	Max int
	// HighItems and HighSize are the high-water mark. Push does not obey it. A sender that
	// may wait calls Drained. 0 means no mark.
	HighItems int
	HighSize  int
	// Measure returns the load of an item. It must return the same load each time and must
	// not call the queue. If it is nil, each item has the load Load{Items: 1, Bound: 1}.
	Measure func(T) Load
	// Release is called once for every item, after it was processed or dropped; several
	// items can share a call. It runs under the queue's lock and must not call the queue.
	// It is not called for items that Drain returns. It may be nil.
	Release func([]T)

	mu      sync.Mutex
	items   []T
	spare   []T // the last batch's slice, reused for the next one
	flight  []T // the batch that is being processed
	load    Load
	work    func([]T)
	trier   Trier[T]      // nil without StartTrying
	running bool          // the queue is being processed, or Notify was called
	held    bool          // no worker starts
	sealed  bool          // Push returns ErrClosed
	drained chan struct{} // closed by the next drain; nil without a waiter
	ended   chan struct{} // closed when the worker ends; nil until Close waits for it
	waits   atomic.Bool   // high or sealed: Drained has to look
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
	if (len(q.items) > 0 || len(q.flight) > 0) && !q.sealed {
		return ErrFull
	}
	return q.push(items)
}

// Seal appends the last items, regardless of the limit. Later pushes return ErrClosed, and
// senders that wait are released. Seal does nothing if the queue is already sealed.
func (q *Queue[T]) Seal(last ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.sealed {
		q.sealed = true
		q.add(last, q.sum(last))
		q.update()
	}
}

// Drain moves waiting items to the end of dst: as many as have maxSize together, but at
// least one. It must not be called after Start.
func (q *Queue[T]) Drain(dst []T, maxSize int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, taken := 0, Load{}
	for n < len(q.items) {
		l := q.measure(q.items[n])
		if n > 0 && taken.Size+l.Size > maxSize {
			break
		}
		taken.add(l)
		n++
	}
	dst = append(dst, q.items[:n]...)
	clear(q.items[:n])
	if n < len(q.items) {
		q.items = q.items[n:]
	} else if q.items = q.items[:0]; cap(q.items) > maxIdleCap {
		q.items = nil
	}
	q.load.sub(taken)
	q.update()
	return dst
}

// Load returns the load of the items that wait or are being processed.
func (q *Queue[T]) Load() Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.load
}

// High reports whether the queue is above its high-water mark. It is cheap.
func (q *Queue[T]) High() bool {
	if !q.waits.Load() {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.high()
}

// Drained returns nil if the queue is not above its high-water mark. Otherwise it returns a
// channel that is closed once it no longer is, or when the queue is sealed. It returns
// ErrClosed if the queue is sealed. It is cheap if there is no reason to wait.
func (q *Queue[T]) Drained() (<-chan struct{}, error) {
	if !q.waits.Load() {
		return nil, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.sealed:
		return nil, ErrClosed
	case !q.high():
		return nil, nil
	case q.drained == nil:
		q.drained = make(chan struct{})
	}
	return q.drained, nil
}

// Discard drops all waiting items and seals the queue. Items that are being processed no
// longer count. It does not wait.
func (q *Queue[T]) Discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.discard()
}

func (q *Queue[T]) discard() {
	q.sealed = true
	q.release(q.flight)
	q.release(q.items)
	q.flight, q.items, q.load = nil, nil, Load{}
	q.update()
}

// Close is Discard, and waits until the running call of the work function, if any, has
// returned. The work function must not call Close.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.discard()
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
	l := q.sum(items)
	if q.Max > 0 && l.Bound > 0 && q.load.Bound > 0 && q.load.Bound+l.Bound > q.Max {
		return ErrFull
	}
	q.add(items, l)
	return nil
}

func (q *Queue[T]) add(items []T, l Load) {
	q.items = append(q.items, items...)
	q.load.add(l)
	if q.high() {
		q.waits.Store(true)
		q.held = false
	}
	q.wake()
}

// high reports whether the queue is above its high-water mark. The caller holds mu.
func (q *Queue[T]) high() bool {
	return q.HighItems > 0 && q.load.Items > q.HighItems || q.HighSize > 0 && q.load.Size > q.HighSize
}

// update releases the senders that wait, if the queue is no longer above its high-water
// mark or is sealed. The caller holds mu.
func (q *Queue[T]) update() {
	high := q.high()
	if (!high || q.sealed) && q.drained != nil {
		close(q.drained)
		q.drained = nil
	}
	q.waits.Store(high || q.sealed)
}

func (q *Queue[T]) release(items []T) {
	if q.Release != nil && len(items) > 0 {
		q.Release(items)
	}
}

func (q *Queue[T]) measure(item T) Load {
	if q.Measure == nil {
		return Load{Items: 1, Bound: 1}
	}
	return q.Measure(item)
}

func (q *Queue[T]) sum(items []T) (l Load) {
	if q.Measure == nil {
		return Load{Items: len(items), Bound: len(items)}
	}
	for _, item := range items {
		l.add(q.Measure(item))
	}
	return l
}

func (l *Load) add(m Load) {
	l.Items += m.Items
	l.Size += m.Size
	l.Bound += m.Bound
}

func (l *Load) sub(m Load) {
	l.Items -= m.Items
	l.Size -= m.Size
	l.Bound -= m.Bound
}
