package simulation

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// link is the storage as one node reaches it. It implements storage.Storage, Feed and Index.
type link struct {
	db   *database
	seed uint64
	dead chan struct{} // closed by crash

	mu      sync.Mutex
	health  health
	feed    feedKind
	since   time.Time // since when both are healthy, if they are; in the future while late changes are on their way
	silent  time.Time // until when changes were dropped without a gap
	calls   map[uint64]uint64
	watches []*watch
	crashed bool
}

// health says what happens to the calls of a link.
type health uint8

const (
	healthy health = iota
	flaky          // some calls fail, lose their answer or are slow
	refused        // every call fails at once, and nothing happens
	hanging        // no call is answered; some took place
	lossy          // writes take place and are not answered; reads fail
	healths
)

// feedKind says what happens to the notifications of a link.
type feedKind uint8

const (
	feedPrompt feedKind = iota
	feedSlow            // late by up to feedLateness
	feedCut             // dropped; a gap follows
	feedSilent          // dropped, and no gap follows
)

// feedLateness is longer than Tracking.MaxLag.
const feedLateness = 8 * time.Second

var errSimulated = errors.New("simulated failure")

func newLink(db *database, seed uint64) *link {
	return &link{db: db, seed: seed, dead: make(chan struct{}), calls: map[uint64]uint64{}, since: time.Now()}
}

// mix is the finalizer of SplitMix64: it makes a random number of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (l *link) set(h health, f feedKind) {
	l.mu.Lock()
	wasCut := l.feed == feedCut && f != feedCut
	if l.feed == feedSilent || f == feedSilent {
		l.silent = time.Now()
	}
	since := time.Now()
	if l.feed == feedSlow { // what is on its way stays late
		since = since.Add(feedLateness)
	}
	l.health, l.feed, l.since = h, f, maxTime(l.since, since)
	watches := slices.Clone(l.watches)
	l.mu.Unlock()
	if wasCut {
		for _, w := range watches {
			w.restore()
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (l *link) healthNow() health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.health
}

func (l *link) feedState() feedKind {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.feed
}

// healthySince returns since when calls and notifications of the link are prompt, and until when
// notifications were dropped without a gap. It returns now while they are not.
func (l *link) healthySince() (since, silent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.feed == feedSilent {
		l.silent = now
	}
	if l.health != healthy || l.feed != feedPrompt {
		return now, l.silent
	}
	return l.since, l.silent
}

func (l *link) feedDelay(n uint64, f feedKind) time.Duration {
	r := mix(l.seed ^ mix(n))
	if f == feedSlow {
		return time.Duration(r % uint64(feedLateness))
	}
	return time.Duration(50_000 + r%2_000_000)
}

// crash makes every call of the link fail from now on, also those that are under way.
func (l *link) crash() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.crashed {
		l.crashed = true
		close(l.dead)
	}
}

// call makes one call of the database, with its latency and its fault.
func (l *link) call(ctx context.Context, key string, write bool, exec func() error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
	}
	name := l.db.ordinal(key)
	l.mu.Lock()
	l.calls[name]++
	r := mix(l.seed ^ mix(name) ^ mix(l.calls[name]<<20))
	h, crashed := l.health, l.crashed
	l.mu.Unlock()
	lost := storage.ErrUnavailable
	if write {
		lost = storage.ErrUnknownOutcome
	}
	if crashed || h == refused {
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, errSimulated)
	}
	coin, latency := r>>60&1 == 1, time.Duration(100_000+r%3_000_000)
	before := latency * time.Duration(r>>40%4) / 3 // of the latency, the part before the call takes place
	if !l.sleep(ctx, before) {
		return fmt.Errorf("%w: %w", lost, errSimulated)
	}
	fault := r >> 32 % 100
	switch {
	case h == hanging:
		if write && coin {
			_ = exec()
		}
		l.sleep(ctx, time.Hour)
		return fmt.Errorf("%w: hung", lost)
	case h == lossy:
		if write {
			_ = exec()
		}
		return fmt.Errorf("%w: %w", lost, errSimulated)
	case h == flaky && fault < 6: // nothing happened, and that is known
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, errSimulated)
	case h == flaky && fault < 14: // the answer is lost, or the request
		if coin {
			_ = exec()
		}
		return fmt.Errorf("%w: %w", lost, errSimulated)
	case h == flaky && fault < 20: // slow before or after the call takes place, maybe longer than the timeout
		wait := time.Duration(r >> 8 % uint64(1500*time.Millisecond))
		if coin {
			err := exec()
			if !l.sleep(ctx, wait) {
				return fmt.Errorf("%w: %w", lost, errSimulated)
			}
			return err
		}
		if !l.sleep(ctx, wait) {
			return fmt.Errorf("%w: %w", lost, errSimulated)
		}
	}
	err := exec()
	if !l.sleep(ctx, latency-before) {
		return fmt.Errorf("%w: %w", lost, errSimulated)
	}
	return err
}

// sleep waits for d of virtual time. It returns false if ctx ends or the node crashes first.
func (l *link) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-l.dead:
	}
	return false
}

// Load implements storage.Storage.
func (l *link) Load(ctx context.Context, key string) (item storage.Item, err error) {
	err = l.call(ctx, key, false, func() (err error) { item, err = l.db.load(key); return err })
	if err != nil {
		item = storage.Item{}
	}
	return item, err
}

// CompareAndSwap implements storage.Storage.
func (l *link) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (rev storage.Revision, err error) {
	if old == storage.Any {
		return storage.Absent, storage.ErrConflict
	}
	err = l.call(ctx, key, true, func() (err error) { rev, err = l.db.swap(key, old, val, ttl); return err })
	if err != nil {
		rev = storage.Absent
	}
	return rev, err
}

// CompareAndDelete implements storage.Storage.
func (l *link) CompareAndDelete(ctx context.Context, key string, old storage.Revision) error {
	return l.call(ctx, key, true, func() error { return l.db.remove(key, old) })
}

// Touch implements storage.Storage.
func (l *link) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return l.call(ctx, key, true, func() error { return l.db.touch(key, ttl) })
}

// AddMember implements storage.Index.
func (l *link) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	return l.call(ctx, set, true, func() error { l.db.addMember(set, member, ttl); return nil })
}

// RemoveMember implements storage.Index.
func (l *link) RemoveMember(ctx context.Context, set, member string) error {
	return l.call(ctx, set, true, func() error { l.db.removeMember(set, member); return nil })
}

// Members implements storage.Index.
func (l *link) Members(ctx context.Context, set string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var all []string
		if err := l.call(ctx, set, false, func() error { all = l.db.members(set); return nil }); err != nil {
			yield("", err)
			return
		}
		for _, m := range all {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// Get implements storage.Basic.
func (l *link) Get(key string) ([]byte, error) {
	item, err := l.Load(context.Background(), key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return item.Value, err
}

// Set implements storage.Basic.
func (l *link) Set(key string, val []byte, ttl time.Duration) error {
	return l.call(context.Background(), key, true, func() error { _, err := l.db.swap(key, storage.Any, val, ttl); return err })
}

// Delete implements storage.Basic.
func (l *link) Delete(key string) error {
	err := l.CompareAndDelete(context.Background(), key, storage.Any)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// Reset implements storage.Basic. The simulation never calls it.
func (l *link) Reset() error { return errors.ErrUnsupported }

// Close implements storage.Basic.
func (l *link) Close() error { return nil }
