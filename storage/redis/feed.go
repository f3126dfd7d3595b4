package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

const (
	// defaultMaxSilence is how long a connection may stay silent after a ping before
	// the watch replaces it.
	defaultMaxSilence = 5 * time.Second
	// ticksPerSilence is how often, within the maximum silence, the watch pings the
	// connection or checks for a reply.
	ticksPerSilence = 10
	// minBackoff and maxBackoff bound the pauses between attempts to reconnect.
	minBackoff = 20 * time.Millisecond
	maxBackoff = time.Second
)

// The first byte of a message on a key's channel, as the scripts write it.
const (
	written = 'W' // followed by the value
	removed = 'D'
)

// Watch implements storage.Feed with pub/sub, on one connection per watch. It uses
// plain channels, not sharded ones: on a cluster every node forwards every change, so
// one connection receives them all, before and after slots move.
func (s *Storage) Watch(fn func(storage.Change)) (storage.Watch, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: nil function", storage.ErrInvalid)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{
		s:             s,
		fn:            fn,
		ctx:           ctx,
		cancel:        cancel,
		subscriptions: map[string]*subscription{},
		dirty:         map[string]struct{}{},
		unconfirmed:   map[string]int{},
		wake:          make(chan struct{}, 1),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready(ctx) != nil {
		cancel()
		return nil, storage.ErrClosed
	}
	s.watches[w] = struct{}{}
	w.ps = s.client.Subscribe(ctx)
	w.running.Go(w.receive) // ends with ctx and ps; Close waits
	w.running.Go(w.send)    // ends with ctx; Close waits
	return w, nil
}

// closeWatches closes all watches and waits for them. s.closed is closed already, so
// no new watch can open.
func (s *Storage) closeWatches() {
	s.mu.Lock()
	all := make([]*watch, 0, len(s.watches))
	for w := range s.watches {
		all = append(all, w)
	}
	s.mu.Unlock()
	for _, w := range all {
		_ = w.Close()
	}
}

// watch has two goroutines: receive reads messages, send subscribes, unsubscribes and
// pings. Add and Remove never use the connection themselves, so that they end with
// their context, and so that many of them share one command.
type watch struct {
	s        *Storage
	fn       func(storage.Change)
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	wake     chan struct{}
	received atomic.Bool // a message arrived since the last tick
	reading  atomic.Bool // receive waits for a message, and does not handle one

	mu            sync.Mutex // guards the fields below; no callback runs under it
	ps            *goredis.PubSub
	subscriptions map[string]*subscription // wanted, by channel
	dirty         map[string]struct{}      // channels that send must subscribe to or unsubscribe from
	unconfirmed   map[string]int           // SUBSCRIBE commands on this connection without a confirmation yet, by channel
	stale         *goredis.PubSub          // a connection that send must replace
	probe         probe
}

// probe measures until when the notifications are known to be complete. The watch
// sends PING on its subscribed connection. The reply comes after every message that
// was published before the PING, so none of those can still be missing.
type probe struct {
	id          uint64    // of the latest ping
	sentAt      time.Time // of the pending ping; zero if none is pending
	completeAt  time.Time // when the latest answered ping was sent; zero if unknown
	silentTicks int       // consecutive ticks with a pending ping and no message
}

// subscription is one wanted channel.
type subscription struct {
	live chan struct{} // closed at the first confirmation, or when the key is removed
	// confirmed is true while the server is known to be subscribed. A second
	// confirmation means that the connection was replaced in between.
	confirmed bool
}

// Add subscribes to keys, and waits until the server has confirmed.
func (w *watch) Add(ctx context.Context, keys ...string) error {
	if ctx.Err() != nil {
		return unavailable(ctx)
	}
	waits := make([]chan struct{}, 0, len(keys))
	w.mu.Lock()
	for _, key := range keys {
		channel := w.s.channel(w.s.name(key))
		sub := w.subscriptions[channel]
		if sub == nil {
			sub = &subscription{live: make(chan struct{})}
			w.subscriptions[channel] = sub
			w.dirty[channel] = struct{}{}
		}
		waits = append(waits, sub.live)
	}
	w.mu.Unlock()
	w.wakeSend()
	for _, live := range waits {
		select {
		case <-live:
		case <-ctx.Done():
			return unavailable(ctx)
		case <-w.ctx.Done():
			return storage.ErrClosed
		}
	}
	if w.ctx.Err() != nil {
		return storage.ErrClosed
	}
	return nil
}

