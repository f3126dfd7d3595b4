package serial

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGroup_Wait(t *testing.T) {
	t.Run("nothing runs", func(t *testing.T) {
		var g Group
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Wait(ctx); err != nil { // returns at once: no task is running
			t.Error(err)
		}
	})
	t.Run("until the last task is done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g Group
			begin := time.Now()
			for i := range 3 {
				g.Add()
				go func() { // ends within the test's bubble
					time.Sleep(time.Duration(i) * time.Hour)
					g.Done()
				}()
			}
			if err := g.Wait(t.Context()); err != nil || time.Since(begin) != 2*time.Hour {
				t.Errorf("Wait returned %v after %v, want nil after 2 h", err, time.Since(begin))
			}
			g.Add() // a group can be used again
			g.Done()
			if err := g.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("until its context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g Group
			g.Add()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Wait returned %v, want DeadlineExceeded", err)
			}
			g.Done()
		})
	})
	t.Run("Done wakes all waiters", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g Group
			g.Add()
			for range 10 {
				go func() { // ends with the bubble, or the test hangs
					if err := g.Wait(t.Context()); err != nil {
						t.Error(err)
					}
				}()
			}
			synctest.Wait()
			g.Done()
		})
	})
}
