package storagetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Open opens a fresh storage for one test. The storage must be empty, at least for
// the keys of the test. Open closes it with t.Cleanup; some tests close it
// themselves, so a second Close must return nil.
type Open func(t *testing.T) storage.Storage

// Ability is something that the contract asks of a storage and that some stores cannot do.
// The suite cannot find out by itself that it is missing: it would look like a fault. Name
// it in Run. Abilities that have an interface (storage.Feed and others) need not be named.
type Ability string

const (
	// Expiry means that a key is gone once its ttl has passed. gofiber's bbolt driver
	// ignores the ttl.
	Expiry Ability = "expiry"
	// LargeValues means that a value can have 1 MiB. Without it, one of 48 KiB must fit.
	// gofiber's mysql driver has a column for 64 KiB.
	LargeValues Ability = "large values"
)

// Run runs every part of the suite. A missing ability is skipped by name: an interface
// that the storage does not implement, or whose methods return errors.ErrUnsupported, and
// what is listed in without.
func Run(t *testing.T, open Open, without ...Ability) {
	t.Run("storage", func(t *testing.T) { TestStorage(t, open, without...) })
	t.Run("feed", func(t *testing.T) { TestFeed(t, open) })
	t.Run("index", func(t *testing.T) { TestIndex(t, open) })
	t.Run("checker", func(t *testing.T) { TestChecker(t, open, without...) })
	t.Run("ttl", func(t *testing.T) { TestTTL(t, open) })
	t.Run("reset", func(t *testing.T) { TestReset(t, open) })
	t.Run("close", func(t *testing.T) { TestClose(t, open) })
}

// skip skips a test because of a missing ability, and says what the ability gives.
func skip(t *testing.T, ability, gives string) {
	t.Helper()
	t.Skipf("SKIPPED: no %s: %s", ability, gives)
}

// need skips the test if ability is one of without.
func need(t *testing.T, ability Ability, without []Ability) {
	t.Helper()
	if !slices.Contains(without, ability) {
		return
	}
	switch ability {
	case Expiry:
		skip(t, string(ability), "a key would be removed when its ttl has passed")
	case LargeValues:
		skip(t, string(ability), "a value could have 1 MiB")
	}
}

// testTimeout bounds each test. No test measures time: the timeout only ends one
// that waits for an event that never comes.
const testTimeout = time.Minute

type testCase struct {
	name  string
	run   func(ctx context.Context, t *testing.T, s storage.Storage)
	needs Ability // "" if nothing is needed that Run can be told to do without
}

// runCases runs the cases in parallel, each on its own storage.
func runCases(t *testing.T, open Open, cases []testCase, without ...Ability) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			need(t, tt.needs, without)
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
