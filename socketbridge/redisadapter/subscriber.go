package redisadapter

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// maxSilence is how long a connection may be silent before it counts as dead.
	maxSilence = 5 * time.Second
	// checksPerSilence is how often a silent connection is checked within maxSilence.
	// The first check sends a ping.
	checksPerSilence = 5
	// minBackoff and maxBackoff bound the pauses between attempts to reconnect.
	minBackoff = 20 * time.Millisecond
	maxBackoff = time.Second
)

// jittered returns a random duration between half of a backoff and all of it, so that
// nodes do not reconnect at the same moment.
func jittered(backoff time.Duration) time.Duration { return backoff/2 + rand.N(backoff/2) }

// subscriptionKind is the command with which a channel is subscribed to.
type subscriptionKind uint8

const (
	byName    subscriptionKind = iota // SUBSCRIBE
	byPattern                         // PSUBSCRIBE
	byShard                           // SSUBSCRIBE
)

// subscription is a channel or pattern to subscribe to.
type subscription struct {
	kind subscriptionKind
	name string
}

// subscriber keeps one connection subscribed to a changing set of channels, and
// reconnects with a backoff. The set may be changed before run is called.
type subscriber struct {
	connect    func(ctx context.Context) *goredis.PubSub
	onMessage  func(m *goredis.Message)
	onRefused  func(error)       // called when Redis refuses a command, for example for lack of permission; may be nil
	onMoved    func(name string) // called for a sharded channel whose slot left the connection's Redis node; may be nil
	perChannel bool              // send one command for each channel, because their slots differ
	singleUse  bool              // run returns when its first connection ends
	maxSilence time.Duration     // the constant, except in tests

	wake  chan struct{} // has an element when the wanted set changed
	alive atomic.Bool   // something arrived since the last check

	mu           sync.Mutex // guards the fields below; nothing is called while it is held
	wanted       map[subscription]bool
	dirty        map[subscription]struct{} // changed since the last flush
	confirmed    map[string]bool           // subscriptions that Redis has confirmed on the current connection
	unsubscribed map[string]int            // sharded channels: SUNSUBSCRIBE commands that Redis has not confirmed yet
}

func newSubscriber() *subscriber {
	return &subscriber{
		maxSilence:   maxSilence,
		wake:         make(chan struct{}, 1),
		wanted:       make(map[subscription]bool),
		dirty:        make(map[subscription]struct{}),
		confirmed:    make(map[string]bool),
		unsubscribed: make(map[string]int),
	}
}

// set adds channels to the wanted set or removes them. It does not block.
func (s *subscriber) set(wanted bool, channels ...subscription) {
	s.mu.Lock()
	for _, c := range channels {
		if s.wanted[c] == wanted {
			continue
		}
		if wanted {
			s.wanted[c] = true
		} else {
			delete(s.wanted, c)
		}
		s.dirty[c] = struct{}{}
	}
	s.mu.Unlock()
	s.notify()
}

// notify makes maintain flush.
func (s *subscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // already notified
	}
}

// isConfirmed reports whether Redis has confirmed a subscription.
func (s *subscriber) isConfirmed(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.confirmed[name]
}

// run receives until ctx ends or, with singleUse, until the connection ends.
func (s *subscriber) run(ctx context.Context) {
	for backoff := minBackoff; ctx.Err() == nil; backoff = min(2*backoff, maxBackoff) {
		if s.runConnection(ctx) {
			backoff = minBackoff
		}
		if s.singleUse {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(jittered(backoff)):
		}
	}
}

// runConnection receives on one connection until it ends. It reports whether anything
// arrived.
func (s *subscriber) runConnection(ctx context.Context) (worked bool) {
	ctx, cancel := context.WithCancel(ctx)
	ps := s.connect(ctx)
	s.mu.Lock()
	clear(s.confirmed)
	clear(s.unsubscribed)
	clear(s.dirty)
	for c := range s.wanted {
		s.dirty[c] = struct{}{}
	}
	s.mu.Unlock()
	s.notify()
	var maintaining sync.WaitGroup
	maintaining.Go(func() { // ends with ctx; waited for below
		s.maintain(ctx, ps)
		_ = ps.Close() // unblocks Receive
	})
	for {
		msg, err := ps.Receive(ctx)
		if s.onMoved != nil && goredis.HasErrorPrefix(err, "MOVED") { // the reply to an SSUBSCRIBE or SUNSUBSCRIBE
			s.moveUnconfirmed()
			continue
		}
		if err != nil {
			if reply := goredis.Error(nil); errors.As(err, &reply) && s.onRefused != nil {
				s.onRefused(err)
			}
			break
		}
		worked = true
		s.alive.Store(true)
		s.handle(msg)
	}
	cancel()
	maintaining.Wait()
	s.mu.Lock()
	clear(s.confirmed)
	s.mu.Unlock()
	return worked
}

