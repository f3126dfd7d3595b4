package redisadapter

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// shards listens on sharded channels: on a Redis Cluster, each at the node that has
// its slot, with one connection to each such node. A single Redis is a cluster of one.
type shards struct {
	client goredis.UniversalClient
	got    func(m *goredis.Message)

	wake    chan struct{}
	running sync.WaitGroup // listeners

	mu    sync.Mutex // guards what follows; nothing is called under it
	want  map[string]bool
	dirty map[string]struct{}
	stale bool                 // a slot has moved, or a node has gone
	at    map[string]*listener // where a channel is subscribed to
	nodes map[*goredis.Client]*listener
}

func newShards(client goredis.UniversalClient, got func(*goredis.Message)) *shards {
	return &shards{
		client: client,
		got:    got,
		wake:   make(chan struct{}, 1),
		want:   make(map[string]bool),
		dirty:  make(map[string]struct{}),
		at:     make(map[string]*listener),
		nodes:  make(map[*goredis.Client]*listener),
	}
}

// set changes what is wanted. It does not wait.
func (s *shards) set(wanted bool, names ...string) {
	s.mu.Lock()
	for _, n := range names {
		if s.want[n] == wanted {
			continue
		}
		if wanted {
			s.want[n] = true
		} else {
			delete(s.want, n)
		}
		s.dirty[n] = struct{}{}
	}
	s.mu.Unlock()
	s.poke()
}

func (s *shards) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// hears says whether Redis has confirmed a channel.
func (s *shards) hears(name string) bool {
	s.mu.Lock()
	l := s.at[name]
	s.mu.Unlock()
	return l != nil && l.hears(name)
}

// run listens until ctx ends.
func (s *shards) run(ctx context.Context) {
	defer s.running.Wait()
	for pause := minPause; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.relearn(ctx)
		if s.route(ctx) {
			pause = minPause
			continue
		}
		select { // a slot has no node at present, or Redis is away
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, maxPause)
		s.poke()
	}
}

// relearn looks up the slots when they have changed. It waits a little, as the cluster's
// nodes learn of it one after the other.
func (s *shards) relearn(ctx context.Context) {
	s.mu.Lock()
	stale := s.stale
	s.stale = false
	s.mu.Unlock()
	if !stale {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(minPause):
		relearn(ctx, s.client)
	}
}

// route gives each channel that has changed to the listener of its node. It reports
// whether all have one.
func (s *shards) route(ctx context.Context) bool {
	s.mu.Lock()
	names := make([]string, 0, len(s.dirty))
	for n := range s.dirty {
		names = append(names, n)
	}
	s.mu.Unlock()
	all := true
	for _, n := range names {
		node, err := owner(ctx, s.client, n)
		if err != nil {
			all = false
			if ctx.Err() != nil {
				return false
			}
			continue
		}
		s.place(ctx, n, node)
	}
	return all
}

// place has a channel listened to at its node alone, or nowhere when it is not wanted.
func (s *shards) place(ctx context.Context, name string, node *goredis.Client) {
	s.mu.Lock()
	delete(s.dirty, name)
	was := s.at[name]
	var now *listener
	if s.want[name] {
		if now = s.nodes[node]; now == nil {
			now = s.listen(ctx, node)
		}
		s.at[name] = now
	} else {
		delete(s.at, name)
	}
	s.mu.Unlock()
	if was != nil && was != now {
		was.set(false, channel{shard, name})
	}
	if now != nil {
		now.set(true, channel{shard, name})
	}
}

// listen begins to listen at a node. The caller holds the lock.
func (s *shards) listen(ctx context.Context, node *goredis.Client) *listener {
	_, cluster := s.client.(*goredis.ClusterClient)
	l := newListener()
	l.connect = func(ctx context.Context) *goredis.PubSub { return node.SSubscribe(ctx) }
	l.got, l.apart, l.once, l.moved = s.got, cluster, true, s.again
	s.nodes[node] = l
	s.running.Go(func() { // ends with ctx or its connection; run waits
		l.run(ctx)
		s.ended(ctx, node, l)
	})
	return l
}

// again looks anew for the node of a channel.
func (s *shards) again(name string) {
	s.mu.Lock()
	if l := s.at[name]; l != nil {
		delete(s.at, name)
		defer l.set(false, channel{shard, name})
	}
	s.dirty[name], s.stale = struct{}{}, true
	s.mu.Unlock()
	s.poke()
}

// ended looks anew for the nodes of all channels of a listener whose connection broke.
func (s *shards) ended(ctx context.Context, node *goredis.Client, l *listener) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(minPause + rand.N(10*minPause)): // a node that is down is not asked all the time
	}
	s.mu.Lock()
	s.stale = true
	if s.nodes[node] == l {
		delete(s.nodes, node)
	}
	for name, at := range s.at {
		if at == l {
			delete(s.at, name)
			s.dirty[name] = struct{}{}
		}
	}
	s.mu.Unlock()
	s.poke()
}
