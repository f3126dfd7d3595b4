package redis_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener returns a function that opens storages on one Redis, each with its own prefix.
func opener(url, prefix string) storagetest.Open {
	var n atomic.Int64
	return func(t *testing.T) storage.Storage {
		t.Helper()
		sep := "?"
		if strings.Contains(url, "?") {
			sep = "&"
		}
		return open(t, fmt.Sprintf("%s%sprefix=%s%d:", url, sep, prefix, n.Add(1)))
	}
}

func open(t testing.TB, url string) storage.Storage {
	t.Helper()
	s, err := storage.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// waitFor polls until done returns true, for up to a minute: a failover takes the
// servers some seconds.
func waitFor(t *testing.T, event string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
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
