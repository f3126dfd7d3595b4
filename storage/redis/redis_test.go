package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener opens storages on one Redis, each under a prefix of its own.
func opener(url string) storagetest.Open {
	var n atomic.Int64
	return func(t *testing.T) storage.Storage {
		t.Helper()
		s, err := storage.Open(fmt.Sprintf("%s?prefix=app%d:", url, n.Add(1)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func TestSuite(t *testing.T) {
	storagetest.Run(t, opener(storagetest.Redis(t).URL()))
}

func TestSuiteOnPrefix(t *testing.T) {
	open := opener(storagetest.Redis(t).URL())
	view := func(t *testing.T) storage.Storage { return storage.Prefix(open(t), "view:") }
	storagetest.TestStorage(t, view)
	storagetest.TestFeed(t, view)
	storagetest.TestIndex(t, view)
	storagetest.TestReset(t, view)
}
