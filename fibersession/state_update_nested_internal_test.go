package fibersession

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func nestedHandle(t *testing.T, s *Store) *Handle {
	t.Helper()
	st, err := s.create(device{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := s.newHandle(st)
	t.Cleanup(h.Release)
	h.Set("n", 0)
	if err := h.Save(context.Background()); err != nil {
		t.Fatal(err)
	}
	return h
}

// Only a change from inside the session's own Update is nested: not one from inside another
// session's Update, although a third goroutine runs an Update of the changed session.
func TestUpdate_NestedAmongManyFunctions(t *testing.T) {
	ctx := context.Background()
	s := New()
	defer s.Close()
	const functions = 33
	var handles []*Handle
	for range functions {
		handles = append(handles, nestedHandle(t, s))
	}
	var all, done sync.WaitGroup
	all.Add(functions)
	for i, h := range handles {
		other := handles[(i+1)%functions]
		done.Go(func() {
			first := true
			err := h.Update(ctx, func(tx *Tx) error {
				if first {
					first = false
					all.Done()
				}
				all.Wait() // every function is running now
				if _, err := other.Incr(ctx, "others", 1); err != nil {
					t.Errorf("Incr of another session: %v", err)
				}
				if _, err := h.Incr(ctx, "n", 1); !errors.Is(err, ErrNested) {
					t.Errorf("Incr of the Update's own session: %v, want ErrNested", err)
				}
				err := other.Update(ctx, func(*Tx) error {
					if err := h.Update(ctx, func(*Tx) error { return nil }); !errors.Is(err, ErrNested) {
						t.Errorf("Update inside an Update inside its own Update: %v, want ErrNested", err)
					}
					return nil
				})
				if err != nil {
					t.Errorf("Update of another session: %v", err)
				}
				tx.Set("updated", true)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := h.Incr(ctx, "n", 1); err != nil {
				t.Errorf("after the Update: %v", err)
			}
		})
	}
	done.Wait()
}
