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

func message(id, from, text string) RoomMessage {
	return RoomMessage{Message: Message{ID: id, From: User{ID: from}, Text: text}, Room: "r"}
}

// With concurrent senders on three nodes, each message gets its own number, none is lost and
// the last ones are stored.
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
			var sending sync.WaitGroup
			var mu sync.Mutex
			numbers := map[int]bool{}
			for sender := range 9 {
				sending.Go(func() {
					for i := range each {
						m, err := nodes[sender%3].Add(t.Context(), message(fmt.Sprint(i), fmt.Sprint(sender), "x"))
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						numbers[m.Number] = true
						mu.Unlock()
					}
				})
			}
			sending.Wait()
			if len(numbers) != 9*each || !numbers[1] || !numbers[9*each] {
				t.Errorf("%d messages have %d numbers", 9*each, len(numbers))
			}
			stored, err := nodes[0].Last(t.Context(), "r")
			if err != nil || len(stored) != historySize {
				t.Fatalf("%d messages are stored: %v", len(stored), err)
			}
			for i, m := range stored {
				if want := 9*each - historySize + 1 + i; m.Number != want {
					t.Errorf("message %d has number %d, want %d", i, m.Number, want)
				}
			}
			if other, err := nodes[0].Last(t.Context(), "silent"); err != nil || other == nil || len(other) != 0 {
				t.Errorf("a room without messages: %v, %v", other, err)
			}
		})
	}
}

// A message that is added twice, or whose first answer was lost, is stored once.
func TestHistoryStoresAMessageOnce(t *testing.T) {
	t.Parallel()
	flaky := faulty.New(openStore(t, "memory://"), nil)
	h := History{flaky}
	first := message("1", "ada", "once")
	lost := faulty.Fault{Lose: errors.New("the answer was lost")}
	flaky.SetPlan(faulty.OnCall(2, lost)) // the swap succeeds, but its answer is lost
	for range 2 {
		m, err := h.Add(t.Context(), first)
		if err != nil || m.Number != 1 {
			t.Errorf("number %d: %v", m.Number, err)
		}
	}
	if m, err := h.Add(t.Context(), message("1", "bob", "another's")); err != nil || m.Number != 2 {
		t.Errorf("a message by another sender with the same ID: number %d: %v", m.Number, err)
	}
	if stored, err := h.Last(t.Context(), "r"); err != nil || len(stored) != 2 {
		t.Errorf("%d messages are stored: %v", len(stored), err)
	}
	flaky.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("away")}))
	if _, err := h.Add(t.Context(), first); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("with the storage down: %v, want ErrUnavailable", err)
	}
}
