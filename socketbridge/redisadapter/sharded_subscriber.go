package redisadapter

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// shardedSubscriber subscribes to sharded channels. On a Redis Cluster, each channel is
// subscribed to at the Redis node that has its slot, over one connection per Redis node. A
// single Redis is treated as a cluster of one node.
type shardedSubscriber struct {
	client    goredis.UniversalClient
	onMessage func(m *goredis.Message)
	onRefused func(error)

	wake    chan struct{}  // has an element when a channel must be routed
	running sync.WaitGroup // the nodes' subscribers

	mu     sync.Mutex // guards the fields below; nothing is called while it is held
	wanted map[string]bool
	dirty  map[string]struct{}             // channels that must be routed
	stale  bool                            // a slot has moved or a connection has ended
	placed map[string]*subscriber          // where each channel is subscribed to
	nodes  map[*goredis.Client]*subscriber // one for each Redis node
}

func newShardedSubscriber(a *Adapter, onMessage func(*goredis.Message)) *shardedSubscriber {
	return &shardedSubscriber{
		client:    a.client,
		onMessage: onMessage,
		onRefused: a.reportRefused,
		wake:      make(chan struct{}, 1),
		wanted:    make(map[string]bool),
		dirty:     make(map[string]struct{}),
		placed:    make(map[string]*subscriber),
		nodes:     make(map[*goredis.Client]*subscriber),
	}
}

// set adds channels to the wanted set or removes them. It does not block.
func (s *shardedSubscriber) set(wanted bool, names ...string) {
	s.mu.Lock()
	for _, n := range names {
		if s.wanted[n] == wanted {
			continue
		}
		if wanted {
			s.wanted[n] = true
		} else {
			delete(s.wanted, n)
		}
		s.dirty[n] = struct{}{}
	}
	s.mu.Unlock()
	s.notify()
}

// notify makes run route channels.
func (s *shardedSubscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // already notified
	}
}

// isConfirmed reports whether Redis has confirmed a subscription.
func (s *shardedSubscriber) isConfirmed(name string) bool {
	s.mu.Lock()
	sub := s.placed[name]
	s.mu.Unlock()
	return sub != nil && sub.isConfirmed(name)
}

// publish publishes at the Redis node that has the channel's slot.
func (s *shardedSubscriber) publish(ctx context.Context, channel string, data []byte) error {
	return sendOnce(ctx, s.client, channel, func(c goredis.Cmdable) goredis.Cmder {
		return c.SPublish(ctx, channel, data)
	})
}

// count returns the number of subscribers at the Redis node that has the channel's slot.
func (s *shardedSubscriber) count(ctx context.Context, channel string) (int, error) {
	node, err := slotOwner(ctx, s.client, channel)
	if err != nil {
		return 0, err
	}
	counts, err := node.PubSubShardNumSub(ctx, channel).Result()
	return int(counts[channel]), err
}

// run receives until ctx ends.
func (s *shardedSubscriber) run(ctx context.Context) {
	defer s.running.Wait()
	for backoff := minBackoff; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.reloadStaleSlots(ctx)
		if s.routeDirty(ctx) {
			backoff = minBackoff
			continue
		}
		select { // a slot has no Redis node at present, or Redis cannot be reached
		case <-ctx.Done():
		case <-time.After(jittered(backoff)):
		}
		backoff = min(2*backoff, maxBackoff)
		s.notify()
	}
}

// reloadStaleSlots reloads the slot map if it is stale. It waits for minBackoff first,
// because the nodes of a Redis Cluster learn about a change one after the other.
func (s *shardedSubscriber) reloadStaleSlots(ctx context.Context) {
	s.mu.Lock()
	stale := s.stale
	s.stale = false
	s.mu.Unlock()
	if !stale {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(minBackoff):
		reloadSlots(ctx, s.client)
	}
}

// routeDirty assigns each dirty channel to the subscriber of its Redis node. It reports
// whether all of them have one.
func (s *shardedSubscriber) routeDirty(ctx context.Context) bool {
	s.mu.Lock()
	names := make([]string, 0, len(s.dirty))
	for n := range s.dirty {
		names = append(names, n)
	}
	s.mu.Unlock()
	complete := true
	for _, n := range names {
		node, err := slotOwner(ctx, s.client, n)
		if err != nil {
			complete = false
			if ctx.Err() != nil {
				return false
			}
			continue
		}
		s.assign(ctx, n, node)
	}
	return complete
}

// assign subscribes to a channel at one Redis node only, or unsubscribes from it if it is
// not wanted.
func (s *shardedSubscriber) assign(ctx context.Context, name string, node *goredis.Client) {
	s.mu.Lock()
	delete(s.dirty, name)
	before := s.placed[name]
	var now *subscriber
	if s.wanted[name] {
		if now = s.nodes[node]; now == nil {
			now = s.startNode(ctx, node)
		}
		s.placed[name] = now
	} else {
		delete(s.placed, name)
	}
	s.mu.Unlock()
	if before != nil && before != now {
		before.set(false, subscription{byShard, name})
	}
	if now != nil {
		now.set(true, subscription{byShard, name})
	}
}

// startNode starts the subscriber of a Redis node. The caller holds s.mu.
func (s *shardedSubscriber) startNode(ctx context.Context, node *goredis.Client) *subscriber {
	_, cluster := s.client.(*goredis.ClusterClient)
	sub := newSubscriber()
	sub.connect = func(ctx context.Context) *goredis.PubSub { return node.SSubscribe(ctx) }
	sub.onMessage, sub.onRefused, sub.onMoved, sub.perChannel, sub.singleUse = s.onMessage, s.onRefused, s.reroute, cluster, true
	s.nodes[node] = sub
	s.running.Go(func() { // ends with ctx or its connection; run waits for it
		sub.run(ctx)
		s.rerouteAll(ctx, node, sub)
	})
	return sub
}

// reroute assigns a channel anew, because its slot has moved.
func (s *shardedSubscriber) reroute(name string) {
	s.mu.Lock()
	if sub := s.placed[name]; sub != nil {
		delete(s.placed, name)
		defer sub.set(false, subscription{byShard, name})
	}
	s.dirty[name], s.stale = struct{}{}, true
	s.mu.Unlock()
	s.notify()
}

// rerouteAll assigns all channels of a subscriber anew, because its connection has ended.
func (s *shardedSubscriber) rerouteAll(ctx context.Context, node *goredis.Client, sub *subscriber) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(minBackoff + rand.N(10*minBackoff)): // bounds the attempts to reach a Redis node that is down
	}
	s.mu.Lock()
	s.stale = true
	if s.nodes[node] == sub {
		delete(s.nodes, node)
	}
	for name, placed := range s.placed {
		if placed == sub {
			delete(s.placed, name)
			s.dirty[name] = struct{}{}
		}
	}
	s.mu.Unlock()
	s.notify()
}
