package adapter

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Memory links servers of one process: for tests, and for an app that has several.
// It is also the model of what an Adapter does. Make one with NewMemory, and give
// each server an adapter of its own with Join.
type Memory struct {
	mu    sync.Mutex
	links []*memoryLink // that run

	log memoryLog
}

// NewMemory returns a link between no servers yet.
func NewMemory() *Memory { return &Memory{} }

// Join returns the adapter of one more server.
func (m *Memory) Join() Adapter { return &memoryLink{hub: m, open: make(map[string]bool)} }

// memoryLink is one server's end. hub.mu guards what changes.
type memoryLink struct {
	hub  *Memory
	open map[string]bool
	node Node
	ctx  context.Context
	read atomic.Uint64 // the place up to which it has been delivered all
}

func (l *memoryLink) Open(namespace string) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.open[namespace] = true
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

// others returns the running nodes that serve a namespace, but this one.
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

// memoryPeer is another node and how long it lives.
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
			answering.Go(func() { other.answer(asking, m, replies) }) // ends with asking; waited for below
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

// answer passes on a node's replies while somebody waits for them and the node
// lives.
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
