package transporttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Recorder is an Acceptor that keeps what it is told. The zero value accepts every
// connection and every message. Its fields must not change once it is in use.
type Recorder struct {
	// OnAccept, if it is set, is called by Accept; an error refuses the
	// connection.
	OnAccept func(c transport.Conn) error
	// OnReceive, if it is set, is called by Receive after the message was kept;
	// Receive returns what it does.
	OnReceive func(a *Accepted, m transport.Message) error

	accepted journal[*Accepted]
}

// Accept admits a connection.
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

// Next returns the next connection that was accepted. It waits until ctx ends.
func (r *Recorder) Next(ctx context.Context) (*Accepted, error) { return r.accepted.take(ctx) }

// All returns all connections that were accepted so far.
func (r *Recorder) All() []*Accepted { return r.accepted.all() }

// Accepted is the receiver of one connection. It keeps copies of what it is given.
type Accepted struct {
	Conn transport.Conn

	recorder *Recorder
	received journal[transport.Message]

	mu     sync.Mutex
	inside int // calls that run
	closed chan struct{}
	reason transport.Reason
	cause  error
	ends   int
	broken error // the first breach of the contract
}

// Receive keeps a message.
func (a *Accepted) Receive(m transport.Message) error {
	defer a.enter("Receive")()
	copied := transport.Message{Binary: m.Binary, Data: slices.Clone(m.Data)}
	a.received.add(copied)
	if a.recorder.OnReceive != nil {
		return a.recorder.OnReceive(a, m)
	}
	return nil
}

// Closed keeps the end.
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

// Next returns the next message that the connection brought, in order. It waits
// until ctx ends, and returns ErrClosed after the last one of a connection that
// has ended.
func (a *Accepted) Next(ctx context.Context) (transport.Message, error) { return a.received.take(ctx) }

// Received returns all messages so far.
func (a *Accepted) Received() []transport.Message { return a.received.all() }

// End waits until the connection has ended and nothing of it runs any more. It
// returns what Closed was called with, and an error when ctx ended first, or when
// the transport broke the contract: calls that overlapped or came too late.
func (a *Accepted) End(ctx context.Context) (r transport.Reason, cause, err error) {
	select {
	case <-a.Conn.Done():
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	select {
	case <-a.closed:
	default:
		return "", nil, errors.New("transporttest: Done is closed, and Closed was not called")
	}
	return a.reason, a.cause, a.Err()
}

// Err returns how the transport broke the contract, or nil.
func (a *Accepted) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

// enter notices calls that must not be.
func (a *Accepted) enter(what string) (leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inside++
	switch {
	case a.broken != nil:
	case a.inside > 1:
		a.broken = fmt.Errorf("transporttest: %s was called while another call ran", what)
	case a.ends > 0:
		a.broken = fmt.Errorf("transporttest: %s was called after Closed", what)
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.inside--
	}
}
