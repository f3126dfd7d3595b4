package serial

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestContext(t *testing.T) {
	t.Run("Cancel after Done", func(t *testing.T) {
		var c Context
		done := c.Done()
		if c.Canceled() || c.Err() != nil {
			t.Error("a new context is canceled")
		}
		if c.Done() != done {
			t.Error("a second Done returned another channel")
		}
		c.Cancel()
		c.Cancel()
		select {
		case <-done:
		default:
			t.Error("Cancel did not close the channel")
		}
		if !c.Canceled() || !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("canceled: %v, error: %v", c.Canceled(), c.Err())
		}
	})
	t.Run("Cancel before Done", func(t *testing.T) {
		var c Context
		c.Cancel()
		select {
		case <-c.Done():
		default:
			t.Error("Done returned an open channel after Cancel")
		}
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("error: %v", c.Err())
		}
	})
	t.Run("no deadline and no values", func(t *testing.T) {
		var c Context
		if _, ok := c.Deadline(); ok || c.Value("key") != nil {
			t.Error("a context without a deadline and values has some")
		}
	})
}

// A context that is derived from a Context ends with it, and needs no goroutine that waits.
func TestContext_Derived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Context
		derived, cancel := context.WithTimeout(&c, 1)
		defer cancel()
		child, cancelChild := context.WithCancelCause(&c)
		defer cancelChild(nil)
		c.Cancel()
		if !errors.Is(derived.Err(), context.Canceled) || !errors.Is(context.Cause(child), context.Canceled) {
			// A goroutine that forwards the end would not have run yet.
			t.Errorf("errors %v and %v right after Cancel, want canceled", derived.Err(), child.Err())
		}
	})
}

func TestContext_CostsNothingUnlessItIsUsed(t *testing.T) {
	contexts := make([]Context, 101) // one for the warm-up run
	var kept context.Context
	if n := testing.AllocsPerRun(100, func() {
		c := &contexts[0]
		contexts = contexts[1:]
		kept = c
		_ = kept.Err()
		c.Cancel()
		_ = c.Canceled()
	}); n != 0 {
		t.Errorf("%v allocations before a call of Done, want 0", n)
	}
}
