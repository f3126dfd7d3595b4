package serial

// This file processes the items of a queue.

// Start makes a worker process the queue. It calls work with all waiting items, one
// call at a time. The batch is valid only during the call. Start may be called once.
func (q *Queue[T]) Start(work func(batch []T)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.work = work
	q.wake()
}

// Trier processes the items of a queue without waiting, as far as that is possible.
type Trier[T any] interface {
	// Try processes a batch, or returns false.
	Try(batch []T) bool
	// Work processes a batch for which Try has returned false. It may wait.
	Work(batch []T)
	// Notify is called when items wait: some goroutine must then call Run once. It runs under
	// the queue's lock and must not call the queue.
	Notify()
}

// StartTrying is like Start, but a worker goroutine is started only for what t.Try has not
// processed.
func (q *Queue[T]) StartTrying(t Trier[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.trier = t
	q.wake()
}

func (q *Queue[T]) started() bool { return q.work != nil || q.trier != nil }

// Run processes the items that wait, on the calling goroutine. See StartTrying.
func (q *Queue[T]) Run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tryItems()
}

// Hold keeps new items waiting, so that they are processed together. It ends with Flush,
// Resume, or above the high-water mark. It does not affect a worker that runs. It needs
// StartTrying.
func (q *Queue[T]) Hold() {
	q.mu.Lock()
	q.held = true
	q.mu.Unlock()
}

// Flush ends Hold. Unless they are being processed already, it processes the items that wait, on
// the calling goroutine, as Run does.
func (q *Queue[T]) Flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = false
	if q.started() && !q.running && len(q.items) > 0 {
		q.running = true
		q.tryItems()
	}
}

// Resume ends Hold. Others process the items that wait.
func (q *Queue[T]) Resume() {
	q.mu.Lock()
	q.held = false
	q.wake()
	q.mu.Unlock()
}

// wake has the items that wait processed. The caller holds mu.
func (q *Queue[T]) wake() {
	if q.started() && !q.running && !q.held && len(q.items) > 0 {
		q.running = true
		q.start()
	}
}

// start calls Notify, or starts a worker. The caller holds mu and has set running.
func (q *Queue[T]) start() {
	if q.trier != nil {
		q.trier.Notify()
	} else {
		go q.process(nil) // Close waits for it
	}
}

// tryItems calls Try with all items that wait. The caller holds mu, which is released
// meanwhile, and running is set.
func (q *Queue[T]) tryItems() {
	if len(q.items) == 0 { // Discard was called
		q.stopped()
		return
	}
	batch := q.take()
	q.mu.Unlock()
	done := q.trier.Try(batch)
	q.mu.Lock()
	if !done {
		go q.process(batch) // Close waits for it
		return
	}
	q.processed(batch)
	if len(q.items) == 0 || q.held {
		q.stopped()
		return
	}
	q.start() // and not another try: other queues wait for this goroutine too
}

// process is the worker goroutine. It begins with a batch that Try has not processed, or nil.
func (q *Queue[T]) process(batch []T) {
	q.mu.Lock()
	work := q.work
	if q.trier != nil {
		work = q.trier.Work
	}
	for batch != nil || len(q.items) > 0 {
		if batch == nil {
			batch = q.take()
		}
		q.mu.Unlock()
		work(batch)
		q.mu.Lock()
		q.processed(batch)
		batch = nil
	}
	q.stopped()
	q.mu.Unlock()
}

// take makes all items that wait a batch that is being processed. The caller holds mu.
func (q *Queue[T]) take() []T {
	batch := q.items
	q.flight = batch
	q.items, q.spare = q.spare, nil
	return batch
}

// processed ends the processing of a batch. The caller holds mu.
func (q *Queue[T]) processed(batch []T) {
	if q.flight != nil { // else Discard was called
		q.release(batch)
		q.load.sub(q.sum(batch))
		q.flight = nil
		if q.waits.Load() {
			q.update()
		}
	}
	clear(batch)
	if cap(batch) <= maxIdleCap {
		q.spare = batch[:0]
	}
}

// stopped records that nothing is being processed any more. The caller holds mu.
func (q *Queue[T]) stopped() {
	q.running = false
	if q.ended != nil {
		close(q.ended)
		q.ended = nil
	}
}
