package storagetest

import (
	"context"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Open opens a fresh storage, empty at least where the test looks, for one test.
// It registers its Close with t.Cleanup; tests close some storages themselves
// before, so a second Close must be harmless.
type Open func(t *testing.T) storage.Storage

// Run runs every part of the suite that the storage's abilities allow; what it
// lacks shows as a named skip.
func Run(t *testing.T, open Open) {
	t.Run("storage", func(t *testing.T) { TestStorage(t, open) })
	t.Run("feed", func(t *testing.T) { TestFeed(t, open) })
	t.Run("index", func(t *testing.T) { TestIndex(t, open) })
	t.Run("checker", func(t *testing.T) { TestChecker(t, open) })
	t.Run("reset", func(t *testing.T) { TestReset(t, open) })
	t.Run("close", func(t *testing.T) { TestClose(t, open) })
}

// patience bounds what the suite waits for. It is never the measure of a test,
// only its end when something does not come.
const patience = 20 * time.Second

// rows runs named tests, each on a storage of its own and in parallel.
func rows(t *testing.T, open Open, tests []row) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			tt.run(ctx, t, open(t))
		})
	}
}

type row struct {
	name string
	run  func(ctx context.Context, t *testing.T, s storage.Storage)
}

// put stores val whatever is there.
func put(t *testing.T, s storage.Storage, key, val string) {
	t.Helper()
	if err := s.Set(key, []byte(val), 0); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

// load returns the item of a key that must be there.
func load(ctx context.Context, t *testing.T, s storage.Storage, key string) storage.Item {
	t.Helper()
	item, err := s.Load(ctx, key)
	if err != nil {
		t.Fatalf("Load(%q): %v", key, err)
	}
	return item
}

// gone reports whether key is not there.
func gone(ctx context.Context, t *testing.T, s storage.Storage, key string) bool {
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

// eventually waits until done holds.
func eventually(ctx context.Context, t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: did not happen", what)
		case <-tick.C:
		}
	}
}
