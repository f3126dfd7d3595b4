package serial_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
)

// trier records its calls. It processes the batches that refuse does not name.
type trier struct {
	refuse  func(batch []int) bool
	trying  func()
	calls   []string
	pending int // calls of Notify that no Run has followed
}

func (r *trier) Try(batch []int) bool {
	if r.trying != nil {
		r.trying()
	}
	if r.refuse != nil && r.refuse(batch) {
		r.calls = append(r.calls, fmt.Sprint("refused ", batch))
		return false
	}
	r.calls = append(r.calls, fmt.Sprint("tried ", batch))
	return true
}

func (r *trier) Work(batch []int) { r.calls = append(r.calls, fmt.Sprint("worked ", batch)) }
func (r *trier) Notify()          { r.pending++ }

func TestQueue_Trying(t *testing.T) {
	t.Parallel()
	odd := func(batch []int) bool { return batch[0]%2 == 1 }
	for _, tt := range []struct {
		name    string
		refuse  func([]int) bool
		do      func(q *serial.Queue[int], r *trier)
		want    []string
		pending int
	}{
		{"items wait for Run", nil, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(2)
			_ = q.Push(4)
		}, nil, 1},
		{"Run processes what waits", nil, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(2)
			_ = q.Push(4)
			r.run(q)
		}, []string{"tried [2 4]"}, 0},
		{"a worker processes what Try refuses, and what follows", odd, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(1)
			r.run(q)
			synctest.Wait()
			_ = q.Push(2)
			r.run(q)
		}, []string{"refused [1]", "worked [1]", "tried [2]"}, 0},
		{"what comes during Try waits for the next Run", nil, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(2)
			r.trying = func() { r.trying = nil; _ = q.Push(4) }
			r.run(q)
		}, []string{"tried [2]"}, 1},
		{"Hold keeps items until Flush", nil, func(q *serial.Queue[int], r *trier) {
			q.Hold()
			_ = q.Push(2)
			_ = q.Push(4)
			if r.pending > 0 {
				r.calls = append(r.calls, "notified")
			}
			q.Flush()
		}, []string{"tried [2 4]"}, 0},
		{"Flush without items", nil, func(q *serial.Queue[int], r *trier) {
			q.Hold()
			q.Flush()
			_ = q.Push(2)
		}, nil, 1},
		{"Resume leaves the items to Run", nil, func(q *serial.Queue[int], r *trier) {
			q.Hold()
			_ = q.Push(2)
			q.Resume()
			_ = q.Push(4)
			r.run(q)
		}, []string{"tried [2 4]"}, 0},
		{"Hold does not last above the high-water mark", nil, func(q *serial.Queue[int], r *trier) {
			q.Hold()
			_ = q.Push(2, 4, 6, 8)
		}, nil, 1},
		{"Hold during Try keeps what follows", nil, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(2)
			r.trying = func() { r.trying = nil; q.Hold(); _ = q.Push(4) }
			r.run(q)
			q.Flush()
		}, []string{"tried [2]", "tried [4]"}, 0},
		{"Flush while Run is due", nil, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(2)
			q.Hold()
			_ = q.Push(4)
			q.Flush() // Run processes them
			r.run(q)
		}, []string{"tried [2 4]"}, 0},
		{"Discard before Run", nil, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(2)
			q.Discard()
			r.run(q)
			q.Close()
		}, nil, 0},
		{"Close waits for Run", nil, func(q *serial.Queue[int], r *trier) {
			_ = q.Push(2)
			closed := make(chan struct{})
			go func() { q.Close(); close(closed) }() // received below
			synctest.Wait()
			select {
			case <-closed:
				r.calls = append(r.calls, "closed before Run")
			default:
			}
			r.run(q)
			<-closed
		}, nil, 0},
		{"Close with held items", nil, func(q *serial.Queue[int], r *trier) {
			q.Hold()
			_ = q.Push(2)
			q.Close()
			q.Flush()
		}, nil, 0},
		{"Seal with held items", nil, func(q *serial.Queue[int], r *trier) {
			q.Hold()
			_ = q.Push(2)
			q.Seal(4)
			q.Flush()
		}, []string{"tried [2 4]"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &trier{refuse: tt.refuse}
				q := serial.Queue[int]{HighItems: 3}
				q.StartTrying(r)
				tt.do(&q, r)
				synctest.Wait()
				if !slices.Equal(r.calls, tt.want) || r.pending != tt.pending {
					t.Errorf("calls are %q, and %d Runs are due; want %q and %d", r.calls, r.pending, tt.want, tt.pending)
				}
			})
		})
	}
}

// run calls Run as often as Notify has asked for it until now.
func (r *trier) run(q *serial.Queue[int]) {
	for n := r.pending; n > 0; n-- {
		r.pending--
		q.Run()
	}
}
