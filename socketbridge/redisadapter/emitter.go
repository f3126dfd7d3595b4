package redisadapter

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// emitterUID is the sender of an entry that a process adds to a stream without being a node.
// Servers for Node count every other sender.
const emitterUID = "emitter"

var _ adapter.Emitter = (*Adapter)(nil)

// emitterNode takes the place of the adapter's node in RunEmitter.
type emitterNode struct {
	id    string
	watch func(*adapter.Message) // may be nil
}

func (n *emitterNode) ID() string { return n.id }

func (n *emitterNode) Deliver(m *adapter.Message) {
	if n.watch != nil {
		n.watch(m)
	}
}

func (n *emitterNode) Answer(context.Context, *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(func(*adapter.Reply) bool) {}
}

// RunEmitter implements adapter.Emitter. Until the first Ask or Nodes it opens no connection
// beside those of the client's pool. From then on it also receives, on one more connection
// (Streams, StreamsSharded, StreamsOnly: and one of the pool for each stream that was asked),
// but subscribes to nothing by which nodes are counted.
//
// With watch, it receives all messages in the mode Classic. In the streams modes it receives
// broadcasts, joins, leaves and disconnects, and with Streams also requests. In the sharded modes
// it receives nothing: Redis counts every subscriber of a sharded channel, and so do the nodes.
func (a *Adapter) RunEmitter(ctx context.Context, watch func(*adapter.Message)) error {
	n := &emitterNode{id: rand.Text(), watch: watch}
	a.mu.Lock()
	a.node, a.ctx, a.emitter = n, ctx, n
	var watched []string
	if watch != nil {
		for ns := range a.namespaces {
			watched = append(watched, ns)
		}
	}
	a.mu.Unlock()
	for _, ns := range watched {
		a.listen(ns)
	}
	a.begin()
	return a.run(ctx)
}

// asEmitter returns the node of RunEmitter, or nil.
func (a *Adapter) asEmitter() *emitterNode {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.emitter
}

// listen makes an emitter receive the replies to its requests in a namespace.
func (a *Adapter) listen(namespace string) {
	a.mu.Lock()
	n, listening := a.emitter, a.listening[namespace]
	if !listening {
		a.listening[namespace] = true
	}
	a.mu.Unlock()
	if listening {
		return
	}
	a.link.listen(namespace, n)
	a.receiveOnce.Do(func() { close(a.receiving) })
}

// prepareToAsk makes an emitter ready for requests in a namespace: it can receive the replies,
// and knows the nodes that reply.
func (a *Adapter) prepareToAsk(ctx context.Context, namespace string) error {
	a.listen(namespace)
	if err := a.waitForReplies(ctx, namespace); err != nil {
		return err
	}
	a.mu.Lock()
	prepared := a.prepared[namespace]
	a.mu.Unlock()
	if prepared {
		return nil
	}
	if err := a.link.findPeers(ctx, namespace); err != nil {
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prepared[namespace] = true
	return nil
}

// runLink runs the link. An emitter's link begins when it is needed.
func (a *Adapter) runLink(ctx context.Context) {
	if a.asEmitter() != nil {
		select {
		case <-a.receiving:
		case <-ctx.Done():
			return
		}
	}
	a.link.run(ctx)
}

// waitForReplies waits until this process can receive replies: it may have just started, or its
// connection may have just broken.
func (a *Adapter) waitForReplies(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !a.link.receivesReplies(namespace) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: this node cannot receive replies at present", adapter.ErrUnavailable)
		}
	}
	return nil
}
