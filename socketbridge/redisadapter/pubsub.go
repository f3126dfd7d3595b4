package redisadapter

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// pubSub is one of the two kinds of Redis's channels: plain (plainPubSub) and sharded
// (shardedSubscriber).
type pubSub interface {
	// set adds channels to the subscribed ones or removes them. It does not block.
	set(wanted bool, names ...string)
	// isConfirmed reports whether Redis has confirmed a subscription.
	isConfirmed(name string) bool
	// run receives until ctx ends.
	run(ctx context.Context)
	// publish publishes once: a command whose reply was lost is not repeated.
	publish(ctx context.Context, channel string, data []byte) error
	// count returns the number of subscribers of a channel.
	count(ctx context.Context, channel string) (int, error)
}

// plainPubSub is the pub/sub of every Redis.
type plainPubSub struct {
	*subscriber
	client goredis.UniversalClient
}

var (
	_ pubSub = (*plainPubSub)(nil)
	_ pubSub = (*shardedSubscriber)(nil)
)

func newPlainPubSub(a *Adapter, onMessage func(*goredis.Message)) *plainPubSub {
	s := newSubscriber()
	s.connect = func(ctx context.Context) *goredis.PubSub {
		reloadSlots(ctx, a.client) // the Redis node of the last connection may have been replaced
		return a.client.Subscribe(ctx)
	}
	s.onMessage, s.onRefused = onMessage, a.reportRefused
	return &plainPubSub{subscriber: s, client: a.client}
}

func (p *plainPubSub) set(wanted bool, names ...string) {
	channels := make([]subscription, len(names))
	for i, n := range names {
		channels[i] = subscription{byName, n}
	}
	p.subscriber.set(wanted, channels...)
}

func (p *plainPubSub) publish(ctx context.Context, channel string, data []byte) error {
	return publishPlain(ctx, p.client, channel, channel, data)
}

// publishPlain publishes at the Redis node that has the slot of a key. Messages that were
// published at different nodes of a Redis Cluster could overtake each other on their way to a
// subscriber.
func publishPlain(ctx context.Context, client goredis.UniversalClient, key, channel string, data []byte) error {
	return sendOnce(ctx, client, key, func(c goredis.Cmdable) goredis.Cmder {
		return c.Publish(ctx, channel, data)
	})
}

// count sums the subscribers over all nodes of a Redis Cluster, because each of them knows
// only its own.
func (p *plainPubSub) count(ctx context.Context, channel string) (int, error) {
	cluster, ok := p.client.(*goredis.ClusterClient)
	if !ok {
		counts, err := p.client.PubSubNumSub(ctx, channel).Result()
		return int(counts[channel]), err
	}
	var mu sync.Mutex
	var sum int64
	err := cluster.ForEachShard(ctx, func(ctx context.Context, node *goredis.Client) error {
		counts, err := node.PubSubNumSub(ctx, channel).Result()
		mu.Lock()
		defer mu.Unlock()
		sum += counts[channel]
		return err
	})
	return int(sum), err
}
