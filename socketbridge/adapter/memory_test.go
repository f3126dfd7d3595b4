package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, func(*testing.T) func() adapter.Adapter { return adapter.NewMemory().Join })
}

func TestMemoryLog(t *testing.T) {
	t.Parallel()
	adaptertest.RunLog(t, func(*testing.T) func() adapter.Adapter { return adapter.NewMemory().Join })
}

// The log is bounded. It reports when requested messages are no longer stored.
func TestMemoryLog_Bounded(t *testing.T) {
	t.Parallel()
	l := adapter.NewMemory().Join().(adapter.Log)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx, idle{}) }() // ends with ctx; the deferred function waits for it
	defer func() { cancel(); <-ended }()
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/"}
	if err := l.Append(ctx, m); err != nil { // it waits for Run
		t.Fatal(err)
	}
	for range 10_000 {
		if err := l.Append(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[uint64]error{0: adapter.ErrNotKept, 1: nil, 10_001: nil, 10_002: adapter.ErrNotKept} {
		if _, err := l.Since(ctx, "/", after, func(*adapter.Message) bool { return true }); !errors.Is(err, want) {
			t.Errorf("after %d: %v, want %v", after, err, want)
		}
	}
	for i := range 10_001 {
		if err := l.SaveState(ctx, &adapter.RecoveryState{PID: fmt.Sprint(i)}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	left := 0
	for i := range 10_001 {
		if r, err := l.TakeState(ctx, "", fmt.Sprint(i), ""); err != nil {
			t.Fatal(err)
		} else if r != nil {
			left++
		}
	}
	if left != 10_000 {
		t.Errorf("%d recovery states are stored, want 10,000", left)
	}
}

// idle is a node that ignores all messages.
type idle struct{ adapter.Node }

func (idle) Deliver(*adapter.Message) {}

func TestMemoryEmitter(t *testing.T) {
	t.Parallel()
	adaptertest.RunEmitter(t, func(*testing.T) func() adapter.Adapter { return adapter.NewMemory().Join },
		adapter.Broadcast, adapter.Join, adapter.Leave, adapter.Disconnect, adapter.ServerSide, adapter.Fetch)
}
