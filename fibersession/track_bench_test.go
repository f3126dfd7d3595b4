package fibersession_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// BenchmarkFeed measures what watching adds to a write, and what a tracked read saves over
// a strict one.
func BenchmarkFeed(b *testing.B) {
	for _, on := range []string{"memory", "redis"} {
		var st storage.Storage
		if on == "memory" {
			st = memory.New()
		} else {
			st = openStorage(b, redistest.Start(b).URL())
		}
		s := fibersession.New(fibersession.Config{Storage: st, Logger: discardLogger})
		h := storedSession(b, s, map[string]any{"n": 0})
		run := func(name string, op func() error) {
			b.Run(on+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := op(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		incr := func() error { _, err := h.Incr(ctx, "n", 1); return err }
		run("Incr, unwatched", incr)
		var stop func()
		waitForSubscription(b, s, func() { stop = h.Watch(func(fibersession.Event) {}) })
		run("Incr, watched", incr)
		waitFor(b, "a tracked read that asks no store", func() bool {
			return h.Refresh(ctx, fibersession.Tracked) == nil && s.Stats().SkippedReads > 0
		})
		run("Refresh, strict", func() error { return h.Refresh(ctx, fibersession.Strict) })
		run("Refresh, tracked", func() error { return h.Refresh(ctx, fibersession.Tracked) })
		stop()
		h.Release()
		must(b, s.Close())
		if on == "memory" {
			_ = st.Close()
		}
	}
}
