package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) {
	_ = memory.New().Close() // starts gofiber's clock, which nothing can stop
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func faulty(t *testing.T, plan storagetest.Plan) *storagetest.Faulty {
	f := storagetest.NewFaulty(memory.New(), plan)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFaultyWithoutFaults(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Storage { return faulty(t, nil) })
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
		fault  storagetest.Fault
		call   func(context.Context, storage.Storage) error
		want   error // nil: none
		cause  error
		stored bool // by a swap
	}{
		{"no fault", storagetest.Fault{}, swap, nil, nil, true},
		{"write fails", storagetest.Fault{Fail: errCut}, swap, storage.ErrUnavailable, errCut, false},
		{"write loses its answer", storagetest.Fault{Lose: errCut}, swap, storage.ErrUnknownOutcome, errCut, true},
		{"write hangs", storagetest.Fault{Hang: true}, swap, storage.ErrUnknownOutcome, context.DeadlineExceeded, false},
		{"write hangs when done", storagetest.Fault{Hang: true, Lose: errCut}, swap, storage.ErrUnknownOutcome, context.DeadlineExceeded, true},
		{"write is late", storagetest.Fault{Delay: time.Minute}, swap, nil, nil, true},
		{"write is too late", storagetest.Fault{Delay: 2 * time.Hour}, swap, storage.ErrUnavailable, context.DeadlineExceeded, false},
		{"read fails", storagetest.Fault{Fail: errCut}, load, storage.ErrUnavailable, errCut, false},
		{"read loses its answer", storagetest.Fault{Lose: errCut}, load, storage.ErrUnavailable, errCut, false},
		{"read hangs", storagetest.Fault{Hang: true}, load, storage.ErrUnavailable, context.DeadlineExceeded, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := faulty(t, storagetest.OnCall(1, tt.fault))
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				err := tt.call(ctx, f)
				if !errors.Is(err, tt.want) || !errors.Is(err, tt.cause) {
					t.Errorf("%v, want %v and %v", err, tt.want, tt.cause)
				}
				val, err := f.Get("k") // the second call: unharmed
				if err != nil || (val != nil) != tt.stored {
					t.Errorf("stored: %v, %v, want %v", val != nil, err, tt.stored)
				}
				if f.Calls() != 2 {
					t.Errorf("%d calls, want 2", f.Calls())
				}
			})
		})
	}
}

func TestFaultyCloseEndsWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := faulty(t, storagetest.OnMethod("Set", storagetest.Fault{Hang: true}))
		got := make(chan error)
		go func() { got <- f.Set("k", []byte("v"), 0) }() // received below
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := <-got; !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("%v, want ErrUnknownOutcome", err)
		}
	})
}

func TestFaultyMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := faulty(t, nil)
		var told []string
		w, err := f.Watch(func(c storage.Change) { told = append(told, string(c.Item.Value)) })
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
			synctest.Wait() // told by now, or never
		}
		if want := []string{"muted false", "muted false"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestFaultyOfABaseWithoutAbilities(t *testing.T) {
	t.Parallel()
	f := storagetest.NewFaulty(struct{ storage.Storage }{memory.New()}, nil)
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

func TestRedis(t *testing.T) {
	t.Parallel()
	s := storagetest.Redis(t)
	before := s.URL()
	s.Kill()
	s.Kill() // twice does no harm
	s.Restart()
	s.Restart() // nor does this
	if s.URL() != before {
		t.Errorf("%s after Restart, want %s", s.URL(), before)
	}
}
