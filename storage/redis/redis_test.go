package redis_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener opens storages on one Redis, each under a prefix of its own.
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

func TestSuite(t *testing.T) {
	storagetest.Run(t, opener(redistest.Start(t).URL(), "app:"))
}

func TestSuiteOnPrefix(t *testing.T) {
	open := opener(redistest.Start(t).URL(), "app:")
	view := func(t *testing.T) storage.Storage { return storage.Prefix(open(t), "view:") }
	storagetest.TestStorage(t, view)
	storagetest.TestFeed(t, view)
	storagetest.TestIndex(t, view)
	storagetest.TestReset(t, view)
}
