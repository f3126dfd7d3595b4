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
	// maxSilence is how long a subscription that was asked whether it is alive may be
	// quiet before it is given up.
	maxSilence = 5 * time.Second
	// beats is how often it is asked in this time.
	beats = 10
	// minPause and maxPause bound the pauses between attempts to connect.
	minPause = 20 * time.Millisecond
	maxPause = time.Second
)

// The messages on a key's channel, as the scripts write them.
const (
	written = 'W' // followed by the value
	removed = 'D'
)

// Watch implements storage.Feed with pub/sub, on one connection for each watch.
// Channels are plain ones, not sharded: on a cluster every node passes on every
// change, and in turn one connection hears them all, before and after slots move.
func (s *Storage) Watch(fn func(storage.Change)) (storage.Watch, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: nil function", storage.ErrInvalid)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{
		s:      s,
		fn:     fn,
		ctx:    ctx,
		cancel: cancel,
		keys:   map[string]*subscription{},
		dirty:  map[string]struct{}{},
		wake:   make(chan struct{}, 1),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready(ctx) != nil {
		cancel()
		return nil, storage.ErrClosed
	}
	s.watches[w] = struct{}{}
	w.ps = s.client.Subscribe(ctx)
	w.running.Go(w.read)  // ends with ctx and ps; Close waits
	w.running.Go(w.write) // ends with ctx; Close waits
	return w, nil
}

// closeWatches ends all watches and waits for them. No new one can come: closed is set.
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

// watch is one subscription: read takes what arrives, write subscribes and
// unsubscribes. Add and Remove never touch the connection, so that they end with
// their context, and so that many of them make one command.
type watch struct {
	s       *Storage
	fn      func(storage.Change)
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{}
	heard   atomic.Bool // something arrived since write last looked

	mu    sync.Mutex // guards what follows; nothing is called under it
	ps    *goredis.PubSub
	keys  map[string]*subscription // wanted, by channel
	dirty map[string]struct{}      // channels that write must look at
	pulse pulse
}

// pulse says until when a subscription is known to be complete. It is asked by PING
// on its own connection: the answer comes after all that was published before, so
// nothing from before the question can still be missing.
type pulse struct {
	n     uint64    // of the latest question
	asked time.Time // when it was sent; zero: it was answered, or none was sent
	sure  time.Time // when the latest that was answered was sent; zero: nothing is known
	quiet int       // how many beats in a row met a question and nothing heard
}

// subscription is one wanted channel.
type subscription struct {
	live chan struct{} // closed at the first confirmation, or when it is removed
	// confirmed is on while the server is known to be subscribed. A confirmation
	// that comes when it is on means that the connection was renewed meanwhile.
	confirmed bool
}

// Add subscribes, and waits until the server confirms.
func (w *watch) Add(ctx context.Context, keys ...string) error {
	if ctx.Err() != nil {
		return unavailable(ctx)
	}
	waits := make([]chan struct{}, 0, len(keys))
	w.mu.Lock()
	for _, key := range keys {
		channel := w.s.channel(w.s.name(key))
		sub := w.keys[channel]
		if sub == nil {
			sub = &subscription{live: make(chan struct{})}
			w.keys[channel] = sub
			w.dirty[channel] = struct{}{}
		}
		waits = append(waits, sub.live)
	}
	w.mu.Unlock()
	w.poke()
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

// Remove forgets keys at once; the server is told when write gets to it.
func (w *watch) Remove(keys ...string) {
	w.mu.Lock()
	for _, key := range keys {
		channel := w.s.channel(w.s.name(key))
		if sub := w.keys[channel]; sub != nil {
			sub.settle() // nobody waits for what is not wanted any more
			delete(w.keys, channel)
			w.dirty[channel] = struct{}{}
		}
	}
	w.mu.Unlock()
	w.poke()
}

// Close ends the watch and waits for its goroutines.
func (w *watch) Close() error {
	w.cancel()
	w.mu.Lock()
	ps := w.ps
	w.mu.Unlock()
	_ = ps.Close() // wakes read; closing twice is harmless
	w.running.Wait()
	w.s.mu.Lock()
	delete(w.s.watches, w)
	w.s.mu.Unlock()
	return nil
}

func (w *watch) poke() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

// read takes messages until the watch is closed. go-redis connects again when the
// connection breaks, and subscribes to all channels with one command.
func (w *watch) read() {
	pause := minPause
	for w.ctx.Err() == nil {
		w.mu.Lock()
		ps := w.ps
		w.mu.Unlock()
		msg, err := ps.Receive(w.ctx)
		if err == nil {
			w.heard.Store(true)
			pause = minPause
			w.take(msg)
			continue
		}
		w.renew(ps)
		select {
		case <-w.ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)): // jitter: not all nodes at once
		}
		pause = min(2*pause, maxPause)
	}
}

