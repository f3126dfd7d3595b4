package redis_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

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
