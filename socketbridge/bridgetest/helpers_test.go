package bridgetest_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

var silent = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // what fasthttp and Fiber start once, bridgetest has started already
}

// newStore returns a store with users that is closed at the end of the test.
func newStore(t testing.TB, config ...fibersession.Config) *fibersession.Store {
	t.Helper()
	cfg := fibersession.Config{}
	if len(config) > 0 {
		cfg = config[0]
	}
	cfg.UserKey, cfg.Logger = "user", silent
	if cfg.Storage == nil {
		st := memory.New()
		t.Cleanup(func() { _ = st.Close() })
		cfg.Storage = st
	}
	store := fibersession.New(cfg)
	t.Cleanup(func() {
		if st := store.Stats(); st.Handles != 0 {
			t.Errorf("%d handles are left, want 0", st.Handles)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// newServer returns a server that is shut down at the end of the test. Without cfg.Sessions, it
// gets a store of its own.
func newServer(t testing.TB, config ...socketbridge.Config) *socketbridge.Server {
	t.Helper()
	cfg := socketbridge.Config{}
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Sessions == nil && cfg.Mode != socketbridge.SessionNone {
		cfg.Sessions = newStore(t)
	}
	if cfg.Logger == nil {
		cfg.Logger = silent
	}
	io := socketbridge.New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := io.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if st := io.Stats(); st.Connections != 0 || st.Sockets != 0 || st.Engine.Connections != 0 {
			t.Errorf("left over: %+v", st)
		}
	})
	return io
}

// newCounter returns a server with a counter in the session.
func newCounter(t testing.TB) *socketbridge.Server {
	io := newServer(t)
	io.On("incr", func(p *socketbridge.Packet) error {
		n, err := p.Session().Incr(p.Context(), "count", 1)
		if err != nil {
			return err
		}
		return p.Ack(n)
	})
	return io
}

// failing is a TB that records failures instead of reporting them.
type failing struct {
	mu       sync.Mutex
	text     string
	cleanups []func()
}

func (f *failing) Helper() {}
func (f *failing) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text += fmt.Sprintf(format, args...) + "\n"
}
func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}
func (f *failing) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

// failure runs a test that has to fail, and returns what it reported.
func failure(test func(t *failing)) string {
	f := &failing{}
	done := make(chan struct{})
	go func() { // its end closes done
		defer close(done)
		defer func() {
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		test(f)
	}()
	<-done
	return f.text
}

// wantFailure checks that a test fails with a message that has all of these parts.
func wantFailure(t *testing.T, test func(t *failing), parts ...string) {
	t.Helper()
	got := failure(test)
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("the failure is %q, want %q in it", got, part)
		}
	}
}
