package socketbridge_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// checkHealth returns status and body of a health check.
func checkHealth(t *testing.T, app *fiber.App) (int, string) {
	t.Helper()
	res, err := app.Test(httptest.NewRequest("GET", "/readyz", nil), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q, want no-store", got)
	}
	return res.StatusCode, string(body)
}

// N9: a health check is 503 while Redis hangs, in time, and 200 afterwards. Any number of checks
// costs one. The answer does not say why; the log does.
func TestN9_ReadinessFollowsRedis(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]redisadapter.Mode{"pub/sub": redisadapter.Sharded, "streams": redisadapter.Streams} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			store, err := storage.Open(server.URL())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			sessions := fibersession.New(fibersession.Config{Storage: storage.Prefix(store, "shop:"), Logger: silent})
			t.Cleanup(func() { _ = sessions.Close() })
			var log noticetest.Log
			io := newServer(t, socketbridge.Config{Sessions: sessions, Adapter: redisadapter.For(store, redisadapter.Config{Mode: mode, Logger: silent}), Logger: log.Logger()})
			app := fiber.New()
			app.Get("/readyz", io.ReadyHandler())
			waitFor(t, "the node is ready", func() bool { return io.Ready(t.Context()) == nil })

			server.Pause()
			waitFor(t, "the node notices", func() bool { status, _ := checkHealth(t, app); return status == http.StatusServiceUnavailable })
			if _, body := checkHealth(t, app); body != "not ready" {
				t.Errorf("the answer is %q, want no more than %q", body, "not ready")
			}
			err = io.Ready(t.Context())
			for _, cause := range []string{"Config.Sessions.Storage", "Config.Adapter"} {
				if err == nil || !strings.Contains(err.Error(), cause) {
					t.Errorf("Ready returned %v, want %s in it", err, cause)
				}
			}
			log.Check(t, noticetest.Declared(t, ".")["not_ready"], io.Stats().Notices) // notice=not_ready

			server.Resume()
			waitFor(t, "the node is ready again", func() bool { status, body := checkHealth(t, app); return status == http.StatusOK && body == "ready" })
			shutdown(t, io)
			if status, body := checkHealth(t, app); status != http.StatusServiceUnavailable || body != "draining" {
				t.Errorf("after Shutdown a check is answered with %d %q, want 503 draining", status, body)
			}
		})
	}
}

// countingAdapter has no Ping: Ready calls Nodes.
type countingAdapter struct {
	adapter.Adapter
	calls atomic.Int64
	err   atomic.Pointer[error]
}

func (a *countingAdapter) Nodes(ctx context.Context, namespace string) (int, error) {
	a.calls.Add(1)
	if err := a.err.Load(); err != nil {
		return 0, *err
	}
	return 1, nil
}

