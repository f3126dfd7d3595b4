package redisadapter

import (
	"context"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// link is a format and the channels on which it is spoken.
type link interface {
	// open subscribes to what node uid needs of a namespace.
	open(namespace, uid string)
	// hears says whether replies to this node's questions would arrive.
	hears(namespace string) bool
	// room follows the first and last socket in a room.
	room(namespace, room string, private, open bool)
	// run listens until ctx ends.
	run(ctx context.Context)
	// nodes counts the nodes that serve a namespace.
	nodes(ctx context.Context, namespace string) (int, error)

	message(m *adapter.Message, uid, requestID string) (channel string, data []byte, err error)
	reply(f *frame, uid string, r *adapter.Reply) (channel string, data []byte, err error)
	send(ctx context.Context, namespace, channel string, data []byte) error
}

// places says what a channel or pattern that is subscribed to is for.
type places struct {
	mu sync.RWMutex
	m  map[string]place
}

type place struct {
	namespace string
	read      func(namespace, channel string, data []byte)
}

func (p *places) put(name string, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = make(map[string]place)
	}
	p.m[name] = at
}

func (p *places) drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.m, name)
}

// got reads a message by where it came.
func (p *places) got(m *goredis.Message) {
	name := m.Pattern
	if name == "" {
		name = m.Channel
	}
	p.mu.RLock()
	at, known := p.m[name]
	p.mu.RUnlock()
	if known {
		at.read(at.namespace, m.Channel, []byte(m.Payload))
	}
}

// classicLink speaks classic.
type classicLink struct {
	classic
	a        *Adapter
	listener *listener
	places   places

	mu   sync.Mutex
	uids map[string]string // what hears looks at, by namespace
}

func newClassicLink(a *Adapter) *classicLink {
	l := &classicLink{classic: classic{key: a.cfg.Key, shared: a.cfg.SharedResponses}, a: a, listener: newListener(), uids: make(map[string]string)}
	l.listener.connect = func(ctx context.Context) *goredis.PubSub {
		relearn(ctx, a.client) // the node that listened for this one may have been replaced
		return a.client.Subscribe(ctx)
	}
	l.listener.got = l.places.got
	return l
}

// escape takes the meaning from what a pattern gives one.
var escape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func (l *classicLink) open(namespace, uid string) {
	all := escape.Replace(l.broadcasts(namespace)) + "*"
	requests, replies, own := l.requests(namespace), l.replies(namespace), l.repliesTo(namespace, uid)
	l.places.put(all, place{namespace, l.broadcast})
	l.places.put(requests, place{namespace, l.request})
	l.places.put(replies, place{namespace, l.answer})
	l.places.put(own, place{namespace, l.answer})
	l.mu.Lock()
	l.uids[namespace] = uid
	l.mu.Unlock()
	l.listener.set(true, channel{pattern, all}, channel{plain, replies}, channel{plain, own}, channel{plain, requests})
}

func (l *classicLink) hears(namespace string) bool {
	l.mu.Lock()
	uid := l.uids[namespace]
	l.mu.Unlock()
	return l.listener.hears(l.repliesTo(namespace, uid)) && l.listener.hears(l.replies(namespace))
}

func (l *classicLink) room(string, string, bool, bool) {} // the pattern has all rooms

func (l *classicLink) run(ctx context.Context) { l.listener.run(ctx) }

func (l *classicLink) broadcast(namespace, channel string, data []byte) {
	room := strings.TrimPrefix(channel, l.broadcasts(namespace))
	if room != "" && !l.a.rooms.has(namespace, strings.TrimSuffix(room, "#")) {
		return // nobody here is in it
	}
	l.a.read(data, func() (*frame, error) { return l.readBroadcast(namespace, data) })
}

func (l *classicLink) request(namespace, _ string, data []byte) {
	l.a.read(data, func() (*frame, error) { return l.readRequest(namespace, data) })
}

func (l *classicLink) answer(_, _ string, data []byte) {
	l.a.read(data, func() (*frame, error) { return l.readReply(data) })
}

