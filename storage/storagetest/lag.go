package storagetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// testLag tests storage.LagReporter: once Lag is shorter than the time since a write
// was answered, the write has been reported.
func testLag(ctx context.Context, t *testing.T, s storage.Storage) {
	r := watch(t, s)
	reporter, ok := r.Watch.(storage.LagReporter)
	if !ok {
		skip(t, "storage.LagReporter of the watch", "a reader would know how old its copy of a watched value can be")
	}
	r.add(ctx, t, "k")
	for i := range 20 {
		val := strconv.Itoa(i)
		set(t, s, "k", val)
		for answered := time.Now(); ; time.Sleep(100 * time.Microsecond) {
			if ctx.Err() != nil {
				t.Fatal("Lag never became shorter than the time since the write")
			}
			if lag, known := reporter.Lag(); known && time.Since(answered) > lag {
				break
			}
		}
		select {
		case c := <-r.changes:
			if string(c.Item.Value) != val {
				t.Fatalf("notified of %q, want %q", c.Item.Value, val)
			}
		default:
			t.Fatalf("Lag covers write %d, which was not reported", i)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, known := reporter.Lag(); known {
		t.Error("a closed watch knows a Lag")
	}
}
