package socketbridge_test

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// Redis stops answering while 500 sockets send events and users make requests. Every
// event and request is answered, nothing piles up, and everything works again when Redis
// does. The test counts goroutines, so it is not parallel.
func TestHang_Redis(t *testing.T) {
	const people, socketsEach, events, requests = 50, 10, 5, 4
	server := redistest.Start(t)
	s := newSite(t, options{storage: server.URL(), sessions: fibersession.Config{}}).counter().serve()
	agents, peers := make([]*agent, people), []*peer(nil)
	for i := range agents {
		agents[i] = s.agent()
		agents[i].post("/incr")
		for range socketsEach {
			h, err := s.sessions.GetByID(t.Context(), agents[i].sessionID())
			if err != nil {
				t.Fatal(err)
			}
			peers = append(peers, joinAs(t, s.io, "/", h))
		}
	}
	var slowest atomic.Int64 // time until an answer
	answered := func(since time.Time) {
		for d := int64(time.Since(since)); ; {
			if was := slowest.Load(); d <= was || slowest.CompareAndSwap(was, d) {
				return
			}
		}
	}
	// all sends all events and requests at once and checks each answer.
	all := func(ok func(status int, answer string) bool) {
		t.Helper()
		slowest.Store(0)
		var waiting sync.WaitGroup
		for _, p := range peers {
			sent := time.Now()
			for range events {
				p.send(`20["incr"]`)
			}
			waiting.Go(func() { // waited for below
				for range events {
					if got := p.next(); !ok(0, got) {
						t.Errorf("unexpected answer to an event: %s", got)
					}
					answered(sent)
				}
			})
		}
		for _, a := range agents {
			for range requests {
				waiting.Go(func() {
					sent := time.Now()
					body, status, err := a.try("POST", "/incr")
					if err != nil || !ok(status, body) {
						t.Errorf("unexpected response: status %d, body %s, error %v", status, body, err)
					}
					answered(sent)
				})
			}
		}
		waiting.Wait()
	}
	good := func(status int, answer string) bool {
		return status == fiber.StatusOK || status == 0 && !strings.Contains(answer, "error")
	}
	all(good)
	before := runtime.NumGoroutine()
	t.Logf("%d events and %d requests at once: the slowest answer came after %v", len(peers)*events, people*requests, time.Duration(slowest.Load()))

	server.Pause()
	for range 2 {
		all(func(status int, answer string) bool {
			return status == fiber.StatusServiceUnavailable || status == 0 && (strings.Contains(answer, "session_unavailable") || strings.Contains(answer, "unknown_outcome"))
		})
		now := runtime.NumGoroutine()
		t.Logf("while Redis hangs the slowest answer came after %v; %d goroutines, %d before", time.Duration(slowest.Load()), now, before)
		if now > before+people*requests { // idle connections of HTTP clients
			t.Errorf("got %d goroutines, want at most %d", now, before+people*requests)
		}
	}
	server.Resume()
	back := time.Now()
	waitFor(t, "events to be handled again", func() bool {
		peers[0].send(`20["incr"]`)
		return good(0, peers[0].next())
	})
	t.Logf("the first event was handled %v after Redis resumed", time.Since(back))
	all(good)
	t.Logf("all events were handled %v after Redis resumed", time.Since(back))
	waitFor(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+people })
}