// renew puts a new connection in the place of a broken one, unless the watch ends.
func (w *watch) renew(broken *goredis.PubSub) {
	_ = broken.Close()
	w.mu.Lock()
	w.pulse = pulse{n: w.pulse.n}
	if w.ctx.Err() == nil {
		w.ps = w.s.client.Subscribe(w.ctx)
		for channel := range w.keys {
			w.dirty[channel] = struct{}{}
		}
	}
	w.mu.Unlock()
	w.poke()
}

// take handles one message, on read's goroutine.
func (w *watch) take(msg any) {
	switch m := msg.(type) {
	case *goredis.Subscription:
		if m.Kind == "subscribe" && w.confirm(m.Channel) {
			w.fn(storage.Change{Kind: storage.Gap})
		}
	case *goredis.Message:
		if change, ok := w.change(m); ok {
			w.fn(change)
		}
	case *goredis.Pong:
		w.answered(m.Payload)
	}
}

// answered takes the answer to a question of beat. One to an earlier connection
// tells nothing of this one.
func (w *watch) answered(payload string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.pulse.asked.IsZero() && payload == strconv.FormatUint(w.pulse.n, 10) {
		w.pulse.sure, w.pulse.asked = w.pulse.asked, time.Time{}
	}
}

// Lag implements storage.LagReporter. On a cluster it is the bound of the node that the
// watch is connected to: between the nodes, Redis promises none.
func (w *watch) Lag() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pulse.sure.IsZero() || w.ctx.Err() != nil {
		return 0, false
	}
	return time.Since(w.pulse.sure), true
}

// confirm notes that the server has subscribed to channel, and reports whether
// changes may have been missed before.
func (w *watch) confirm(channel string) (missed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sub := w.keys[channel]
	if sub == nil {
		return false
	}
	if sub.confirmed {
		// The first of a renewed connection's confirmations. All its channels were
		// subscribed by one command, so one Gap is enough.
		for _, other := range w.keys {
			other.confirmed = false
		}
		missed = true
	}
	sub.confirmed = true
	sub.settle()
	return missed
}

// settle lets those go on who wait in Add. The caller holds the watch's mu.
func (sub *subscription) settle() {
	select {
	case <-sub.live:
	default:
		close(sub.live)
	}
}

// change reads a message. What is not in the form of the scripts is somebody
// else's and ignored.
func (w *watch) change(m *goredis.Message) (storage.Change, bool) {
	w.mu.Lock()
	_, wanted := w.keys[m.Channel]
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
	return storage.Change{}, false
}

// write tells the server what is wanted, and looks after the connection's health.
func (w *watch) write() {
	ticker := time.NewTicker(w.s.silence / beats)
	defer ticker.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wake:
			w.flush()
			w.mu.Lock()
			unsure := w.pulse.sure.IsZero()
			w.mu.Unlock()
			if unsure { // do not let the first that is watched wait
				w.beat()
			}
		case <-ticker.C:
			w.beat()
		}
	}
}

// beat asks the connection whether it is alive, and gives up one that does not say.
func (w *watch) beat() {
	heard, question, dead := w.heard.Swap(false), "", false
	w.mu.Lock()
	ps, p := w.ps, &w.pulse
	switch {
	case len(w.keys) == 0:
		*p = pulse{n: p.n} // nobody needs to know
	case len(w.dirty) > 0: // flush comes first: an answer must not come before what is subscribed to
	case p.asked.IsZero():
		p.n, p.asked, p.quiet = p.n+1, time.Now(), 0
		question = strconv.FormatUint(p.n, 10)
	case heard:
		p.quiet = 0
	default:
		p.quiet++
		dead = p.quiet >= beats
	}
	w.mu.Unlock()
	if question != "" && ps.Ping(w.ctx, question) != nil || dead {
		_ = ps.Close() // read notices, and renews
	}
}

// flush subscribes to and unsubscribes from what has changed. When that fails it
// gives the connection up: read renews it, and all channels become dirty.
func (w *watch) flush() {
	w.mu.Lock()
	ps := w.ps
	var add, drop []string
	for channel := range w.dirty {
		if w.keys[channel] != nil {
			add = append(add, channel)
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
