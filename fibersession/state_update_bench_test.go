package fibersession_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// BenchmarkUpdate is one uncontended Update that changes one key.
func BenchmarkUpdate(b *testing.B) {
	for _, on := range []string{"memory", "redis"} {
		b.Run(on, func(b *testing.B) {
			var st storage.Storage
			if on == "memory" {
				st = memory.New()
			} else {
				st = openStorage(b, redistest.Start(b).URL())
			}
			defer st.Close()
			s := fibersession.New(fibersession.Config{Storage: st, Logger: discardLogger})
			h := storedSession(b, s, map[string]any{"n": 0})
			update := func(tx *fibersession.Tx) error {
				tx.Set("n", tx.Get("n").(int)+1)
				return nil
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := h.Update(ctx, update); err != nil {
					b.Fatal(err)
				}
			}
			h.Release()
			must(b, s.Close())
		})
	}
}