// N9: a flood of checks costs one check per half second, also while the storage hangs, and each
// is answered within 0.8 s.
func TestN9_ReadinessIsCoalesced(t *testing.T) {
	t.Parallel()
	startBackground()
	synctest.Test(t, func(t *testing.T) {
		st := faulty.New(memory.New(), nil)
		defer st.Close()
		sessions := fibersession.New(fibersession.Config{Storage: st, Logger: silent})
		defer sessions.Close()
		link := &countingAdapter{Adapter: adapter.NewMemory().Join()}
		io := socketbridge.New(socketbridge.Config{Sessions: sessions, Adapter: link, Logger: silent})
		loads := 0
		hang := false
		var mu sync.Mutex
		st.SetPlan(func(c faulty.Call) faulty.Fault {
			mu.Lock()
			defer mu.Unlock()
			if c.Method == "Load" && c.Key == "fiberbridge|ping" {
				loads++
			}
			return faulty.Fault{Hang: hang && c.Key == "fiberbridge|ping"}
		})
		flood := func() (failed int) {
			var wg sync.WaitGroup
			var errs atomic.Int64
			for range 200 {
				wg.Go(func() {
					began := time.Now()
					if io.Ready(t.Context()) != nil {
						errs.Add(1)
					}
					if d := time.Since(began); d > 800*time.Millisecond {
						t.Errorf("a check took %v", d)
					}
				})
			}
			wg.Wait()
			return int(errs.Load())
		}
		check := func(what string, wantFailed, wantLoads int) {
			t.Helper()
			if failed := flood(); failed != wantFailed {
				t.Errorf("%s: %d of 200 checks failed, want %d", what, failed, wantFailed)
			}
			mu.Lock()
			defer mu.Unlock()
			if loads != wantLoads || link.calls.Load() != int64(wantLoads) {
				t.Errorf("%s: %d requests to the storage and %d to the adapter, want %d", what, loads, link.calls.Load(), wantLoads)
			}
		}
		check("at first", 0, 1)
		check("at once again", 0, 1)
		time.Sleep(500 * time.Millisecond)
		mu.Lock()
		hang = true
		mu.Unlock()
		check("while the storage hangs", 200, 2)
		mu.Lock()
		hang = false
		mu.Unlock()
		time.Sleep(500 * time.Millisecond)
		check("when it answers again", 0, 3)

		cause := errors.New("no route")
		link.err.Store(&cause)
		time.Sleep(500 * time.Millisecond)
		if err := io.Ready(t.Context()); !errors.Is(err, cause) {
			t.Errorf("Ready returned %v, want the adapter's error", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(500 * time.Millisecond)
		if err := io.Ready(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Ready with a context that has ended returned %v", err)
		}
		shutdown(t, io)
		if err := io.Ready(t.Context()); !errors.Is(err, socketbridge.ErrShutdown) {
			t.Errorf("Ready after Shutdown returned %v, want ErrShutdown", err)
		}
	})
}

// deafStorage ignores the context of Ping.
type deafStorage struct {
	storage.Storage
	calls   atomic.Int64
	release chan struct{}
}

func (s *deafStorage) Ping(context.Context) error {
	s.calls.Add(1)
	<-s.release
	return nil
}

// N9: a storage that ignores the context of Ping costs one goroutine, however many checks follow.
// One that panics makes the node not ready.
func TestN9_ReadinessWithABrokenStorage(t *testing.T) {
	t.Parallel()
	startBackground()
	synctest.Test(t, func(t *testing.T) {
		st := &deafStorage{Storage: memory.New(), release: make(chan struct{})}
		defer st.Close()
		sessions := fibersession.New(fibersession.Config{Storage: st, Logger: silent})
		defer sessions.Close()
		io := socketbridge.New(socketbridge.Config{Sessions: sessions, Logger: silent})
		for range 5 {
			if err := io.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer in 800ms") {
				t.Errorf("Ready returned %v", err)
			}
			time.Sleep(time.Second)
		}
		if n := st.calls.Load(); n != 1 {
			t.Errorf("the storage was asked %d times, want once", n)
		}
		close(st.release)
		synctest.Wait()
		if err := io.Ready(t.Context()); err != nil {
			t.Errorf("Ready returned %v after the storage answered", err)
		}
		shutdown(t, io)
	})
}

// N9: while a new server connects, a health check fails without a line in the log. After 10 s
// there is one.
func TestN9_AStartIsNoFault(t *testing.T) {
	t.Parallel()
	startBackground()
	synctest.Test(t, func(t *testing.T) {
		var log noticetest.Log
		st := faulty.New(memory.New(), faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
		defer st.Close()
		sessions := fibersession.New(fibersession.Config{Storage: st, Logger: silent})
		defer sessions.Close()
		io := socketbridge.New(socketbridge.Config{Sessions: sessions, Logger: log.Logger()})
		app := fiber.New()
		app.Get("/readyz", io.ReadyHandler())
		check := func(when string, wantStatus, wantLines int) {
			t.Helper()
			if status, _ := checkHealth(t, app); status != wantStatus {
				t.Errorf("%s: status %d, want %d", when, status, wantStatus)
			}
			if lines := log.Lines("not_ready"); len(lines) != wantLines {
				t.Errorf("%s: %d lines in the log, want %d", when, len(lines), wantLines)
			}
		}
		check("at first", 503, 0)
		time.Sleep(10 * time.Second)
		check("after 10 s", 503, 1)
		shutdown(t, io)

		var later noticetest.Log
		io = socketbridge.New(socketbridge.Config{Sessions: sessions, Logger: later.Logger()})
		app = fiber.New()
		app.Get("/readyz", io.ReadyHandler())
		st.SetPlan(nil)
		if err := io.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		st.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
		time.Sleep(time.Second)
		if status, _ := checkHealth(t, app); status != 503 || len(later.Lines("not_ready")) != 1 {
			t.Errorf("a new server that was ready before: status %d, %d lines in the log, want 503 and 1", status, len(later.Lines("not_ready")))
		}
		shutdown(t, io)
	})
}
