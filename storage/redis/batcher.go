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
	// workersPerNode is how many batches travel to one node at a time. Few, so
	// that under load requests gather into batches; several, so that one round
	// trip does not wait for another.
	workersPerNode = 2
	// maxBatch bounds the requests of one batch.
	maxBatch = 128
	// maxWaiting bounds the requests that wait for a worker; more wait outside,
	// with their contexts.
	maxWaiting = 1024
	// grace is how much longer a worker waits than the callers of its batch: an
	// answer that is a little late need not cost the connection.
	grace = 200 * time.Millisecond
)

// request is one command on its way. The phase tells, without a gap, whether a
// caller who gives up was still in time to keep it from being sent.
type request struct {
	cmd    goredis.Cmder
	asking bool // a cluster node that is taking the slot over wants to hear ASKING first
	ctx    context.Context
	phase  atomic.Uint32
	done   chan struct{}
}

const (
	waiting uint32 = iota
	taken          // by a worker: it is or will be sent
	left           // by its caller: it must not be sent
)

// pipe gathers requests to one node into batches, each one write and one read.
// Beside the saved system calls this is what lets a caller leave when its context
// ends, which go-redis alone allows by deadline only.
type pipe struct {
	client *goredis.Client
	queue  chan *request
	stop   chan struct{}
	gone   chan struct{} // closed when no worker runs any more
	once   sync.Once
}

func newPipe(client *goredis.Client) *pipe {
	p := &pipe{
		client: client,
		queue:  make(chan *request, maxWaiting),
		stop:   make(chan struct{}),
		gone:   make(chan struct{}),
	}
	var workers sync.WaitGroup
	for range workersPerNode {
		workers.Go(p.work) // ends with stop; close waits for gone
	}
	go func() { // ends after the workers; close waits for gone
		workers.Wait()
		close(p.gone)
	}()
	return p
}

// close ends the pipe: batches under way are answered, what waits is not sent.
func (p *pipe) close() {
	p.once.Do(func() { close(p.stop) })
	<-p.gone
}

// do sends a command and waits for its answer, the end of ctx, or that of the pipe.
func (p *pipe) do(ctx context.Context, cmd goredis.Cmder, asking bool) error {
	r := &request{cmd: cmd, asking: asking, ctx: ctx, done: make(chan struct{})}
	select {
	case p.queue <- r:
	case <-ctx.Done():
		return &abandoned{cause: ctx.Err()}
	case <-p.stop:
		return errGone
	}
	select {
	case <-r.done:
		return cmd.Err()
	case <-ctx.Done():
		return r.leave(&abandoned{cause: ctx.Err()}, &abandoned{cause: ctx.Err(), sent: true})
	case <-p.gone:
		return r.leave(errGone, errGone)
	}
}

// leave returns unsent if the request could be taken back, else its answer if
// there is one by now, else sent.
func (r *request) leave(unsent, sent error) error {
	if r.phase.CompareAndSwap(waiting, left) {
		return unsent
	}
	select {
	case <-r.done:
		return r.cmd.Err()
	default:
		return sent
	}
}

func (p *pipe) work() {
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case <-p.stop:
			return
		case r := <-p.queue:
			batch = r.join(batch[:0])
		}
		// Whoever else is about to ask shall come along: this costs nothing when there
		// is nobody, and saves a round trip of system calls when there is.
		runtime.Gosched()
	gather:
		for len(batch) < maxBatch {
			select {
			case r := <-p.queue:
				batch = r.join(batch)
			default:
				break gather
			}
		}
		p.send(batch)
		clear(batch)
	}
}

// join adds r to batch unless its caller has left.
func (r *request) join(batch []*request) []*request {
	if r.phase.CompareAndSwap(waiting, taken) {
		batch = append(batch, r)
	}
	return batch
}

// send sends a batch and answers its requests.
func (p *pipe) send(batch []*request) {
	if len(batch) == 0 {
		return // all have left
	}
	ctx := patience(batch)
	switch {
	case len(batch) == 1 && !batch[0].asking:
		_ = p.client.Process(ctx, batch[0].cmd) // the error is in cmd
	default:
		pipeline := p.client.Pipeline()
		for _, r := range batch {
			if r.asking {
				_ = pipeline.Process(ctx, goredis.NewCmd(ctx, "asking"))
			}
			r.cmd.SetErr(errUnanswered)
			_ = pipeline.Process(ctx, r.cmd)
		}
		// Each command gets an error of its own, or none. But when the pipeline could
		// not be sent, go-redis may leave them as they were.
		_, err := pipeline.Exec(ctx)
		for _, r := range batch {
			if r.cmd.Err() == errUnanswered && err != nil {
				r.cmd.SetErr(err)
			}
		}
	}
	for _, r := range batch {
		close(r.done)
	}
}

// patience is a context that ends when the last of the batch's callers has given
// up, so that a server which hangs does not hold a worker for longer.
func patience(batch []*request) context.Context {
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
	return until{context.Background(), last.Add(grace)}
}

// until is a context that only has a deadline, and no timer behind it: go-redis
// gives the deadline to the network connection.
type until struct {
	context.Context
	deadline time.Time
}

func (u until) Deadline() (time.Time, bool) { return u.deadline, true }
