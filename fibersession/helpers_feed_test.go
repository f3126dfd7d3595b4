package fibersession_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// controlledFeed is a storage whose change feed the test controls. It can drop changes,
// deliver made-up ones, report any lag, and hold the results of reads.
type controlledFeed struct {
	storage.Storage
	reads, maxReads atomic.Int32 // concurrent Load calls: now, and at most

	mu         sync.Mutex // guards the fields below
	fn         func(storage.Change)
	log        []storage.Change // every change, dropped ones included
	drop       bool             // discard changes without reporting a gap
	lag        time.Duration
	lagUnknown bool
	hold       chan struct{} // Load returns its result after this is closed; nil: at once
}

type controlledWatch struct {
	storage.Watch
	r *controlledFeed
}

func (r *controlledFeed) Watch(fn func(storage.Change)) (storage.Watch, error) {
	w, err := r.Storage.(storage.Feed).Watch(func(c storage.Change) {
		r.mu.Lock()
		drop := r.drop
		r.log = append(r.log, c)
		r.mu.Unlock()
		if !drop {
			fn(c)
		}
	})
	r.mu.Lock()
	r.fn = fn
	r.mu.Unlock()
	return &controlledWatch{w, r}, err
}

func (w *controlledWatch) Lag() (time.Duration, bool) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.lag, !w.r.lagUnknown
}

func (r *controlledFeed) Load(ctx context.Context, key string) (storage.Item, error) {
	n := r.reads.Add(1)
	defer r.reads.Add(-1)
	for most := r.maxReads.Load(); n > most && !r.maxReads.CompareAndSwap(most, n); most = r.maxReads.Load() {
	}
	item, err := r.Storage.Load(ctx, key)
	r.mu.Lock()
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return item, err
}

func (r *controlledFeed) set(drop, lagUnknown bool, lag time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop, r.lagUnknown, r.lag = drop, lagUnknown, lag
}

// deliver passes c to the subscriber as if the storage had reported it.
func (r *controlledFeed) deliver(c storage.Change) {
	r.mu.Lock()
	fn := r.fn
	r.mu.Unlock()
	fn(c)
}

// changes returns all changes that the storage reported so far.
func (r *controlledFeed) changes() []storage.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]storage.Change(nil), r.log...)
}

// feedTest has two nodes on one storage, in a synctest bubble. Node a receives its changes
// through feed, and its storage calls go through faulty.
type feedTest struct {
	t      *testing.T
	faulty *faulty.Storage
	feed   *controlledFeed
	a, b   *fibersession.Store
}

// runFeedTest runs test in a synctest bubble.
func runFeedTest(t *testing.T, cfg fibersession.Config, test func(ft *feedTest)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		flaky := faulty.New(st, nil)
		r := &controlledFeed{Storage: flaky}
		cfg.Logger = discardLogger
		cfg.Storage = r
		a := fibersession.New(cfg)
		cfg.Storage = st
		ft := &feedTest{t: t, faulty: flaky, feed: r, a: a, b: fibersession.New(cfg)}
		t.Cleanup(func() {
			must(t, ft.a.Close())
			must(t, ft.b.Close())
			must(t, st.Close())
		})
		test(ft)
	})
}

// shareSession stores a session and returns a handle of it on each node. rec records the
// events that node a reports.
func (ft *feedTest) shareSession(values map[string]any) (ha, hb *fibersession.Handle, rec *eventRecorder) {
	ft.t.Helper()
	ha = storedSession(ft.t, ft.a, values)
	rec = recordEvents(ft.t, ha)
	synctest.Wait()
	return ha, handleOf(ft.t, ft.b, ha.ID()), rec
}

var errDown = errors.New("down")

// failStore makes every storage call of node a fail at once, as refused connections do, and
// the lag of its feed unknown. With on false, it undoes that.
func (ft *feedTest) failStore(on bool) {
	ft.feed.set(on, on, 0)
	ft.faulty.SetPlan(nil)
	if on {
		ft.faulty.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Fail: errDown} })
	}
}
