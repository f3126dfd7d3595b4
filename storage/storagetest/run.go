package storagetest

import (
	"context"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Open opens a fresh storage for one test. The storage must be empty, at least for
// the keys of the test. Open closes it with t.Cleanup; some tests close it
// themselves, so a second Close must return nil.
type Open func(t *testing.T) storage.Storage

// Run runs every part of the suite. It skips, by name, the parts whose optional
// interface the storage does not implement.
func Run(t *testing.T, open Open) {
	t.Run("storage", func(t *testing.T) { TestStorage(t, open) })
	t.Run("feed", func(t *testing.T) { TestFeed(t, open) })
	t.Run("index", func(t *testing.T) { TestIndex(t, open) })
	t.Run("checker", func(t *testing.T) { TestChecker(t, open) })
	t.Run("reset", func(t *testing.T) { TestReset(t, open) })
	t.Run("close", func(t *testing.T) { TestClose(t, open) })
}

// testTimeout bounds each test. No test measures time: the timeout only ends one
// that waits for an event that never comes.
const testTimeout = 20 * time.Second

type testCase struct {
	name string
	run  func(ctx context.Context, t *testing.T, s storage.Storage)
}

// runCases runs the cases in parallel, each on its own storage.
func runCases(t *testing.T, open Open, cases []testCase) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			t.Cleanup(cancel)
			tt.run(ctx, t, open(t))
		})
	}
}

// set stores val under key.
func set(t *testing.T, s storage.Storage, key, val string) {
	t.Helper()
	if err := s.Set(key, []byte(val), 0); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

// load returns the item of a key that must exist.
func load(ctx context.Context, t *testing.T, s storage.Storage, key string) storage.Item {
	t.Helper()
	item, err := s.Load(ctx, key)
	if err != nil {
		t.Fatalf("Load(%q): %v", key, err)
	}
	return item
}

// isAbsent reports whether key does not exist.
func isAbsent(ctx context.Context, t *testing.T, s storage.Storage, key string) bool {
	t.Helper()
	_, err := s.Load(ctx, key)
	switch {
	case err == nil:
		return false
	case is(err, storage.ErrNotFound):
		return true
	}
	t.Fatalf("Load(%q): %v, want a value or ErrNotFound", key, err)
	return false
}

// waitFor polls until done returns true.
func waitFor(ctx context.Context, t *testing.T, event string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("timed out waiting until %s", event)
		case <-tick.C:
		}
	}
}
