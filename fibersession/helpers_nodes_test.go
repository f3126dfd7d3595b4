package fibersession_test

import (
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// onTwoNodes runs test with two stores on one storage, which stand for two nodes: once in
// memory and once on Redis.
func onTwoNodes(t *testing.T, cfg fibersession.Config, test func(t *testing.T, a, b *fibersession.Store)) {
	overStorages(t, func(t *testing.T, st storage.Storage) {
		cfg := cfg
		cfg.Storage, cfg.Timeouts.Storage = st, waitLimit
		t.Run("nodes", func(t *testing.T) { // the stores close before their storage
			test(t, newStore(t, cfg), newStore(t, cfg))
		})
	})
}

// sharedSession stores a session and returns a handle of it on each node. Node a is
// subscribed to its changes, and rec records the events that a reports.
func sharedSession(t testing.TB, a, b *fibersession.Store, values map[string]any) (ha, hb *fibersession.Handle, rec *eventRecorder) {
	t.Helper()
	ha = storedSession(t, a, values)
	waitForSubscription(t, a, func() { rec = recordEvents(t, ha) })
	return ha, handleOf(t, b, ha.ID()), rec
}

// twoNodes returns two stores on one storage in memory, which stand for two nodes.
func twoNodes(t *testing.T, cfg fibersession.Config) (st storage.Storage, here, there *fibersession.Store) {
	st = memory.New()
	t.Cleanup(func() { _ = st.Close() })
	cfg.Storage = st
	return st, newStore(t, cfg), newStore(t, cfg)
}

// openStorage opens a storage that is closed when the test ends, after the stores on it.
func openStorage(t testing.TB, url string) storage.Storage {
	t.Helper()
	st, err := storage.Open(url)
	must(t, err)
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// startNodes makes one store for each URL, each with its own connections, and count stored
// sessions. Each store has a handle of each session, and the first one watches them all.
func startNodes(t testing.TB, cfg fibersession.Config, count int, urls ...string) (stores []*fibersession.Store, handles [][]*fibersession.Handle, ids []string) {
	t.Helper()
	if cfg.Timeouts.Storage == 0 {
		cfg.Timeouts.Storage = 5 * time.Second // for loaded machines
	}
	for i, url := range urls {
		cfg := cfg
		cfg.Storage = openStorage(t, url)
		s := newStore(t, cfg)
		stores, handles = append(stores, s), append(handles, nil)
		for j := range count {
			if i == 0 {
				h := storedSession(t, s, map[string]any{"n": 0})
				ids = append(ids, h.ID())
				handles[0] = append(handles[0], h)
				t.Cleanup(h.Watch(func(fibersession.Event) {}))
				continue
			}
			handles[i] = append(handles[i], handleOf(t, s, ids[j]))
		}
	}
	return stores, handles, ids
}
