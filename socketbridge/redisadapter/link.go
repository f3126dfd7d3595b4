package redisadapter

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// link is a wire format together with the channels or the stream that carry it.
type link interface {
	// subscribe subscribes node uid to the messages of a namespace.
	subscribe(namespace, uid string)
	// listen subscribes an emitter to the replies to its requests in a namespace and, if it
	// watches, to what can be received without being counted as a node.
	listen(namespace string, n *emitterNode)
	// findPeers finds the nodes that countNodes would not count, because they have sent
	// nothing since listen was called.
	findPeers(ctx context.Context, namespace string) error
	// unsubscribe is the reverse of subscribe.
	unsubscribe(namespace, uid string)
	// receivesReplies reports whether replies to requests of this node would arrive.
	receivesReplies(namespace string) bool
	// roomChanged tells the link that a room got its first socket on this node
	// (isOpen) or lost its last one.
	roomChanged(namespace, room string, private, isOpen bool)
	// run receives until ctx ends.
	run(ctx context.Context)
	// countNodes returns the number of nodes that serve a namespace.
	countNodes(ctx context.Context, namespace string) (int, error)

	// catchUp waits until what a node published before its request f was delivered to this
	// node, or until ctx ends.
	catchUp(ctx context.Context, f *frame)

	encodeMessage(m *adapter.Message, uid, requestID string) (channel string, data []byte, err error)
	encodeReply(f *frame, uid string, r *adapter.Reply) (channel string, data []byte, err error)
	publish(ctx context.Context, namespace, channel string, data []byte) error
}

// routingTable maps the channels and patterns that a node is subscribed to, by name, to
// their handlers.
type routingTable struct {
	mu     sync.RWMutex
	routes map[string]route
}

type route struct {
	namespace string
	handle    func(namespace, channel string, data []byte)
}

func (t *routingTable) add(name string, r route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.routes == nil {
		t.routes = make(map[string]route)
	}
	t.routes[name] = r
}

func (t *routingTable) remove(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.routes, name)
}

// dispatch calls the handler of the pattern or channel on which a message arrived.
func (t *routingTable) dispatch(m *goredis.Message) {
	name := m.Pattern
	if name == "" {
		name = m.Channel
	}
	t.mu.RLock()
	r, known := t.routes[name]
	t.mu.RUnlock()
	if known {
		r.handle(r.namespace, m.Channel, []byte(m.Payload))
	}
}
