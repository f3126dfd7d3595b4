package redisadapter

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// maxSilence is how long a subscription may be quiet until it is given up.
	maxSilence = 5 * time.Second
	// beats is how often it is looked at in this time. One that is quiet is asked whether
	// it is alive.
	beats = 5
	// minPause and maxPause bound the pauses between attempts to connect.
	minPause = 20 * time.Millisecond
	maxPause = time.Second
)

// way is how a channel is subscribed to.
type way uint8

const (
	plain way = iota
	pattern
	shard
)

// channel is one thing to subscribe to.
type channel struct {
	way  way
	name string
}

// listener keeps one connection subscribed to a changing set of channels. Its set may
// be changed before it runs.
type listener struct {
	connect func(ctx context.Context) *goredis.PubSub
	got     func(m *goredis.Message)
	apart   bool          // one command for each channel: they are in different slots
	once    bool          // it ends with its connection
	silence time.Duration // maxSilence, but in tests
	moved   func(name string)

	wake  chan struct{}
	heard atomic.Bool

	mu    sync.Mutex // guards what follows; nothing is called under it
	want  map[channel]bool
	dirty map[channel]struct{}
	known map[string]bool // what Redis has confirmed on the present connection
	left  map[string]int  // sharded channels that it was told to leave there, and has not answered
	ps    *goredis.PubSub
}

func newListener() *listener {
	return &listener{
		silence: maxSilence,
		wake:    make(chan struct{}, 1),
		want:    make(map[channel]bool),
		dirty:   make(map[channel]struct{}),
		known:   make(map[string]bool),
		left:    make(map[string]int),
	}
}

// set changes what is wanted. It does not wait.
func (l *listener) set(wanted bool, channels ...channel) {
	l.mu.Lock()
	for _, c := range channels {
		if l.want[c] == wanted {
			continue
		}
		if wanted {
			l.want[c] = true
		} else {
			delete(l.want, c)
		}
		l.dirty[c] = struct{}{}
	}
	l.mu.Unlock()
	l.poke()
}

func (l *listener) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// hears says whether Redis has confirmed a channel.
func (l *listener) hears(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[name]
}

// run listens until ctx ends, or until the connection does when it is to be used once.
func (l *listener) run(ctx context.Context) {
	for pause := minPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
		if l.session(ctx) {
			pause = minPause
		}
		if l.once {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)): // jitter: not all nodes at once
		}
	}
}

// session listens on one connection until it ends. It reports whether it ever worked.
func (l *listener) session(ctx context.Context) (worked bool) {
	ctx, cancel := context.WithCancel(ctx)
	ps := l.connect(ctx)
	l.mu.Lock()
	l.ps = ps
	clear(l.known)
	clear(l.left)
	clear(l.dirty)
	for c := range l.want {
		l.dirty[c] = struct{}{}
	}
	l.mu.Unlock()
	l.poke()
	var writing sync.WaitGroup
	writing.Go(func() { // ends with ctx; waited for below
		l.write(ctx, ps)
		_ = ps.Close() // wakes Receive
	})
	for {
		msg, err := ps.Receive(ctx)
		if l.moved != nil && goredis.HasErrorPrefix(err, "MOVED") { // the answer to a subscription
			l.stray()
			continue
		}
		if err != nil {
			break
		}
		worked = true
		l.heard.Store(true)
		l.take(msg)
	}
	cancel()
	writing.Wait()
	l.mu.Lock()
	clear(l.known)
	l.mu.Unlock()
	return worked
}

// stray gives up the channels that Redis has not confirmed: the slot of one of them,
// which it does not name, is another node's.
func (l *listener) stray() {
	l.mu.Lock()
	clear(l.left) // perhaps it was the answer to one of them
	var lost []string
	for c := range l.want {
		if c.way == shard && !l.known[c.name] {
			lost = append(lost, c.name)
		}
	}
	l.mu.Unlock()
	for _, name := range lost {
		l.moved(name)
	}
}

// take handles one thing that Redis sent.
func (l *listener) take(msg any) {
	switch m := msg.(type) {
	case *goredis.Message:
		l.got(m)
	case *goredis.Subscription:
		switch m.Kind {
		case "subscribe", "psubscribe", "ssubscribe":
			l.mu.Lock()
			l.known[m.Channel] = true
			l.mu.Unlock()
		case "sunsubscribe":
			l.mu.Lock()
			delete(l.known, m.Channel)
			lost := l.want[channel{shard, m.Channel}]
			if l.left[m.Channel] > 0 { // it answers; since then the channel may be wanted again
				l.left[m.Channel]--
				lost = false
			}
			if l.left[m.Channel] == 0 {
				delete(l.left, m.Channel)
			}
			l.mu.Unlock()
			if lost && l.moved != nil {
				l.moved(m.Channel) // its slot has moved to another node
			}
		}
	}
}

// write tells Redis what is wanted and looks after the connection's health, until ctx
// ends or the connection fails.
func (l *listener) write(ctx context.Context, ps *goredis.PubSub) {
	ticker := time.NewTicker(l.silence / beats)
	defer ticker.Stop()
	quiet := 0 // beats in a row
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			if l.flush(ctx, ps) != nil {
				return
			}
		case <-ticker.C:
			if quiet++; l.heard.Swap(false) {
				quiet = 0
			}
			if quiet > beats || quiet == 1 && ps.Ping(ctx) != nil {
				return // it does not answer
			}
		}
	}
}

// flush subscribes to and unsubscribes from what has changed.
func (l *listener) flush(ctx context.Context, ps *goredis.PubSub) error {
	l.mu.Lock()
	add, drop := make(map[way][]string), make(map[way][]string)
	for c := range l.dirty {
		if l.want[c] {
			add[c.way] = append(add[c.way], c.name)
		} else {
			drop[c.way] = append(drop[c.way], c.name)
			delete(l.known, c.name)
			if c.way == shard {
				l.left[c.name]++
			}
		}
	}
	clear(l.dirty)
	l.mu.Unlock()
	// Patterns first: who counts the subscribers of a channel may then publish.
	for _, step := range []struct {
		names []string
		do    func(context.Context, ...string) error
	}{
		{drop[plain], ps.Unsubscribe}, {drop[pattern], ps.PUnsubscribe}, {drop[shard], ps.SUnsubscribe},
		{add[pattern], ps.PSubscribe}, {add[plain], ps.Subscribe}, {add[shard], ps.SSubscribe},
	} {
		if len(step.names) == 0 {
			continue // without names, all would be unsubscribed
		}
		if !l.apart {
			if err := step.do(ctx, step.names...); err != nil {
				return err
			}
			continue
		}
		for _, n := range step.names {
			if err := step.do(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}
