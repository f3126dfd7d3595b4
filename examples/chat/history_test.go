package main

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

func openStore(t *testing.T, url string) storage.Storage {
	t.Helper()
	store, err := storage.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// Everybody speaks at once, at three nodes: each message gets a number of its own, none
// is lost, and the last are kept.
func TestHistoryHasOneOrder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memory", "redis"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := make([]History, 3)
			if name == "redis" {
				url := redistest.Start(t).URL()
				for i := range nodes {
					nodes[i] = History{openStore(t, url)}
				}
			} else {
				store := openStore(t, "memory://")
				nodes = []History{{store}, {store}, {store}}
			}
			const each = 8
			var speaking sync.WaitGroup
			var mu sync.Mutex
			numbers := map[int]bool{}
			for speaker := range 9 {
				speaking.Go(func() {
					for i := range each {
						m, err := nodes[speaker%3].Add(t.Context(), Message{ID: fmt.Sprint(i), Room: "r", From: User{ID: fmt.Sprint(speaker)}, Text: "x"})
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						numbers[m.Number] = true
						mu.Unlock()
					}
				})
			}
			speaking.Wait()
			if len(numbers) != 9*each || !numbers[1] || !numbers[9*each] {
				t.Errorf("%d messages have %d numbers", 9*each, len(numbers))
			}
			kept, err := nodes[0].Last(t.Context(), "r")
			if err != nil || len(kept) != historySize {
				t.Fatalf("%d messages are kept: %v", len(kept), err)
			}
			for i, m := range kept {
				if want := 9*each - historySize + 1 + i; m.Number != want {
					t.Errorf("message %d has number %d, want %d", i, m.Number, want)
				}
			}
			if other, err := nodes[0].Last(t.Context(), "silent"); err != nil || other == nil || len(other) != 0 {
				t.Errorf("a room in which nobody spoke: %v, %v", other, err)
			}
		})
	}
}

// What is sent twice, or stored without anybody knowing, is said once.
func TestHistoryKeepsAMessageOnce(t *testing.T) {
	t.Parallel()
	flaky := faulty.New(openStore(t, "memory://"), nil)
	h := History{flaky}
	first := Message{ID: "1", Room: "r", From: User{ID: "ada"}, Text: "once"}
	lost := faulty.Fault{Lose: errors.New("the answer was lost")}
	flaky.SetPlan(faulty.OnCall(2, lost)) // the swap happens
	for range 2 {
		m, err := h.Add(t.Context(), first)
		if err != nil || m.Number != 1 {
			t.Errorf("number %d: %v", m.Number, err)
		}
	}
	if m, err := h.Add(t.Context(), Message{ID: "1", Room: "r", From: User{ID: "bob"}, Text: "another's"}); err != nil || m.Number != 2 {
		t.Errorf("another's message of the same ID: number %d: %v", m.Number, err)
	}
	if kept, err := h.Last(t.Context(), "r"); err != nil || len(kept) != 2 {
		t.Errorf("%d messages are kept: %v", len(kept), err)
	}
	flaky.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("away")}))
	if _, err := h.Add(t.Context(), first); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("without a store: %v", err)
	}
}
