package redisadapter

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// shardedLink carries cluster messages over sharded pub/sub.
type shardedLink struct {
	shardedFormat
	a          *Adapter
	subscriber *shardedSubscriber
	routing    routingTable

	mu           sync.Mutex
	uids         map[string]string // this node's uid, by subscribed namespace
	roomChannels map[string]int    // how many open rooms need a channel: 2 if a socket's own room was also joined by others
}

func newShardedLink(a *Adapter) *shardedLink {
	l := &shardedLink{shardedFormat: shardedFormat{key: a.cfg.Key, mode: a.cfg.Mode}, a: a, uids: make(map[string]string), roomChannels: make(map[string]int)}
	l.subscriber = newShardedSubscriber(a.client, l.routing.dispatch)
	return l
}

func (l *shardedLink) subscribe(namespace, uid string) {
	own, common := l.subChannel(namespace, uid), l.mainChannel(namespace)
	l.routing.add(own, route{namespace, l.handle})
	l.routing.add(common, route{namespace, l.handle})
	l.mu.Lock()
	l.uids[namespace] = uid
	l.mu.Unlock()
	l.subscriber.set(true, own, common)
}

func (l *shardedLink) receivesReplies(namespace string) bool {
	l.mu.Lock()
	uid := l.uids[namespace]
	l.mu.Unlock()
	return l.subscriber.isConfirmed(l.subChannel(namespace, uid)) && l.subscriber.isConfirmed(l.mainChannel(namespace))
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
			l.subscriber.set(true, name)
		}
		return
	}
	if l.roomChannels[name]--; l.roomChannels[name] <= 0 {
		delete(l.roomChannels, name)
		l.routing.remove(name)
		l.subscriber.set(false, name)
	}
}

func (l *shardedLink) run(ctx context.Context) { l.subscriber.run(ctx) }

func (l *shardedLink) handle(namespace, _ string, data []byte) {
	l.a.receive(data, func() (*frame, error) { return l.decode(namespace, data) })
}

// publish publishes at the Redis node that has the channel's slot.
func (l *shardedLink) publish(ctx context.Context, _, channel string, data []byte) error {
	return sendOnce(ctx, l.a.client, channel, func(c goredis.Cmdable) goredis.Cmder {
		return c.SPublish(ctx, channel, data)
	})
}

// countNodes returns the number of subscribers of a namespace's main channel.
func (l *shardedLink) countNodes(ctx context.Context, namespace string) (int, error) {
	channel := l.mainChannel(namespace)
	node, err := slotOwner(ctx, l.a.client, channel)
	if err != nil {
		return 0, err
	}
	counts, err := node.PubSubShardNumSub(ctx, channel).Result()
	return int(counts[channel]), err
}
