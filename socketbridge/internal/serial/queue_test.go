package serial_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
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
	for q.Load() != (serial.Load{}) {
		runtime.Gosched()
	}
}

// sized measures strings: an item that begins with "!" does not count for the limit.
func sized(s string) serial.Load {
	l := serial.Load{Items: 1, Size: len(s), Bound: len(s)}
	if strings.HasPrefix(s, "!") {
		l.Bound = 0
	}
	return l
}

func TestQueue_Limits(t *testing.T) {
	tests := []struct {
		name  string
		max   int
		first []string
		then  []string
		want  error
	}{
		{"no limit", 0, []string{"a"}, make([]string, 10_000), nil},
		{"up to the limit", 6, []string{"abc"}, []string{"d", "ef"}, nil},
		{"one over the limit", 6, []string{"abc"}, []string{"d", "efg"}, serial.ErrFull},
		{"one over the limit, alone", 6, nil, []string{"1234567"}, nil},
		{"one over the limit, after others that do not count", 6, []string{"!234567"}, []string{"1234567"}, nil},
		{"those that do not count", 6, []string{"abcdef"}, []string{"!bc", "!de"}, nil},
		{"one that counts and one that does not", 6, []string{"abcdef"}, []string{"!bc", "d"}, serial.ErrFull},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := serial.Queue[string]{Max: tt.max, Measure: sized}
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
			if got := q.Drain(nil, 1<<20); len(got) != want {
				t.Errorf("%d items are queued, want %d: Push must queue all or none", len(got), want)
			}
			if l := q.Load(); l != (serial.Load{}) {
				t.Errorf("the load of an empty queue is %+v", l)
			}
			if err := q.Push(tt.first...); err != nil {
				t.Errorf("Push to an empty queue returned %v", err)
			}
		})
	}
}

func TestQueue_DrainInParts(t *testing.T) {
	q := serial.Queue[string]{Measure: sized}
	_ = q.Push("12345", "1", "2", "345", "6")
	for _, want := range [][]string{{"12345"}, {"1", "2"}, {"345", "6"}, nil} {
		if got := q.Drain(nil, 4); !slices.Equal(got, want) {
			t.Errorf("drained %q, want %q", got, want)
		}
	}
	_ = q.Push("again")
	if got := q.Drain(nil, 4); !slices.Equal(got, []string{"again"}) {
		t.Errorf("drained %q", got)
	}
}

// Push does not obey the high-water mark. Drained reports it, and its channel is closed when
// the load has fallen to it, or at the end of the queue.
func TestQueue_Drained(t *testing.T) {
	open := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return false
		default:
			return ch != nil
		}
	}
	tests := []struct {
		name    string
		push    []string
		waits   bool
		release func(q *serial.Queue[string])
		want    error // of Drained afterwards
	}{
		{"at the mark", []string{"abc", "def"}, false, nil, nil},
		{"too many", []string{"a", "b", "c", "d"}, true, func(q *serial.Queue[string]) { q.Drain(nil, 1) }, nil},
		{"too large", []string{"abc", "defg"}, true, func(q *serial.Queue[string]) { q.Drain(nil, 1) }, nil},
		{"one alone", []string{"abcdefg"}, true, func(q *serial.Queue[string]) { q.Drain(nil, 1) }, nil},
		{"sealed", []string{"abcdefg"}, true, func(q *serial.Queue[string]) { q.Seal("end") }, serial.ErrClosed},
		{"discarded", []string{"abcdefg"}, true, func(q *serial.Queue[string]) { q.Discard() }, serial.ErrClosed},
		{"closed", []string{"abcdefg"}, true, func(q *serial.Queue[string]) { q.Close() }, serial.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := serial.Queue[string]{HighItems: 3, HighSize: 6, Measure: sized}
			if err := q.Push(tt.push...); err != nil {
				t.Fatal(err)
			}
			ch, err := q.Drained()
			if err != nil || open(ch) != tt.waits || q.High() != tt.waits {
				t.Fatalf("Drained tells to wait: %v, %v; High: %v; want %v", open(ch), err, q.High(), tt.waits)
			}
			if !tt.waits {
				return
			}
			if other, _ := q.Drained(); other != ch {
				t.Error("a second sender got another channel")
			}
			tt.release(&q)
			if open(ch) {
				t.Error("the channel is still open")
			}
			if ch, err := q.Drained(); ch != nil || !errors.Is(err, tt.want) {
				t.Errorf("Drained returned %v, %v, want %v", ch, err, tt.want)
			}
		})
	}
}

// A batch counts until it was processed, and the senders wait for that.
func TestQueue_DrainedByTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := serial.Queue[string]{HighSize: 3, Measure: sized}
		q.Start(func([]string) { time.Sleep(time.Hour) })
		_ = q.Push("abcd")
		begin := time.Now()
		ch, _ := q.Drained()
		<-ch
		if took := time.Since(begin); took != time.Hour {
			t.Errorf("the sender waited for %v", took)
		}
		q.Close()
	})
}

// Every item is released once: after it was processed, or when it is dropped.
func TestQueue_Release(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released []string
		q := serial.Queue[string]{Release: func(batch []string) { released = append(released, batch...) }}
		q.Start(func([]string) { time.Sleep(time.Hour) })
		_ = q.Push("done")
		time.Sleep(2 * time.Hour)
		_ = q.Push("in work")
		synctest.Wait()
		_ = q.Push("waits")
		q.Discard()
		if want := []string{"done", "in work", "waits"}; !slices.Equal(released, want) {
			t.Errorf("after Discard, %q were released, want %q", released, want)
		}
		if l := q.Load(); l != (serial.Load{}) {
			t.Errorf("after Discard, the load is %+v", l)
		}
		q.Close()
		if len(released) != 3 || q.Load() != (serial.Load{}) {
			t.Errorf("after the work, %q were released, and the load is %+v", released, q.Load())
		}
	})
}

// Items that are being processed still occupy memory.
func TestQueue_WorkCountsAgainstTheLimits(t *testing.T) {
	q := serial.Queue[int]{Max: 2}
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
			q := serial.Queue[string]{Max: 2} // Seal ignores the limit
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
			if got := q.Drain([]string{}, 0); !slices.Equal(got, tt.want) {
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
		if q.Load() != (serial.Load{}) {
			t.Error("Push to a closed queue succeeded")
		}
	})
}

// workers returns the number of running workers of all queues in this test binary.
func workers() int {
	all := make([]byte, 1<<20)
	return bytes.Count(all[:runtime.Stack(all, true)], []byte(".process(")) // once in each worker's stack
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
