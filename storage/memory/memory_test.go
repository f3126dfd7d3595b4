package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) {
	_ = memory.New().Close() // starts gofiber's clock, one per process, which nothing can stop
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func TestRedisStarts(t *testing.T) { t.Log(storagetest.Redis(t).URL()) }

func TestQuick(t *testing.T) {
	s, err := storage.Open("memory://")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rev, err := s.CompareAndSwap(t.Context(), "a", storage.Absent, []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	item, err := s.Load(t.Context(), "a")
	if err != nil || item.Revision != rev || string(item.Value) != "1" {
		t.Fatal(item, err)
	}
}

func BenchmarkLoad(b *testing.B) {
	s := memory.New()
	defer s.Close()
	s.Set("key", make([]byte, 1024), 0)
	b.ReportAllocs()
	ctx := b.Context()
	for b.Loop() {
		if _, err := s.Load(ctx, "key"); err != nil {
			b.Fatal(err)
		}
	}
}
