package inspector

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// TestN8_HistoryOfPlotsIsBounded: there is one sample each 5 s and no more, the history has the
// last 5 minutes, and a point has at most 2 KiB.
func TestN8_HistoryOfPlotsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h history
		samples := 0
		sample := func() *summary {
			samples++
			return &summary{Now: time.Now().UnixMilli(), Events: uint64(10 * samples * samples), Sockets: samples}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { // received below
			defer close(ended)
			h.record(ctx, pointEvery, sample)
		}()
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if want := 1 + int(10*time.Minute/pointEvery); samples != want {
			t.Errorf("%d samples in 10 minutes, want %d", samples, want)
		}
		if len(h.points) != maxPoints || cap(h.points) != maxPoints {
			t.Fatalf("%d points in a slice of %d, want %d", len(h.points), cap(h.points), maxPoints)
		}
		if got := time.Duration(h.points[maxPoints-1].Time-h.points[0].Time) * time.Millisecond; got != 5*time.Minute-pointEvery {
			t.Errorf("the history has %v", got)
		}
		last := h.points[maxPoints-1]
		if want := uint64(10*samples*samples - 10*(samples-1)*(samples-1)); last.Events != want || last.Sockets != samples || last.Span != pointEvery.Milliseconds() {
			t.Errorf("the last point is %+v, want %d events and %d sockets", last, want, samples)
		}
		cancel()
		<-ended
	})

	full := make([]uint64, buckets)
	for b := range full {
		full[b] = uint64(b + 1)
	}
	p := pointBetween(&summary{}, &summary{Answered: full, Stored: full}, pointEvery)
	if got := int(unsafe.Sizeof(*p)) + 4*(cap(p.Answered)+cap(p.Stored)); got > 2<<10 || len(p.Answered) != 2*buckets {
		t.Errorf("a point takes %d bytes", got)
	}
}

// TestN8_HistoryOfPlotsHasTheGrowth: a point has what the counters have grown by between two
// samples, and nothing for a counter that was reset.
func TestN8_HistoryOfPlotsHasTheGrowth(t *testing.T) {
	t.Parallel()
	before := &summary{Events: 100, Errors: 7, Sent: 5, Refused: 9, Answered: []uint64{1, 0, 4}}
	now := &summary{Events: 150, Errors: 7, Sent: 8, Refused: 3, Answered: []uint64{1, 2, 4, 0, 6}, Stored: []uint64{0, 1}, Memory: 9, Heap: 8, Sockets: 7, Now: 1234}
	p := pointBetween(before, now, 5*time.Second)
	if p.Events != 50 || p.Errors != 0 || p.Sent != 3 || p.Refused != 0 || p.Memory != 9 || p.Heap != 8 || p.Sockets != 7 || p.Time != 1234 || p.Span != 5000 {
		t.Errorf("point %+v", p)
	}
	for name, tt := range map[string]struct{ got, want []uint32 }{"answered": {p.Answered, []uint32{1, 2, 4, 6}}, "stored": {p.Stored, []uint32{1, 1}}} {
		if len(tt.got) != len(tt.want) {
			t.Fatalf("%s: %v, want %v", name, tt.got, tt.want)
		}
		for k := range tt.want {
			if tt.got[k] != tt.want[k] {
				t.Errorf("%s: %v, want %v", name, tt.got, tt.want)
			}
		}
	}
}
