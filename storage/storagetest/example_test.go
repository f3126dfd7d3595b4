package storagetest_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// In a driver's tests, the function is named TestConformance.
func ExampleRun() {
	_ = func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Storage {
			s := memory.New() // the driver's own constructor
			t.Cleanup(func() { _ = s.Close() })
			return s
		})
	}
}
