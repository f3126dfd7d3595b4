package adapter_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, func(*testing.T) func() adapter.Adapter { return adapter.NewMemory().Join })
}
