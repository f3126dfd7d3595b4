package redisadapter

import (
	"context"
	"strings"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// classicLink carries the classic format over plain pub/sub.
type classicLink struct {
	classicFormat
	a       *Adapter
	pubSub  *plainPubSub
	routing routingTable

	mu   sync.Mutex
	uids map[string]string // this node's uid, by subscribed namespace
}

func newClassicLink(a *Adapter) *classicLink {
	l := &classicLink{classicFormat: classicFormat{key: a.cfg.Key, sharedResponses: a.cfg.SharedResponses}, a: a, uids: make(map[string]string)}
	l.pubSub = newPlainPubSub(a, l.routing.dispatch)
	return l
}

// escapePattern escapes the special characters of Redis patterns.
var escapePattern = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func (l *classicLink) subscribe(namespace, uid string) {
	broadcasts, requests, responses, own := l.channels(namespace, uid)
	l.routing.add(broadcasts, route{namespace, l.handleBroadcast})
	l.routing.add(requests, route{namespace, l.handleRequest})
	l.routing.add(responses, route{namespace, l.handleResponse})
	l.routing.add(own, route{namespace, l.handleResponse})
	l.mu.Lock()
	l.uids[namespace] = uid
	l.mu.Unlock()
	l.pubSub.subscriber.set(true, subscription{byPattern, broadcasts}, subscription{byName, responses}, subscription{byName, own}, subscription{byName, requests})
}

// listen subscribes to requests by a pattern: nodes count the subscribers by name.
func (l *classicLink) listen(namespace string, n *emitterNode) {
	broadcasts, requests, responses, own := l.channels(namespace, n.id)
	l.routing.add(responses, route{namespace, l.handleResponse})
	l.routing.add(own, route{namespace, l.handleResponse})
	l.mu.Lock()
	l.uids[namespace] = n.id
	l.mu.Unlock()
	wanted := []subscription{{byName, responses}, {byName, own}}
	if n.watch != nil {
		requests = escapePattern.Replace(requests)
		l.routing.add(broadcasts, route{namespace, l.handleBroadcast})
		l.routing.add(requests, route{namespace, l.handleRequest})
		wanted = append(wanted, subscription{byPattern, broadcasts}, subscription{byPattern, requests})
	}
	l.pubSub.subscriber.set(true, wanted...)
}

func (l *classicLink) unsubscribe(namespace, uid string) {
	broadcasts, requests, responses, own := l.channels(namespace, uid)
	for _, name := range []string{broadcasts, requests, responses, own} {
		l.routing.remove(name)
	}
	l.mu.Lock()
	delete(l.uids, namespace)
	l.mu.Unlock()
	l.pubSub.subscriber.set(false, subscription{byPattern, broadcasts}, subscription{byName, responses}, subscription{byName, own}, subscription{byName, requests})
}

// channels returns the pattern and the channels of a namespace.
func (l *classicLink) channels(namespace, uid string) (broadcasts, requests, responses, own string) {
	return escapePattern.Replace(l.broadcastChannel(namespace)) + "*",
		l.requestChannel(namespace), l.responseChannel(namespace), l.nodeResponseChannel(namespace, uid)
}

func (l *classicLink) receivesReplies(namespace string) bool {
	l.mu.Lock()
	uid := l.uids[namespace]
	l.mu.Unlock()
	return l.pubSub.isConfirmed(l.nodeResponseChannel(namespace, uid)) && l.pubSub.isConfirmed(l.responseChannel(namespace))
}

func (l *classicLink) roomChanged(string, string, bool, bool) {} // the pattern matches the channels of all rooms

func (l *classicLink) findPeers(context.Context, string) error { return nil } // Redis knows all nodes

func (l *classicLink) catchUp(context.Context, *frame) {} // one connection delivers everything in order

func (l *classicLink) run(ctx context.Context) { l.pubSub.run(ctx) }

func (l *classicLink) handleBroadcast(namespace, channel string, data []byte) {
	room := strings.TrimPrefix(channel, l.broadcastChannel(namespace))
	if room != "" && !l.a.localRooms.has(namespace, strings.TrimSuffix(room, "#")) && l.a.asEmitter() == nil {
		return // skip decoding: no socket of this node is in the room
	}
	l.a.receive(channel, data, func(data []byte) (*frame, error) { return l.decodeBroadcast(namespace, data) })
}

func (l *classicLink) handleRequest(namespace, channel string, data []byte) {
	l.a.receive(channel, data, func(data []byte) (*frame, error) { return l.decodeRequest(namespace, data) })
}

func (l *classicLink) handleResponse(_, channel string, data []byte) {
	l.a.receive(channel, data, func(data []byte) (*frame, error) { return l.decodeResponse(data) })
}

func (l *classicLink) encodeReply(f *frame, _ string, r *adapter.Reply) (string, []byte, error) {
	return l.classicFormat.encodeReply(f, r)
}

// publish publishes all messages of a namespace at the same node of a Redis Cluster.
func (l *classicLink) publish(ctx context.Context, namespace, channel string, data []byte) error {
	data, err := l.a.signer.seal(channelPlace(channel), data)
	if err != nil {
		return err
	}
	return publishPlain(ctx, l.a.client, l.broadcastChannel(namespace), channel, data)
}

func (l *classicLink) countNodes(ctx context.Context, namespace string) (int, error) {
	return l.pubSub.count(ctx, l.requestChannel(namespace))
}
