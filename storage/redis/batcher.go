package redis

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// workersPerNode is the number of batches in flight to one node. It is small so
	// that requests gather into batches under load, and above 1 so that one round
	// trip does not wait for another.
	workersPerNode = 2
	// maxBatch bounds the requests of one batch.
	maxBatch = 128
	// maxQueued bounds the requests in a batcher's queue. Further callers wait for
	// room in it, until their contexts end.
	maxQueued = 1024
	// lateReply is how much longer a worker waits than the callers of its batch, so
	// that a slightly late reply does not cost the connection.
	lateReply = 200 * time.Millisecond
)

// request is one command on its way. Its phase decides, without a race, whether a
// caller that stops waiting has kept the command from being sent.
type request struct {
	cmd    goredis.Cmder
	asking bool // send ASKING first: the node is importing the slot
	ctx    context.Context
	phase  atomic.Uint32
	done   chan struct{}
}

const (
	phaseQueued    uint32 = iota
	phaseDequeued         // by a worker: the command is or will be sent
	phaseAbandoned        // by the caller: the command must not be sent
)

// batcher gathers requests to one node into batches, each with one write and one
// read. That saves system calls, and lets a caller return when its context is
// cancelled; go-redis itself only supports deadlines.
type batcher struct {
	client *goredis.Client
	server *server
	queue  chan *request
	stop   chan struct{}
	done   chan struct{} // closed when all workers have ended
	once   sync.Once
}

func newBatcher(client *goredis.Client) *batcher {
	b := &batcher{
		client: client,
		server: serverOf(client),
		queue:  make(chan *request, maxQueued),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	var workers sync.WaitGroup
	for range workersPerNode {
		workers.Go(b.work) // ends with stop; close waits for done
	}
	go func() { // ends after the workers; close waits for done
		workers.Wait()
		close(b.done)
	}()
	return b
}

// close stops the workers and waits for them. Batches in flight get their replies;
// queued requests are not sent.
func (b *batcher) close() {
	b.once.Do(func() { close(b.stop) })
	<-b.done
}

// do sends a command and waits for its reply, the end of ctx, or close. A write is not
// sent while the server refuses all writes.
func (b *batcher) do(ctx context.Context, cmd goredis.Cmder, write, asking bool) error {
	if !write {
		return b.exchange(ctx, cmd, asking)
	}
	if err := b.server.paused(); err != nil {
		return err
	}
	generation := b.server.generation.Load()
	err := b.exchange(ctx, cmd, asking)
	if err == nil && changed(cmd) {
		b.server.wrote(generation)
	}
	return err
}

// changed reports whether a write has changed something: each one returns how much. A
// replica accepts one that finds nothing to change.
func changed(cmd goredis.Cmder) bool {
	var n int64
	switch c := cmd.(type) {
	case *goredis.Cmd:
		n, _ = c.Val().(int64)
	case *goredis.IntCmd:
		n = c.Val()
	}
	return n > 0
}

func (b *batcher) exchange(ctx context.Context, cmd goredis.Cmder, asking bool) error {
	r := &request{cmd: cmd, asking: asking, ctx: ctx, done: make(chan struct{})}
	select {
	case b.queue <- r:
	case <-ctx.Done():
		return &abandonedError{cause: ctx.Err()}
	case <-b.stop:
		return errBatcherClosed
	}
	select {
	case <-r.done:
		return cmd.Err()
	case <-ctx.Done():
		return r.abandon(&abandonedError{cause: ctx.Err()}, &abandonedError{cause: ctx.Err(), sent: true})
	case <-b.done:
		return r.abandon(errBatcherClosed, errBatcherClosed)
	}
}

// abandon gives the request up. It returns unsent if no worker has dequeued the
// request, the command's result if the reply has arrived meanwhile, and sent
// otherwise.
func (r *request) abandon(unsent, sent error) error {
	if r.phase.CompareAndSwap(phaseQueued, phaseAbandoned) {
		return unsent
	}
	select {
	case <-r.done:
		return r.cmd.Err()
	default:
		return sent
	}
}

func (b *batcher) work() {
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case <-b.stop:
			return
		case r := <-b.queue:
			batch = r.appendTo(batch[:0])
		}
		// Let goroutines that are about to queue a request join the batch. Without
		// load this costs nothing; under load it saves round trips.
		runtime.Gosched()
	gather:
		for len(batch) < maxBatch {
			select {
			case r := <-b.queue:
				batch = r.appendTo(batch)
			default:
				break gather
			}
		}
		b.send(batch)
		clear(batch)
	}
}

// appendTo appends r to batch unless its caller has abandoned it.
func (r *request) appendTo(batch []*request) []*request {
	if r.phase.CompareAndSwap(phaseQueued, phaseDequeued) {
		batch = append(batch, r)
	}
	return batch
}

// send sends a batch, and completes its requests.
func (b *batcher) send(batch []*request) {
	if len(batch) == 0 {
		return // all were abandoned
	}
	ctx := batchContext(batch)
	switch {
	case len(batch) == 1 && !batch[0].asking:
		_ = b.client.Process(ctx, batch[0].cmd) // the error is in cmd
	default:
		pipeline := b.client.Pipeline()
		for _, r := range batch {
			if r.asking {
				_ = pipeline.Process(ctx, goredis.NewCmd(ctx, "asking"))
			}
			r.cmd.SetErr(errNoReply)
			_ = pipeline.Process(ctx, r.cmd)
		}
		// Exec sets the error of each command. But if the pipeline could not be sent,
		// go-redis may leave the commands unchanged.
		_, err := pipeline.Exec(ctx)
		for _, r := range batch {
			if r.cmd.Err() == errNoReply && err != nil {
				r.cmd.SetErr(err)
			}
		}
	}
	for _, r := range batch {
		close(r.done)
	}
}

// batchContext returns a context whose deadline is shortly after the last deadline
// of the batch's callers, so that a hanging server occupies the worker no longer.
func batchContext(batch []*request) context.Context {
	var last time.Time
	for _, r := range batch {
		deadline, ok := r.ctx.Deadline()
		if !ok {
			return context.Background()
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return deadlineContext{context.Background(), last.Add(lateReply)}
}

// deadlineContext is a context with a deadline but without a timer: go-redis sets
// the deadline on the network connection.
type deadlineContext struct {
	context.Context
	deadline time.Time
}

func (c deadlineContext) Deadline() (time.Time, bool) { return c.deadline, true }
