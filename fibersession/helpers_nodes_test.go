package fibersession_test

import (
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// bothNodes runs a test with two stores over one storage: what two nodes are.
func bothNodes(t *testing.T, cfg fibersession.Config, test func(t *testing.T, a, b *fibersession.Store)) {
	overStorages(t, func(t *testing.T, st storage.Storage) {
		cfg := cfg
		cfg.Storage, cfg.Timeouts.Storage = st, patience
		t.Run("nodes", func(t *testing.T) { // so that the stores end before their storage
			test(t, newStore(t, cfg), newStore(t, cfg))
		})
	})
}

// shared is a session that both nodes hold and a watches.
func shared(t testing.TB, a, b *fibersession.Store, values map[string]any) (ha, hb *fibersession.Handle, n *news) {
	t.Helper()
	ha = stored(t, a, values)
	settled(t, a, func() { n = newsOf(t, ha) })
	return ha, again(t, b, ha.ID()), n
}

// twoNodes returns two stores over one storage.
func twoNodes(t *testing.T, cfg fibersession.Config) (st storage.Storage, here, there *fibersession.Store) {
	st = memory.New()
	t.Cleanup(func() { _ = st.Close() })
	cfg.Storage = st
	return st, newStore(t, cfg), newStore(t, cfg)
}

// opened is a storage that ends with the test, after the stores on it.
func opened(t testing.TB, url string) storage.Storage {
	t.Helper()
	st, err := storage.Open(url)
	must(t, err)
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// nodesOn makes stores with connections of their own, and a session for each of count
// that all of them hold and the first watches.
func nodesOn(t testing.TB, cfg fibersession.Config, count int, urls ...string) (stores []*fibersession.Store, handles [][]*fibersession.Handle, ids []string) {
	t.Helper()
	if cfg.Timeouts.Storage == 0 {
		cfg.Timeouts.Storage = 5 * time.Second // for machines that have much else to do
	}
	for i, url := range urls {
		cfg := cfg
		cfg.Storage = opened(t, url)
		s := newStore(t, cfg)
		stores, handles = append(stores, s), append(handles, nil)
		for j := range count {
			if i == 0 {
				h := stored(t, s, map[string]any{"n": 0})
				ids = append(ids, h.ID())
				handles[0] = append(handles[0], h)
				t.Cleanup(h.Watch(func(fibersession.Event) {}))
				continue
			}
			handles[i] = append(handles[i], again(t, s, ids[j]))
		}
	}
	return stores, handles, ids
}
