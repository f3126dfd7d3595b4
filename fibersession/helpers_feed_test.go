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

// radio is a storage whose feed the test has in its hands.
type radio struct {
	storage.Storage
	reading, most atomic.Int32 // reads under way, and the most of them at once

	mu   sync.Mutex // guards what follows
	fn   func(storage.Change)
	log  []storage.Change
	deaf bool // nothing is told, and nobody knows
	late time.Duration
	down bool // how late it is, is not known
	hold chan struct{}
}

type radioWatch struct {
	storage.Watch
	r *radio
}

func (r *radio) Watch(fn func(storage.Change)) (storage.Watch, error) {
	w, err := r.Storage.(storage.Feed).Watch(func(c storage.Change) {
		r.mu.Lock()
		deaf := r.deaf
		r.log = append(r.log, c)
		r.mu.Unlock()
		if !deaf {
			fn(c)
		}
	})
	r.mu.Lock()
	r.fn = fn
	r.mu.Unlock()
	return &radioWatch{w, r}, err
}

func (w *radioWatch) Lag() (time.Duration, bool) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.late, !w.r.down
}

func (r *radio) Load(ctx context.Context, key string) (storage.Item, error) {
	n := r.reading.Add(1)
	defer r.reading.Add(-1)
	for most := r.most.Load(); n > most && !r.most.CompareAndSwap(most, n); most = r.most.Load() {
	}
	item, err := r.Storage.Load(ctx, key)
	r.mu.Lock()
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		<-hold // the answer is on its way
	}
	return item, err
}

func (r *radio) set(deaf, down bool, late time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf, r.down, r.late = deaf, down, late
}

func (r *radio) tell(c storage.Change) {
	r.mu.Lock()
	fn := r.fn
	r.mu.Unlock()
	fn(c)
}

// heard returns what the storage told so far.
func (r *radio) heard() []storage.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]storage.Change(nil), r.log...)
}

// world is two nodes in a bubble of time; node a hears by radio, and what its store
// does goes through faulty.
type world struct {
	t      *testing.T
	faulty *faulty.Storage
	radio  *radio
	a, b   *fibersession.Store
}

func inWorld(t *testing.T, cfg fibersession.Config, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		flaky := faulty.New(st, nil)
		r := &radio{Storage: flaky}
		cfg.Logger = quiet
		cfg.Storage = r
		a := fibersession.New(cfg)
		cfg.Storage = st
		w := &world{t: t, faulty: flaky, radio: r, a: a, b: fibersession.New(cfg)}
		t.Cleanup(func() {
			must(t, w.a.Close())
			must(t, w.b.Close())
			must(t, st.Close())
		})
		test(w)
	})
}

// share returns handles of one session on both nodes; a watches it.
func (w *world) share(values map[string]any) (ha, hb *fibersession.Handle, n *news) {
	w.t.Helper()
	ha = stored(w.t, w.a, values)
	n = newsOf(w.t, ha)
	synctest.Wait()
	return ha, again(w.t, w.b, ha.ID()), n
}

var errDown = errors.New("down")

// failing makes every call of node a's store fail, as refused connections do, and its
// feed of unknown lateness.
func (w *world) failing(on bool) {
	w.radio.set(on, on, 0)
	w.faulty.SetPlan(nil)
	if on {
		w.faulty.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Fail: errDown} })
	}
}
