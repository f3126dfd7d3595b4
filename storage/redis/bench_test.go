package redis_test

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

func openBench(b *testing.B) storage.Storage {
	b.Helper()
	s, err := storage.Open(redistest.Start(b).URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	b.ReportAllocs()
	return s
}

// many is the number of goroutines per CPU in the parallel benchmarks, which measure
// the effect of sharing round trips.
const many = 32

func BenchmarkLoad(b *testing.B) {
	s := openBench(b)
	if err := s.Set("key", make([]byte, 1024), 0); err != nil {
		b.Fatal(err)
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Load(b.Context(), "key"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(many)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Load(b.Context(), "key"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkCompareAndSwap(b *testing.B) {
	s := openBench(b)
	swap := func(key string, val []byte, rev *storage.Revision, i int) error {
		val[0] = byte(i)
		next, err := s.CompareAndSwap(b.Context(), key, *rev, val, time.Hour)
		*rev = next
		return err
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		val, rev := make([]byte, 1024), storage.Absent
		_ = s.Delete("key")
		for i := 0; b.Loop(); i++ {
			if err := swap("key", val, &rev, i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(many)
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			key, val, rev := strconv.FormatInt(n.Add(1), 10), make([]byte, 1024), storage.Absent
			_ = s.Delete(key)
			for i := 0; pb.Next(); i++ {
				if err := swap(key, val, &rev, i); err != nil && !errors.Is(err, storage.ErrConflict) {
					b.Error(err)
					return
				}
			}
		})
	})
}
