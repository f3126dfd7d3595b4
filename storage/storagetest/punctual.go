package storagetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// lagIsTrue tests storage.Punctual: once Lag is shorter than the time since a write
// was answered, that write was told.
func lagIsTrue(ctx context.Context, t *testing.T, s storage.Storage) {
	l := watch(t, s)
	punctual, ok := l.Watch.(storage.Punctual)
	if !ok {
		t.Skip("SKIPPED: the watches are no storage.Punctual")
	}
	l.add(ctx, t, "k")
	for i := range 20 {
		val := strconv.Itoa(i)
		put(t, s, "k", val)
		for answered := time.Now(); ; time.Sleep(100 * time.Microsecond) {
			if ctx.Err() != nil {
				t.Fatal("Lag never says that a write must have been told")
			}
			if lag, known := punctual.Lag(); known && time.Since(answered) > lag {
				break
			}
		}
		select {
		case c := <-l.changes:
			if string(c.Item.Value) != val {
				t.Fatalf("told %q, want %q", c.Item.Value, val)
			}
		default:
			t.Fatalf("Lag says that write %d was told; it was not", i)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, known := punctual.Lag(); known {
		t.Error("Lag of a closed watch is known")
	}
}