// Remove stops reporting keys at once. The server is unsubscribed later, by send.
func (w *watch) Remove(keys ...string) {
	w.mu.Lock()
	for _, key := range keys {
		channel := w.s.channel(w.s.name(key))
		if sub := w.subscriptions[channel]; sub != nil {
			sub.release() // a concurrent Add of the key returns
			delete(w.subscriptions, channel)
			w.dirty[channel] = struct{}{}
		}
	}
	w.mu.Unlock()
	w.wakeSend()
}

// Close closes the watch and waits for its goroutines.
func (w *watch) Close() error {
	w.cancel()
	w.mu.Lock()
	ps := w.ps
	w.mu.Unlock()
	_ = ps.Close() // unblocks receive; closing twice is harmless
	w.running.Wait()
	w.s.mu.Lock()
	delete(w.s.watches, w)
	w.s.mu.Unlock()
	return nil
}

// renew replaces the connection, if it is still the present one when send gets to it.
func (w *watch) renew() {
	w.mu.Lock()
	w.stale = w.ps
	w.probe = probe{id: w.probe.id} // Lag is unknown from now on
	w.mu.Unlock()
	w.wakeSend()
}

func (w *watch) wakeSend() {
	select {
	case w.wake <- struct{}{}:
	default: // a wake-up is already pending
	}
}

// receive handles messages until the watch is closed. After a receive error, it
// replaces the connection.
func (w *watch) receive() {
	backoff := minBackoff
	for w.ctx.Err() == nil {
		w.mu.Lock()
		ps := w.ps
		w.mu.Unlock()
		w.reading.Store(true)
		msg, err := ps.Receive(w.ctx)
		w.reading.Store(false)
		if err == nil {
			w.received.Store(true)
			backoff = minBackoff
			w.handle(msg)
			continue
		}
		if w.ctx.Err() == nil {
			w.s.notices.Report(&feedBrokenNotice, "", "error", err)
		}
		w.reconnect(ps)
		select {
		case <-w.ctx.Done():
		case <-time.After(jittered(backoff)):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// jittered returns a random duration between half of a pause and all of it, so that
// nodes do not reconnect in step.
func jittered(pause time.Duration) time.Duration { return pause/2 + rand.N(pause/2) }

// reconnect replaces a broken connection, unless the watch is closed.
func (w *watch) reconnect(broken *goredis.PubSub) {
	_ = broken.Close()
	w.mu.Lock()
	w.probe = probe{id: w.probe.id}
	clear(w.unconfirmed)
	if w.ctx.Err() == nil {
		w.ps = w.s.client.Subscribe(w.ctx)
		for channel := range w.subscriptions {
			w.dirty[channel] = struct{}{}
		}
	}
	w.mu.Unlock()
	w.wakeSend()
}

// handle handles one message, on the goroutine of receive.
func (w *watch) handle(msg any) {
	switch m := msg.(type) {
	case *goredis.Subscription:
		if m.Kind == "subscribe" && w.confirm(m.Channel) {
			w.fn(storage.Change{Kind: storage.Gap})
		}
	case *goredis.Message:
		if change, ok := w.decode(m); ok {
			w.fn(change)
		}
	case *goredis.Pong:
		w.pong(m.Payload)
	}
}

// pong handles the reply to a ping. It ignores replies to pings of an earlier
// connection.
func (w *watch) pong(payload string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.probe.sentAt.IsZero() && payload == strconv.FormatUint(w.probe.id, 10) {
		w.probe.completeAt, w.probe.sentAt = w.probe.sentAt, time.Time{}
	}
}

// Lag implements storage.LagReporter. On a cluster, it is the bound of the node that
// the watch is connected to: Redis gives no bound for messages between nodes.
func (w *watch) Lag() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.probe.completeAt.IsZero() || w.ctx.Err() != nil {
		return 0, false
	}
	return time.Since(w.probe.completeAt), true
}

// confirm records that the server has subscribed to channel. It reports whether
// changes may have been missed before.
func (w *watch) confirm(channel string) (missed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.unconfirmed[channel]
	if n > 1 {
		w.unconfirmed[channel] = n - 1
	} else {
		delete(w.unconfirmed, channel)
	}
	if _, later := w.dirty[channel]; later || n > 1 {
		// The key was removed and added again. This confirmation is of an earlier
		// SUBSCRIBE, perhaps followed by an UNSUBSCRIBE, so it does not count.
		return false
	}
	sub := w.subscriptions[channel]
	if sub == nil {
		return false
	}
	if sub.confirmed {
		// This is the first confirmation on a new connection, opened by reconnect or
		// by go-redis itself. Either subscribes to all channels with one command, so
		// one Gap is enough.
		for _, other := range w.subscriptions {
			other.confirmed = false
		}
		missed = true
	}
	sub.confirmed = true
	sub.release()
	return missed
}

// release unblocks the Adds that wait for the subscription. The caller holds the
// watch's mu.
func (sub *subscription) release() {
	select {
	case <-sub.live:
	default:
		close(sub.live)
	}
}

// decode decodes a message. It ignores messages that are not in the format of the
// scripts: another program has published them.
func (w *watch) decode(m *goredis.Message) (storage.Change, bool) {
	w.mu.Lock()
	_, wanted := w.subscriptions[m.Channel]
	w.mu.Unlock()
	if !wanted || m.Payload == "" {
		return storage.Change{}, false
	}
	key := strings.TrimSuffix(strings.TrimPrefix(m.Channel, w.s.prefix), w.s.suffix)
	switch kind, val := m.Payload[0], []byte(m.Payload[1:]); {
	case kind == written && len(val) > 0:
		return storage.Change{Kind: storage.Written, Key: key, Item: storage.Item{Value: val, Revision: revision(val)}}, true
	case kind == removed && len(val) == 0:
		return storage.Change{Kind: storage.Removed, Key: key}, true
	}
	w.s.notices.Report(&feedForeignNotice, "", "bytes", len(m.Payload))
	return storage.Change{}, false
}

// send subscribes, unsubscribes and pings until the watch is closed.
func (w *watch) send() {
	ticker := time.NewTicker(w.s.maxSilence / ticksPerSilence)
	defer ticker.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wake:
			w.flush()
			w.mu.Lock()
			unknown := w.probe.completeAt.IsZero()
			w.mu.Unlock()
			if unknown { // without waiting for a tick, so that Lag is known soon after the first Add
				w.ping()
			}
		case <-ticker.C:
			w.ping()
		}
	}
}

