package serial_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQueue_KeepsTheOrderOfEachSender(t *testing.T) {
	const senders, each = 16, 500
	var q serial.Queue[[2]int]
	last := make(map[int]int)
	got := 0
	q.Start(func(batch [][2]int) { // the race detector reports calls that overlap
		for _, item := range batch {
			if item[1] != last[item[0]] {
				t.Errorf("sender %d: got item %d, want %d", item[0], item[1], last[item[0]])
			}
			last[item[0]]++
			got++
		}
	})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				if err := q.Push([2]int{s, i}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	flush(&q)
	q.Close()
	if got != senders*each {
		t.Errorf("%d items were processed, want %d", got, senders*each)
	}
}

// flush waits until all pushed items have been processed.
func flush[T any](q *serial.Queue[T]) {
	for q.Len() > 0 {
		runtime.Gosched()
	}
}

func TestQueue_Limits(t *testing.T) {
	size := func(s string) int { return len(s) }
	tests := []struct {
		name  string
		items int
		size  int
		first []string
		then  []string
		want  error
	}{
		{"no limits", 0, 0, []string{"a"}, make([]string, 10_000), nil},
		{"up to the number", 3, 0, []string{"a"}, []string{"b", "c"}, nil},
		{"one over the number", 3, 0, []string{"a"}, []string{"b", "c", "d"}, serial.ErrFull},
		{"up to the size", 0, 6, []string{"abc"}, []string{"d", "ef"}, nil},
		{"one over the size", 0, 6, []string{"abc"}, []string{"d", "efg"}, serial.ErrFull},
		{"one over the size, alone", 0, 6, nil, []string{"1234567"}, nil},
		{"over the number, alone", 3, 0, nil, []string{"a", "b", "c", "d"}, serial.ErrFull},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := serial.Queue[string]{MaxItems: tt.items, MaxSize: tt.size, Size: size}
			if err := q.Push(tt.first...); err != nil {
				t.Fatal(err)
			}
			if err := q.Push(tt.then...); !errors.Is(err, tt.want) {
				t.Errorf("Push returned %v, want %v", err, tt.want)
			}
			want := len(tt.first)
			if tt.want == nil {
				want += len(tt.then)
			}
			if got := q.Drain(nil); len(got) != want {
				t.Errorf("%d items are queued, want %d: Push must queue all or none", len(got), want)
			}
			if err := q.Push(tt.first...); err != nil {
				t.Errorf("Push to an empty queue returned %v", err)
			}
		})
	}
}

// Items that are being processed still occupy memory.
func TestQueue_WorkCountsAgainstTheLimits(t *testing.T) {
	q := serial.Queue[int]{MaxItems: 2}
	begun, end := make(chan struct{}), make(chan struct{})
	q.Start(func([]int) { begun <- struct{}{}; <-end })
	if err := q.Push(1, 2); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := q.Push(3); !errors.Is(err, serial.ErrFull) {
		t.Errorf("Push returned %v while two items were being processed", err)
	}
	if err := q.PushIdle(3); !errors.Is(err, serial.ErrFull) {
		t.Errorf("PushIdle returned %v while items were being processed", err)
	}
	end <- struct{}{}
	flush(&q)
	if err := q.PushIdle(3); err != nil {
		t.Errorf("PushIdle returned %v on an idle queue", err)
	}
	<-begun
	end <- struct{}{}
	q.Close()
}

func TestQueue_Seal(t *testing.T) {
	tests := []struct {
		name string
		end  func(q *serial.Queue[string])
		want []string
	}{
		{"Seal comes after what waits", func(q *serial.Queue[string]) { q.Seal("last") }, []string{"a", "b", "last"}},
		{"Seal counts once", func(q *serial.Queue[string]) { q.Seal("last"); q.Seal("again") }, []string{"a", "b", "last"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := serial.Queue[string]{MaxItems: 2} // Seal ignores the limit
			if err := q.Push("a", "b"); err != nil {
				t.Fatal(err)
			}
			tt.end(&q)
			if err := q.Push("c"); !errors.Is(err, serial.ErrClosed) {
				t.Errorf("Push returned %v", err)
			}
			if err := q.PushIdle("c"); !errors.Is(err, serial.ErrClosed) {
				t.Errorf("PushIdle returned %v", err)
			}
			if got := q.Drain([]string{}); !slices.Equal(got, tt.want) {
				t.Errorf("queued items are %q, want %q", got, tt.want)
			}
		})
	}
}

func TestQueue_CloseWaitsForTheWorkAndDropsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q serial.Queue[int]
		var done []int
		q.Start(func(batch []int) {
			time.Sleep(time.Hour)
			done = append(done, batch...)
		})
		_ = q.Push(1)
		synctest.Wait()
		_ = q.Push(2)
		begin := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(q.Close)
		}
		wg.Wait()
		if waited := time.Since(begin); waited != time.Hour {
			t.Errorf("Close returned after %v, before the work was done", waited)
		}
		if !slices.Equal(done, []int{1}) {
			t.Errorf("done is %v", done)
		}
		q.Seal(3)
		if q.Len() != 0 {
			t.Error("Push to a closed queue succeeded")
		}
	})
}

// workers returns the number of running workers of all queues in this test binary.
func workers() int {
	all := make([]byte, 1<<20)
	return bytes.Count(all[:runtime.Stack(all, true)], []byte(".run(")) // once in each worker's stack
}

// An idle queue has no goroutine. The test is not parallel because it counts the workers
// of all queues.
func TestQueue_WorkerLivesOnlyWhileThereIsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queues := make([]serial.Queue[int], 100)
		for i := range queues {
			queues[i].Start(func([]int) {})
			_ = queues[i].Push(1)
		}
		synctest.Wait()
		if n := workers(); n != 0 {
			t.Errorf("%d workers are running, want 0", n)
		}
		hold := make(chan struct{})
		var busy serial.Queue[int]
		busy.Start(func([]int) { <-hold })
		_ = busy.Push(1)
		synctest.Wait()
		if n := workers(); n != 1 {
			t.Errorf("%d workers are running, want 1", n)
		}
		close(hold)
	})
}

func TestQueue_BatchIsForgotten(t *testing.T) {
	var q serial.Queue[*int]
	var kept []*int
	begun := make(chan struct{})
	q.Start(func(batch []*int) { kept = batch; begun <- struct{}{} })
	_ = q.Push(new(int))
	<-begun
	q.Close()
	if kept[0] != nil {
		t.Error("the queue retains a processed item")
	}
}

func ExampleQueue() {
	var q serial.Queue[string]
	_ = q.Push("held", "until")
	_ = q.Push("started")
	done := make(chan struct{})
	q.Start(func(batch []string) { fmt.Println(batch); close(done) })
	<-done
	q.Close()
	// Output: [held until started]
}

func BenchmarkQueue_PushOne(b *testing.B) {
	var q serial.Queue[int]
	q.Start(func([]int) {})
	b.ReportAllocs()
	for b.Loop() {
		_ = q.Push(1)
	}
	q.Close()
}
