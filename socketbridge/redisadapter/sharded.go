package redisadapter

import (
	"context"
	"sync"
)

// shardedLink carries cluster messages over channels. In the sharded modes these are sharded
// channels. In the streams modes a shardedLink carries the requests and their replies, over
// channels of either kind.
type shardedLink struct {
	shardedFormat
	a       *Adapter
	pubSub  pubSub
	routing routingTable

	mu           sync.Mutex
	uids         map[string]string // this node's uid, by subscribed namespace
	roomChannels map[string]int    // how many open rooms need a channel: 2 if a socket's own room was also joined by others
}

func newShardedLink(a *Adapter) *shardedLink {
	l := &shardedLink{shardedFormat: shardedFormat{key: a.cfg.Key, mode: a.cfg.Mode}, a: a, uids: make(map[string]string), roomChannels: make(map[string]int)}
	l.pubSub = newShardedSubscriber(a, l.routing.dispatch)
	return l
}

func (l *shardedLink) subscribe(namespace, uid string) {
	own, common := l.subChannel(namespace, uid), l.mainChannel(namespace)
	l.routing.add(own, route{namespace, l.handle})
	l.routing.add(common, route{namespace, l.handle})
	l.mu.Lock()
	l.uids[namespace] = uid
	l.mu.Unlock()
	l.pubSub.set(true, own, common)
}

// listen watches the namespace's channel by a pattern, which nodes do not count. There are no
// patterns of sharded channels.
func (l *shardedLink) listen(namespace string, n *emitterNode) {
	own := l.subChannel(namespace, n.id)
	l.routing.add(own, route{namespace, l.handle})
	l.mu.Lock()
	l.uids[namespace] = n.id
	l.mu.Unlock()
	l.pubSub.set(true, own)
	if p, ok := l.pubSub.(*plainPubSub); ok && n.watch != nil {
		pattern := escapePattern.Replace(l.mainChannel(namespace))
		l.routing.add(pattern, route{namespace, l.handle})
		p.subscriber.set(true, subscription{byPattern, pattern})
	}
}

func (l *shardedLink) unsubscribe(namespace, uid string) {
	own, common := l.subChannel(namespace, uid), l.mainChannel(namespace)
	l.routing.remove(own)
	l.routing.remove(common)
	l.mu.Lock()
	delete(l.uids, namespace)
	l.mu.Unlock()
	l.pubSub.set(false, own, common)
}

func (l *shardedLink) receivesReplies(namespace string) bool {
	l.mu.Lock()
	uid := l.uids[namespace]
	l.mu.Unlock()
	return l.pubSub.isConfirmed(l.subChannel(namespace, uid)) && (l.a.asEmitter() != nil || l.pubSub.isConfirmed(l.mainChannel(namespace)))
}

func (l *shardedLink) roomChanged(namespace, room string, private, isOpen bool) {
	if !l.roomHasChannel(private) {
		return
	}
	name := l.subChannel(namespace, room)
	l.mu.Lock()
	defer l.mu.Unlock()
	if isOpen {
		if l.roomChannels[name]++; l.roomChannels[name] == 1 {
			l.routing.add(name, route{namespace, l.handle})
			l.pubSub.set(true, name)
		}
		return
	}
	if l.roomChannels[name]--; l.roomChannels[name] <= 0 {
		delete(l.roomChannels, name)
		l.routing.remove(name)
		l.pubSub.set(false, name)
	}
}

func (l *shardedLink) findPeers(context.Context, string) error { return nil } // Redis knows all nodes

func (l *shardedLink) catchUp(context.Context, *frame) {} // on a Redis Cluster, channels have no common order

func (l *shardedLink) run(ctx context.Context) { l.pubSub.run(ctx) }

func (l *shardedLink) handle(namespace, channel string, data []byte) {
	l.a.receive(channel, data, func(data []byte) (*frame, error) { return l.decode(namespace, data) })
}

func (l *shardedLink) publish(ctx context.Context, _, channel string, data []byte) error {
	data, err := l.a.signer.seal(channelPlace(channel), data)
	if err != nil {
		return err
	}
	return l.pubSub.publish(ctx, channel, data)
}

// countNodes returns the number of subscribers of a namespace's main channel.
func (l *shardedLink) countNodes(ctx context.Context, namespace string) (int, error) {
	return l.pubSub.count(ctx, l.mainChannel(namespace))
}