// moveUnconfirmed calls onMoved for all sharded channels that Redis has not confirmed. A
// MOVED error means that the slot of one of them belongs to another Redis node, but does
// not name the channel.
func (s *subscriber) moveUnconfirmed() {
	s.mu.Lock()
	clear(s.unsubscribed) // the error may be the reply to one of these commands
	var unconfirmed []string
	for c := range s.wanted {
		if c.kind == byShard && !s.confirmed[c.name] {
			unconfirmed = append(unconfirmed, c.name)
		}
	}
	s.mu.Unlock()
	for _, name := range unconfirmed {
		s.onMoved(name)
	}
}

// handle handles a message or a confirmation.
func (s *subscriber) handle(msg any) {
	switch m := msg.(type) {
	case *goredis.Message:
		s.onMessage(m)
	case *goredis.Subscription:
		switch m.Kind {
		case "subscribe", "psubscribe", "ssubscribe":
			s.mu.Lock()
			s.confirmed[m.Channel] = true
			s.mu.Unlock()
		case "sunsubscribe":
			s.mu.Lock()
			delete(s.confirmed, m.Channel)
			moved := s.wanted[subscription{byShard, m.Channel}]
			if s.unsubscribed[m.Channel] > 0 { // the reply to a command; the channel may be wanted again by now
				s.unsubscribed[m.Channel]--
				moved = false
			}
			if s.unsubscribed[m.Channel] == 0 {
				delete(s.unsubscribed, m.Channel)
			}
			s.mu.Unlock()
			if moved && s.onMoved != nil {
				s.onMoved(m.Channel) // Redis unsubscribed it, because its slot moved to another Redis node
			}
		}
	}
}

// maintain sends subscription changes to Redis and checks the connection, until ctx ends
// or the connection fails.
func (s *subscriber) maintain(ctx context.Context, ps *goredis.PubSub) {
	ticker := time.NewTicker(s.maxSilence / checksPerSilence)
	defer ticker.Stop()
	silentChecks := 0 // in a row
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			if s.flush(ctx, ps) != nil {
				return
			}
		case <-ticker.C:
			if silentChecks++; s.alive.Swap(false) {
				silentChecks = 0
			}
			if silentChecks > checksPerSilence || silentChecks == 1 && ps.Ping(ctx) != nil {
				return // the connection is dead
			}
		}
	}
}

// flush subscribes to and unsubscribes from the channels that changed.
func (s *subscriber) flush(ctx context.Context, ps *goredis.PubSub) error {
	s.mu.Lock()
	add, remove := make(map[subscriptionKind][]string), make(map[subscriptionKind][]string)
	for c := range s.dirty {
		if s.wanted[c] {
			add[c.kind] = append(add[c.kind], c.name)
		} else {
			remove[c.kind] = append(remove[c.kind], c.name)
			delete(s.confirmed, c.name)
			if c.kind == byShard {
				s.unsubscribed[c.name]++
			}
		}
	}
	clear(s.dirty)
	s.mu.Unlock()
	// Patterns come first: once another node counts this one as a subscriber of a
	// channel, its broadcasts must arrive here.
	for _, step := range []struct {
		names []string
		do    func(context.Context, ...string) error
	}{
		{remove[byName], ps.Unsubscribe}, {remove[byPattern], ps.PUnsubscribe}, {remove[byShard], ps.SUnsubscribe},
		{add[byPattern], ps.PSubscribe}, {add[byName], ps.Subscribe}, {add[byShard], ps.SSubscribe},
	} {
		if len(step.names) == 0 {
			continue // an unsubscribe command without names would unsubscribe from everything
		}
		if !s.perChannel {
			if err := step.do(ctx, step.names...); err != nil {
				return err
			}
			continue
		}
		for _, name := range step.names {
			if err := step.do(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
