package adaptertest_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
)

// The test of an adapter calls Run with a function that starts a cluster.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestAdapter(t *testing.T)
		adaptertest.Run(t, func(t *testing.T) func() adapter.Adapter {
			hub := adapter.NewMemory() // replace with the adapter under test
			return hub.Join
		})
	}
}

// An adapter that implements adapter.Log must pass both suites.
func ExampleRunLog() {
	cluster := func(t *testing.T) func() adapter.Adapter { return adapter.NewMemory().Join }
	_ = func(t *testing.T) { // func TestAdapter(t *testing.T)
		adaptertest.Run(t, cluster)
		adaptertest.RunLog(t, cluster)
	}
}
