package measure

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// lister is a Recorder that lists the series that were made.
type lister struct {
	mu   sync.Mutex
	made []string
}

type discard struct{}

func (discard) Record(context.Context, float64) {}

func (r *lister) Series(i *Instrument, labels ...string) Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = append(r.made, fmt.Sprint(i.Name, labels))
	return discard{}
}

// N9: an event whose series exist costs one allocation, the function for its end.
func TestN9_EventAllocations(t *testing.T) {
	h := newServerHooks(new(lister))
	h.events.getOrMake("e", MaxEvents, h.other, h.newEvent)
	op := &socketbridge.Operation{Kind: socketbridge.OpHandle, Event: "e", Packet: new(socketbridge.Packet)}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		_, end := h.operation(ctx, op)
		end(nil)
	}); n > 1 {
		t.Errorf("an event costs %v allocations, want 1", n)
	}
}

// N9: concurrent users of a table make each value once, and no more than its limit.
func TestN9_Table(t *testing.T) {
	t.Parallel()
	r := new(lister)
	f := family[string]{recorder: r, instrument: ConnectDuration, labels: one}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				f.of(fmt.Sprint(i%10)).Record(context.Background(), time.Second.Seconds())
			}
		})
	}
	all.Wait()
	if len(r.made) != 10 {
		t.Errorf("made %d series, want 10: %v", len(r.made), r.made)
	}
	var limited table[int, int]
	for i := range 5 {
		want := i
		if i >= 3 {
			want = -1
		}
		if got := limited.getOrMake(i, 3, -1, func(k int) int { return k }); got != want {
			t.Errorf("value %d of a table for 3 is %d, want %d", i, got, want)
		}
	}
}