// ping sends a ping if none is pending, and closes a connection that has been silent
// for too long after one.
func (w *watch) ping() {
	received, payload, dead := w.received.Swap(false), "", false
	w.mu.Lock()
	ps, p := w.ps, &w.probe
	switch {
	case len(w.subscriptions) == 0:
		*p = probe{id: p.id} // nothing is watched, so the lag does not matter
	case len(w.dirty) > 0, w.stale != nil: // flush must come first: the reply must come after the subscriptions
	case p.sentAt.IsZero():
		p.id, p.sentAt, p.silentTicks = p.id+1, time.Now(), 0
		payload = strconv.FormatUint(p.id, 10)
	case received, !w.reading.Load(): // while a message is handled, the reply waits behind it
		p.silentTicks = 0
	default:
		p.silentTicks++
		dead = p.silentTicks >= ticksPerSilence
	}
	w.mu.Unlock()
	if payload != "" && ps.Ping(w.ctx, payload) != nil || dead {
		_ = ps.Close() // receive gets an error, and reconnects
	}
}

// flush subscribes to and unsubscribes from the dirty channels. If that fails, it
// closes the connection: receive then reconnects, and all channels become dirty.
func (w *watch) flush() {
	w.mu.Lock()
	ps, stale := w.ps, w.stale
	w.stale = nil
	if stale == ps {
		w.mu.Unlock()
		_ = ps.Close() // receive reconnects, and all channels become dirty
		return
	}
	var add, drop []string
	for channel := range w.dirty {
		if w.subscriptions[channel] != nil {
			add = append(add, channel)
			w.unconfirmed[channel]++
		} else {
			drop = append(drop, channel)
		}
	}
	clear(w.dirty)
	w.mu.Unlock()
	var err error
	if len(drop) > 0 {
		err = ps.Unsubscribe(w.ctx, drop...)
	}
	if len(add) > 0 && err == nil {
		err = ps.Subscribe(w.ctx, add...)
	}
	if err != nil {
		_ = ps.Close()
	}
}
