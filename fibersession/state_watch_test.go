package fibersession_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, here, map[string]any{"a": 1, "b": []int{1}})
	var events []fibersession.Event // calls for one session never overlap
	stop := h.Watch(func(e fibersession.Event) { events = append(events, e) })
	next := func() fibersession.Event {
		t.Helper()
		if len(events) == 0 {
			t.Fatal("got no event")
		}
		e := events[0]
		events = events[1:]
		slices.Sort(e.Keys)
		return e
	}

	h.Set("a", 2)
	h.Delete("b")
	if len(events) != 0 {
		t.Error("an unsaved change caused an event")
	}
	must(t, h.Save(ctx))
	if e := next(); e.Kind != fibersession.Changed || !slices.Equal(e.Keys, []string{"a", "b"}) {
		t.Errorf("after Save: got %+v, want Changed with a and b", e)
	}
	other := handleOf(t, there, h.ID())
	other.Set("c", 1)
	other.Set("a", 2) // the same value
	must(t, other.Save(ctx))
	must(t, h.Reload(ctx))
	if e := next(); e.Kind != fibersession.Changed || !slices.Equal(e.Keys, []string{"c"}) {
		t.Errorf("after another node's Save and Reload: got %+v, want Changed with c", e)
	}
	must(t, h.Reload(ctx))
	must(t, h.Touch(ctx))
	must(t, h.Regenerate(ctx))
	if e := next(); e.Kind != fibersession.Renewed {
		t.Errorf("after Regenerate: got %+v, want Renewed", e)
	}
	must(t, other.Reload(ctx)) // follows to the new ID
	must(t, other.Destroy(ctx))
	if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
		t.Errorf("Reload: got %v, want ErrDestroyed", err)
	}
	if e := next(); e.Kind != fibersession.Ended || !errors.Is(e.Cause, fibersession.ErrDestroyed) {
		t.Errorf("after another node's Destroy: got %+v, want Ended with ErrDestroyed", e)
	}
	_ = h.Reload(ctx)
	if len(events) != 0 {
		t.Errorf("after Ended: got the events %+v, want none", events)
	}
	stop()
	stop()
}

// A watcher may use the session, and may stop itself and other watchers.
func TestWatch_CallsBack(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"n": 0})
	var seen []string
	var stopSecond func()
	stopFirst := h.Watch(func(e fibersession.Event) {
		seen = append(seen, "first")
		if len(seen) == 1 {
			stopSecond()
			if _, err := h.Incr(ctx, "n", 1); err != nil { // causes another event
				t.Error(err)
			}
		}
	})
	stopSecond = h.Watch(func(fibersession.Event) { seen = append(seen, "second") })
	_, err := h.Incr(ctx, "n", 1)
	must(t, err)
	stopFirst()
	_, err = h.Incr(ctx, "n", 1)
	must(t, err)
	if want := []string{"first", "first"}; !slices.Equal(seen, want) {
		t.Errorf("got the calls %q, want %q", seen, want)
	}
}

// A watcher that stops during an event takes the event from no other one.
func TestWatch_StopsDuringEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		stops int // which of the watchers the first one stops
		want  []string
	}{
		{"itself", 0, []string{"0", "1", "2", "3", "1", "2", "3"}},
		{"the next one", 1, []string{"0", "2", "3", "0", "2", "3"}},
		{"the last one", 3, []string{"0", "1", "2", "0", "1", "2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := storedSession(t, newStore(t, fibersession.Config{}), map[string]any{"n": 0})
			var seen []string
			stops := make([]func(), 4)
			for i := range stops {
				stops[i] = h.Watch(func(fibersession.Event) {
					seen = append(seen, strconv.Itoa(i))
					if i == 0 {
						stops[tt.stops]()
					}
				})
			}
			for range 2 {
				_, err := h.Incr(ctx, "n", 1)
				must(t, err)
			}
			if !slices.Equal(seen, tt.want) {
				t.Errorf("got the calls %q, want %q", seen, tt.want)
			}
		})
	}
}

// A time in a named zone is equal to itself when it comes back from the storage with the
// bare offset. It is not reported as changed, and no Update runs again because of it.
func TestWatch_TimesInNamedZones(t *testing.T) {
	t.Parallel()
	_, here, there := twoNodes(t, fibersession.Config{})
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.FixedZone("XYZ", 3*3600))
	h := storedSession(t, here, map[string]any{"at": at, "moved": at, "n": 1})
	rec := recordEvents(t, h)
	remote := handleOf(t, there, h.ID())
	remote.Set("n", 2)
	remote.Set("moved", at.UTC()) // the same moment in another zone
	must(t, remote.Save(ctx))
	must(t, h.Reload(ctx))
	keys := rec.nextEvent().Keys
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"moved", "n"}) {
		t.Errorf("got the changed keys %q, want moved and n", keys)
	}
}
