package faulty_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) {
	_ = memory.New().Close() // starts gofiber's clock goroutine, which never ends
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func newFaulty(t *testing.T, plan faulty.Plan) *faulty.Storage {
	f := faulty.New(memory.New(), plan)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestNoFaults(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Storage { return newFaulty(t, nil) })
}

var errCut = errors.New("cut off")

func TestFaults(t *testing.T) {
	swap := func(ctx context.Context, s storage.Storage) error {
		_, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("v"), 0)
		return err
	}
	load := func(ctx context.Context, s storage.Storage) error {
		_, err := s.Load(ctx, "k")
		return err
	}
	tests := []struct {
		name   string
		fault  faulty.Fault
		call   func(context.Context, storage.Storage) error
		want   error // nil: none
		cause  error
		stored bool // by a swap
	}{
		{"no fault", faulty.Fault{}, swap, nil, nil, true},
		{"write fails", faulty.Fault{Fail: errCut}, swap, storage.ErrUnavailable, errCut, false},
		{"write loses its answer", faulty.Fault{Lose: errCut}, swap, storage.ErrUnknownOutcome, errCut, true},
		{"write hangs", faulty.Fault{Hang: true}, swap, storage.ErrUnknownOutcome, context.DeadlineExceeded, false},
		{"write hangs when done", faulty.Fault{Hang: true, Lose: errCut}, swap, storage.ErrUnknownOutcome, context.DeadlineExceeded, true},
		{"write is late", faulty.Fault{Delay: time.Minute}, swap, nil, nil, true},
		{"write is too late", faulty.Fault{Delay: 2 * time.Hour}, swap, storage.ErrUnavailable, context.DeadlineExceeded, false},
		{"read fails", faulty.Fault{Fail: errCut}, load, storage.ErrUnavailable, errCut, false},
		{"read loses its answer", faulty.Fault{Lose: errCut}, load, storage.ErrUnavailable, errCut, false},
		{"read hangs", faulty.Fault{Hang: true}, load, storage.ErrUnavailable, context.DeadlineExceeded, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFaulty(t, faulty.OnCall(1, tt.fault))
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				err := tt.call(ctx, f)
				if !errors.Is(err, tt.want) || !errors.Is(err, tt.cause) {
					t.Errorf("error %v, want %v and %v", err, tt.want, tt.cause)
				}
				val, err := f.Get("k") // the second call has no fault
				if err != nil || (val != nil) != tt.stored {
					t.Errorf("value stored: %v (error %v), want %v", val != nil, err, tt.stored)
				}
				if f.Calls() != 2 {
					t.Errorf("Calls() = %d, want 2", f.Calls())
				}
			})
		})
	}
}

func TestCloseUnblocksHangingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty(t, faulty.OnMethod("Set", faulty.Fault{Hang: true}))
		got := make(chan error)
		go func() { got <- f.Set("k", []byte("v"), 0) }() // received below
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := <-got; !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("Set during Close: %v, want ErrUnknownOutcome", err)
		}
	})
}

func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty(t, nil)
		var got []string
		w, err := f.Watch(func(c storage.Change) { got = append(got, string(c.Item.Value)) })
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		for _, muted := range []bool{false, true, false} {
			f.Mute(muted)
			if err := f.Set("k", []byte(fmt.Sprint("muted ", muted)), 0); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the notification, if any, has been delivered
		}
		if want := []string{"muted false", "muted false"}; !slices.Equal(got, want) {
			t.Errorf("notified of %q, want %q", got, want)
		}
	})
}

func TestUnsupportedMethods(t *testing.T) {
	t.Parallel()
	f := faulty.New(struct{ storage.Storage }{memory.New()}, nil)
	defer f.Close()
	if _, err := f.Watch(func(storage.Change) {}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Watch: %v, want errors.ErrUnsupported", err)
	}
	if err := f.AddMember(t.Context(), "s", "m", 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("AddMember: %v, want errors.ErrUnsupported", err)
	}
	if err := f.ResetPrefix(t.Context(), "p"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ResetPrefix: %v, want errors.ErrUnsupported", err)
	}
}
