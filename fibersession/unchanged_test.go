package fibersession_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// A strict read of a store that answers at once asks it every time, decodes what is new
// there and nothing else, and is not satisfied with a session that has ended.
func TestStrictReadInMemory(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := stored(t, here, map[string]any{"n": 0})
	defer h.Release()
	other := again(t, there, h.ID())
	defer other.Release()
	read := func(decodes uint64, n int) {
		t.Helper()
		before := here.Stats()
		must(t, h.Refresh(ctx, fibersession.Strict))
		after := here.Stats()
		if after.Loads != before.Loads+1 || after.Decodes != before.Decodes+decodes {
			t.Errorf("a read took %d loads and %d decodes, want 1 and %d", after.Loads-before.Loads, after.Decodes-before.Decodes, decodes)
		}
		if got := h.Get("n"); got != n {
			t.Errorf("n = %v after a read, want %d", got, n)
		}
	}
	read(0, 0)
	read(0, 0)
	for n := 1; n < 4; n++ {
		_, err := other.Incr(ctx, "n", 1)
		must(t, err)
		read(1, n)
		read(0, n)
	}
	confirmed := h.Confirmed()
	read(0, 3)
	if !h.Confirmed().After(confirmed) {
		t.Error("a read that found nothing new did not confirm what is known")
	}
	must(t, other.Destroy(ctx))
	if err := h.Refresh(ctx, fibersession.Strict); err == nil {
		t.Error("a read of a session that was destroyed elsewhere succeeded")
	}
}

// Where the value does not tell how long a session lives, that it is there does: such a
// read has to go the whole way.
func TestStrictReadInMemory_WithoutEnvelope(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Builtin: true})
	h := stored(t, s, map[string]any{"n": 0})
	defer h.Release()
	ends := h.Deadline()
	must(t, h.Refresh(ctx, fibersession.Strict))
	if !h.Deadline().After(ends) {
		t.Error("a read did not move the limit")
	}
}
