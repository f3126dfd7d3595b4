package transporttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Recorder is an Acceptor that records connections and their messages. The zero value
// accepts every connection and every message. Its fields must not change once it is in
// use.
type Recorder struct {
	// OnAccept, if set, is called by Accept. An error refuses the connection.
	OnAccept func(c transport.Conn) error
	// OnReceive, if set, is called by Receive after the message has been recorded.
	// Receive returns its error.
	OnReceive func(a *Accepted, m transport.Message) error

	accepted recording[*Accepted]
}

// Accept records the connection and returns its *Accepted.
func (r *Recorder) Accept(c transport.Conn) (transport.Receiver, error) {
	if r.OnAccept != nil {
		if err := r.OnAccept(c); err != nil {
			return nil, err
		}
	}
	a := &Accepted{Conn: c, recorder: r, closed: make(chan struct{})}
	r.accepted.add(a)
	return a, nil
}

// Next returns the next accepted connection, in order. It waits for one until ctx ends.
func (r *Recorder) Next(ctx context.Context) (*Accepted, error) { return r.accepted.dequeue(ctx) }

// All returns all connections accepted so far.
func (r *Recorder) All() []*Accepted { return r.accepted.all() }

// Accepted is the Receiver of one connection. It records copies of the messages, and
// calls that violate the contract of package transport.
type Accepted struct {
	Conn transport.Conn

	recorder *Recorder
	received recording[transport.Message]

	mu        sync.Mutex
	running   int // number of calls that are running
	closed    chan struct{}
	reason    transport.Reason
	cause     error
	ends      int
	violation error // the first violation of the contract
}

// Receive records a copy of m.
func (a *Accepted) Receive(m transport.Message) error {
	defer a.enter("Receive")()
	copied := transport.Message{Binary: m.Binary, Data: slices.Clone(m.Data)}
	a.received.add(copied)
	if a.recorder.OnReceive != nil {
		return a.recorder.OnReceive(a, m)
	}
	return nil
}

// Closed records the end of the connection.
func (a *Accepted) Closed(r transport.Reason, cause error) {
	defer a.enter("Closed")()
	a.mu.Lock()
	a.ends++
	first := a.ends == 1
	if first {
		a.reason, a.cause = r, cause
	}
	a.mu.Unlock()
	if first {
		a.received.end()
		close(a.closed)
	}
}

// Next returns the next message of the client, in order. It waits for one until ctx
// ends. It returns ErrClosed if the connection has ended and Next has returned all
// messages.
func (a *Accepted) Next(ctx context.Context) (transport.Message, error) {
	return a.received.dequeue(ctx)
}

// Received returns all messages received so far.
func (a *Accepted) Received() []transport.Message { return a.received.all() }

// End waits until the connection's Done channel is closed and returns the arguments of
// Closed. It returns an error if ctx ends first, or if the transport violated the
// contract with overlapping or late calls.
func (a *Accepted) End(ctx context.Context) (r transport.Reason, cause, err error) {
	select {
	case <-a.Conn.Done():
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	select {
	case <-a.closed:
	default:
		return "", nil, errors.New("transporttest: Done is closed but Closed was not called")
	}
	return a.reason, a.cause, a.Err()
}

// Err returns the first violation of the contract by the transport, or nil.
func (a *Accepted) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.violation
}

// enter records a violation if the call overlaps another one or follows Closed.
func (a *Accepted) enter(what string) (exit func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
	switch {
	case a.violation != nil:
	case a.running > 1:
		a.violation = fmt.Errorf("transporttest: %s was called while another call was running", what)
	case a.ends > 0:
		a.violation = fmt.Errorf("transporttest: %s was called after Closed", what)
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running--
	}
}
