package serial

import "testing"

func TestContext(t *testing.T) {
	t.Run("Cancel after Get", func(t *testing.T) {
		var c Context
		ctx := c.Get()
		if c.Canceled() || ctx.Err() != nil {
			t.Error("a new context is canceled")
		}
		if c.Get() != ctx {
			t.Error("a second Get returned another context")
		}
		c.Cancel()
		c.Cancel()
		if !c.Canceled() || ctx.Err() == nil {
			t.Error("Cancel did not cancel the context")
		}
	})
	t.Run("Cancel before Get", func(t *testing.T) {
		var c Context
		c.Cancel()
		if !c.Canceled() || c.Get().Err() == nil {
			t.Error("Get returned a live context after Cancel")
		}
	})
}

func TestContext_CostsNothingUnlessItIsUsed(t *testing.T) {
	contexts := make([]Context, 101) // one for the warm-up run
	if n := testing.AllocsPerRun(100, func() {
		c := &contexts[0]
		contexts = contexts[1:]
		c.Cancel()
		_ = c.Canceled()
	}); n != 0 {
		t.Errorf("%v allocations without a call of Get, want 0", n)
	}
}
