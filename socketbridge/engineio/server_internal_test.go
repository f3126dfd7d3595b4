package engineio

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/iotest"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// CVE-2025-66630: without random bytes there is an error, not a predictable ID.
func TestNewID(t *testing.T) {
	s := New(&transporttest.Recorder{}, Config{Logger: slog.New(slog.DiscardHandler)})
	seen := make(map[string]bool)
	for range 100_000 {
		id, err := s.newID()
		if err != nil || len(id) != 24 || seen[id] {
			t.Fatalf("%q, %v", id, err)
		}
		seen[id] = true
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.addConn(snapshot{}, netip.Addr{}, Polling); err != ErrShuttingDown {
		t.Errorf("after Shutdown: %v", err)
	}
	if s.addRunning() {
		t.Error("addRunning succeeded after Shutdown had returned")
	}
	s.random = iotest.ErrReader(errors.New("no entropy"))
	if _, err := s.addConn(snapshot{}, netip.Addr{}, Polling); err != errInternal {
		t.Errorf("without random bytes: %v", err)
	}
	if n := s.Stats().Notices["random_failed"]; n == 0 {
		t.Error("the failure is not counted")
	}
	if n := s.Stats().Connections; n != 0 {
		t.Errorf("%d connections were created without an ID", n)
	}
}

// S6: the refusal of WebSockets behind net/http, which socketbridge's tests of adaptors
// provoke, is counted by name.
func TestS6_NoHijackIsCounted(t *testing.T) {
	t.Parallel()
	s := New(nil, Config{Logger: slog.New(slog.DiscardHandler)})
	s.warnNoHijack()
	if n := s.Stats().Notices["websocket_impossible"]; n != 1 {
		t.Errorf("counted %d times, want once", n)
	}
}
