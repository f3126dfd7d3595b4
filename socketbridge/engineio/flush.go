package engineio

import (
	"runtime"
	"sync"
)

// flusher writes to WebSockets what was queued for them. A server has one for each processor,
// and a connection belongs to one of them. Its goroutine lives while there is work, and writes
// only what the network takes without waiting: the worker of the connection's queue writes the
// rest, so that a slow client holds up no other.
//
// A broadcast to 1,000 clients needs few goroutines this way, whose stacks have grown already.
// docs/decisions.md has the alternatives.
type flusher struct {
	mu          sync.Mutex
	first, last *conn // the connections that wait, linked by conn.nextFlush
	running     bool

	_ [24]byte // each has a cache line of its own
}

// flushTurn is the number of connections after which a flusher lets other goroutines run.
const flushTurn = 32

// flusherOf returns the flusher that a connection belongs to.
func (s *Server) flusherOf(c *conn) *flusher { return &s.flushers[c.flusher] }

// add adds a connection whose queue waits for a Run.
func (f *flusher) add(c *conn) {
	f.mu.Lock()
	if f.last == nil {
		f.first = c
	} else {
		f.last.nextFlush = c
	}
	f.last = c
	start := !f.running
	f.running = true
	f.mu.Unlock()
	if start {
		go f.run() // each connection's end waits for its turn
	}
}

func (f *flusher) run() {
	n := 0
	for c := f.take(); c != nil; c = f.take() {
		for c != nil {
			next := c.nextFlush
			c.nextFlush = nil // Run can have it added again
			c.out.Run()
			c = next
			if n++; n%flushTurn == 0 {
				runtime.Gosched()
			}
		}
	}
}

// take returns the first of the connections that wait, which is linked with the others. It
// returns nil if run has to end.
func (f *flusher) take() *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.first
	f.first, f.last = nil, nil
	f.running = c != nil
	return c
}
