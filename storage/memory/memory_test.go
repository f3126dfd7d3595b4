package memory_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) {
	_ = memory.New().Close() // starts gofiber's clock goroutine, one per process, which never ends
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func open(t *testing.T) storage.Storage {
	s := memory.New()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSuite(t *testing.T) { storagetest.Run(t, open) }

func TestSuiteOnPrefix(t *testing.T) {
	t.Parallel()
	view := func(t *testing.T) storage.Storage { return storage.Prefix(open(t), "app:") }
	storagetest.TestStorage(t, view)
	storagetest.TestFeed(t, view)
	storagetest.TestIndex(t, view)
	storagetest.TestReset(t, view)
}

func TestOpen(t *testing.T) {
	for _, url := range []string{"memory://", "MEMORY://"} {
		s, err := storage.Open(url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, url := range []string{"memory://host", "memory:///path", "memory://?x=y"} {
		if _, err := storage.Open(url); !errors.Is(err, storage.ErrBadURL) {
			t.Errorf("Open(%q): error %v, want ErrBadURL", url, err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	s := memory.New()
	defer s.Close()
	if err := s.Set("key", make([]byte, 1024), 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Load(b.Context(), "key"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompareAndSwap(b *testing.B) {
	s := memory.New()
	defer s.Close()
	val := make([]byte, 1024)
	rev := storage.Absent
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		val[0] = byte(i)
		var err error
		if rev, err = s.CompareAndSwap(b.Context(), "key", rev, val, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
