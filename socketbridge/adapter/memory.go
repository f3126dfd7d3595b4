package adapter

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Memory links several servers in one process, for tests and for apps that run more than
// one. Create it with NewMemory and each server's adapter with Join. The adapters
// implement Adapter and Log, and are the reference for both.
type Memory struct {
	mu    sync.Mutex
	links []*memoryLink // the adapters whose Run is running

	log memoryLog
}

// NewMemory returns a Memory without servers.
func NewMemory() *Memory { return &Memory{} }

// Join returns an adapter for one more server. It also implements Log.
func (m *Memory) Join() Adapter { return &memoryLink{hub: m, open: make(map[string]bool)} }

// memoryLink is the adapter of one server. hub.mu guards its mutable fields.
type memoryLink struct {
	hub  *Memory
	open map[string]bool
	node Node
	ctx  context.Context
	read atomic.Uint64 // the position up to which all messages have been delivered
}

func (l *memoryLink) Open(namespace string) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.open[namespace] = true
}

// Close implements Closer.
func (l *memoryLink) Close(namespace string) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	delete(l.open, namespace)
}

func (l *memoryLink) Run(ctx context.Context, n Node) error {
	l.hub.mu.Lock()
	l.node, l.ctx = n, ctx
	l.hub.links = append(l.hub.links, l)
	l.hub.mu.Unlock()
	l.hub.log.begin(l)
	<-ctx.Done()
	l.hub.mu.Lock()
	l.node = nil
	l.hub.links = slices.DeleteFunc(l.hub.links, func(other *memoryLink) bool { return other == l })
	l.hub.mu.Unlock()
	return ctx.Err()
}

// others returns all other running nodes that serve a namespace.
func (l *memoryLink) others(ctx context.Context, namespace string) ([]*memoryPeer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.node == nil {
		return nil, ErrClosed
	}
	var others []*memoryPeer
	for _, other := range l.hub.links {
		if other != l && other.open[namespace] {
			others = append(others, &memoryPeer{other.node, other.ctx})
		}
	}
	return others, nil
}

// memoryPeer is another node. ctx ends when the node stops.
type memoryPeer struct {
	node Node
	ctx  context.Context
}

func (l *memoryLink) Publish(ctx context.Context, m *Message) error {
	others, err := l.others(ctx, m.Namespace)
	for _, other := range others {
		other.node.Deliver(m)
	}
	return err
}

func (l *memoryLink) Ask(ctx context.Context, m *Message) iter.Seq2[*Reply, error] {
	return func(yield func(*Reply, error) bool) {
		others, err := l.others(ctx, m.Namespace)
		if err != nil {
			yield(nil, err)
			return
		}
		asking, stop := context.WithCancel(ctx)
		replies := make(chan *Reply)
		var answering sync.WaitGroup
		for _, other := range others {
			answering.Go(func() { other.answer(asking, m, replies) }) // ends with asking; the deferred Wait waits for it
		}
		defer answering.Wait()
		defer stop()
		for complete := NewComplete(m.Kind, len(others)); !complete.Done(); {
			select {
			case r := <-replies:
				complete.Add(r)
				if !yield(r, nil) {
					return
				}
			case <-ctx.Done():
				yield(nil, fmt.Errorf("%w: %w", ErrIncomplete, ctx.Err()))
				return
			}
		}
	}
}

// answer sends the node's replies to replies until ctx ends or the node stops.
func (p *memoryPeer) answer(ctx context.Context, m *Message, replies chan<- *Reply) {
	answering, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(p.ctx, stop)()
	for r := range p.node.Answer(answering, m) {
		select {
		case replies <- r:
		case <-ctx.Done():
			return
		}
	}
}

func (l *memoryLink) Nodes(ctx context.Context, namespace string) (int, error) {
	others, err := l.others(ctx, namespace)
	return 1 + len(others), err
}