func (l *classicLink) reply(f *frame, _ string, r *adapter.Reply) (string, []byte, error) {
	return l.classic.reply(f, r)
}

// send publishes, on a Redis Cluster always at the same node: they pass on to each
// other what they get, each in its own time.
func (l *classicLink) send(ctx context.Context, namespace, channel string, data []byte) error {
	return once(ctx, l.a.client, l.broadcasts(namespace), func(c goredis.Cmdable) goredis.Cmder {
		return c.Publish(ctx, channel, data)
	})
}

// nodes adds up the subscribers of all nodes of a Redis Cluster: each knows its own.
func (l *classicLink) nodes(ctx context.Context, namespace string) (int, error) {
	requests := l.requests(namespace)
	cluster, ok := l.a.client.(*goredis.ClusterClient)
	if !ok {
		counts, err := l.a.client.PubSubNumSub(ctx, requests).Result()
		return int(counts[requests]), err
	}
	var mu sync.Mutex
	var sum int64
	err := cluster.ForEachShard(ctx, func(ctx context.Context, node *goredis.Client) error {
		counts, err := node.PubSubNumSub(ctx, requests).Result()
		mu.Lock()
		defer mu.Unlock()
		sum += counts[requests]
		return err
	})
	return int(sum), err
}

// shardedLink speaks cluster messages on sharded channels.
type shardedLink struct {
	cluster
	a      *Adapter
	shards *shards
	places places

	mu    sync.Mutex
	uids  map[string]string // what hears looks at, by namespace
	rooms map[string]int    // how many rooms of this node need a channel: a socket's own, and one that others joined
}

func newShardedLink(a *Adapter) *shardedLink {
	l := &shardedLink{cluster: cluster{key: a.cfg.Key, mode: a.cfg.Mode}, a: a, uids: make(map[string]string), rooms: make(map[string]int)}
	l.shards = newShards(a.client, l.places.got)
	return l
}

func (l *shardedLink) open(namespace, uid string) {
	own, all := l.sub(namespace, uid), l.main(namespace)
	l.places.put(own, place{namespace, l.receive})
	l.places.put(all, place{namespace, l.receive})
	l.mu.Lock()
	l.uids[namespace] = uid
	l.mu.Unlock()
	l.shards.set(true, own, all)
}

func (l *shardedLink) hears(namespace string) bool {
	l.mu.Lock()
	uid := l.uids[namespace]
	l.mu.Unlock()
	return l.shards.hears(l.sub(namespace, uid)) && l.shards.hears(l.main(namespace))
}

func (l *shardedLink) room(namespace, room string, private, open bool) {
	if !l.roomHasChannel(private) {
		return
	}
	name := l.sub(namespace, room)
	l.mu.Lock()
	defer l.mu.Unlock()
	if open {
		if l.rooms[name]++; l.rooms[name] == 1 {
			l.places.put(name, place{namespace, l.receive})
			l.shards.set(true, name)
		}
		return
	}
	if l.rooms[name]--; l.rooms[name] <= 0 {
		delete(l.rooms, name)
		l.places.drop(name)
		l.shards.set(false, name)
	}
}

func (l *shardedLink) run(ctx context.Context) { l.shards.run(ctx) }

func (l *shardedLink) receive(namespace, _ string, data []byte) {
	l.a.read(data, func() (*frame, error) { return l.read(namespace, data) })
}

// send publishes at the node that the channel belongs to.
func (l *shardedLink) send(ctx context.Context, _, channel string, data []byte) error {
	return once(ctx, l.a.client, channel, func(c goredis.Cmdable) goredis.Cmder {
		return c.SPublish(ctx, channel, data)
	})
}

func (l *shardedLink) nodes(ctx context.Context, namespace string) (int, error) {
	all := l.main(namespace)
	node, err := owner(ctx, l.a.client, all)
	if err != nil {
		return 0, err
	}
	counts, err := node.PubSubShardNumSub(ctx, all).Result()
	return int(counts[all]), err
}
