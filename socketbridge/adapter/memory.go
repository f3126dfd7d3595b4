package adapter

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Memory links several servers in one process, for tests and for apps that run more than
// one. Create it with NewMemory and each server's adapter with Join. The adapters
// implement Adapter, Log and Emitter, and are the reference for all three.
type Memory struct {
	mu       sync.Mutex
	links    []*memoryLink // the adapters whose Run is running
	watchers []*memoryLink // the adapters whose RunEmitter is running with a watch function

	log memoryLog
}

// NewMemory returns a Memory without servers.
func NewMemory() *Memory { return &Memory{} }

// Join returns an adapter for one more server. It also implements Log and Emitter.
func (m *Memory) Join() Adapter {
	return &memoryLink{hub: m, open: make(map[string]bool), begun: make(chan struct{})}
}

// memoryLink is the adapter of one server. hub.mu guards its mutable fields.
type memoryLink struct {
	hub   *Memory
	begun chan struct{} // closed when Run or RunEmitter has begun
	once  sync.Once     // closes begun

	open    map[string]bool
	running bool // Run or RunEmitter is running
	node    Node // nil in RunEmitter
	watch   func(*Message)
	ctx     context.Context
	read    atomic.Uint64 // the position up to which all messages have been delivered
}

// beginTimeout bounds how long a call waits for Run. The core calls Run in New.
const beginTimeout = 3 * time.Second

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

// Ping implements Pinger.
func (l *memoryLink) Ping(ctx context.Context) error {
	_, err := l.others(ctx, "")
	return err
}

func (l *memoryLink) Run(ctx context.Context, n Node) error {
	l.hub.mu.Lock()
	l.running, l.node, l.ctx = true, n, ctx
	l.hub.links = append(l.hub.links, l)
	l.hub.mu.Unlock()
	l.hub.log.begin(l)
	l.once.Do(func() { close(l.begun) })
	<-ctx.Done()
	l.hub.mu.Lock()
	l.running, l.node = false, nil
	l.hub.links = slices.DeleteFunc(l.hub.links, func(other *memoryLink) bool { return other == l })
	l.hub.mu.Unlock()
	return ctx.Err()
}

// RunEmitter implements Emitter. watch gets all messages and requests.
func (l *memoryLink) RunEmitter(ctx context.Context, watch func(*Message)) error {
	l.hub.mu.Lock()
	l.running, l.watch = true, watch
	if watch != nil {
		l.hub.watchers = append(l.hub.watchers, l)
	}
	l.hub.mu.Unlock()
	l.once.Do(func() { close(l.begun) })
	<-ctx.Done()
	l.hub.mu.Lock()
	l.running = false
	l.hub.watchers = slices.DeleteFunc(l.hub.watchers, func(other *memoryLink) bool { return other == l })
	l.hub.mu.Unlock()
	return ctx.Err()
}

func (l *memoryLink) isEmitter() bool {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	return l.running && l.node == nil
}

// show passes a message to the emitters that watch.
func (m *Memory) show(msg *Message) {
	m.mu.Lock()
	var all []func(*Message)
	for _, l := range m.watchers {
		if l.open[msg.Namespace] {
			all = append(all, l.watch)
		}
	}
	m.mu.Unlock()
	for _, watch := range all {
		watch(msg)
	}
}

// waitUntilBegun waits until Run or RunEmitter has begun, so that a message is not refused
// because this process has just started.
func (l *memoryLink) waitUntilBegun(ctx context.Context) error {
	select {
	case <-l.begun:
		return nil
	default:
	}
	limit := time.NewTimer(beginTimeout)
	defer limit.Stop()
	select {
	case <-l.begun:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-limit.C:
		return fmt.Errorf("%w: %w within %v", ErrUnavailable, ErrNotBegun, beginTimeout)
	}
}

// others returns all other running nodes that serve a namespace.
func (l *memoryLink) others(ctx context.Context, namespace string) ([]*memoryPeer, error) {
	if err := l.waitUntilBegun(ctx); err != nil {
		return nil, err
	}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if !l.running {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
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
	if l.isEmitter() && m.Kind == Broadcast && !m.Volatile {
		return l.Append(ctx, m) // clients that resume on a node get it, as with a stream
	}
	others, err := l.others(ctx, m.Namespace)
	if err != nil {
		return err
	}
	for _, other := range others {
		other.node.Deliver(m)
	}
	l.hub.show(m)
	return nil
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
		l.hub.show(m)
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
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.node == nil {
		return len(others), err
	}
	return 1 + len(others), err
}
