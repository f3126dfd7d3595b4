package socketbridge_test

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// While the store hangs, every event of every socket is answered within Timeouts.Storage
// of its arrival, however many events are queued. The first event after the store
// recovers is handled.
func TestHang_EventsAreAnsweredInTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sessions fibersession.Config
		mode     socketbridge.SessionMode
		event    string
		want     string // in every answer
	}{
		"reads":                 {fibersession.Config{}, socketbridge.SessionPerPacket, "read", "session_unavailable"},
		"writes":                {fibersession.Config{}, socketbridge.SessionPerPacket, "write", "session_unavailable"},
		"updates":               {fibersession.Config{}, socketbridge.SessionPerPacket, "update", "session_unavailable"},
		"reads, with a grace":   {fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: time.Hour}}, socketbridge.SessionPerPacket, "read", "[1]"},
		"writes, with a grace":  {fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: time.Hour}}, socketbridge.SessionPerPacket, "write", "error"},
		"updates, with a grace": {fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: time.Hour}}, socketbridge.SessionPerPacket, "update", "error"},
		"touches":               {fibersession.Config{Timeouts: fibersession.Timeouts{TouchInterval: 1}}, socketbridge.SessionPerConnection, "read", "[1]"},
		"writes without reads":  {fibersession.Config{}, socketbridge.SessionPerConnection, "write", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const sessions, sockets, events = 10, 50, 10
			bridge := socketbridge.Config{Mode: tt.mode, DisableTouch: !strings.HasPrefix(name, "touches")}
			withFakeClockAndStorage(t, tt.sessions, bridge, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage) {
				io.On("read", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("n")) })
				io.On("write", func(p *socketbridge.Packet) error {
					p.Session().Set("n", p.Session().Get("n"))
					p.Session().Set("at", time.Now().UnixNano())
					return p.Ack(p.Session().Get("n"))
				})
				io.On("update", func(p *socketbridge.Packet) error {
					if _, err := p.Session().Incr(p.Context(), "n", 1); err != nil {
						return err
					}
					return p.Ack(p.Session().Get("n"))
				})
				var peers []*peer
				for range sessions {
					h := newStoredSession(t, store, map[string]any{"n": 1})
					for i := range sockets / sessions {
						if i > 0 {
							h = otherHandle(t, store, h)
						}
						peers = append(peers, joinAs(t, io, "/", h))
					}
				}
				time.Sleep(time.Minute)
				st.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Hang: true} })
				begin := time.Now()
				var reading sync.WaitGroup
				for i, p := range peers {
					time.Sleep(time.Millisecond) // so that the sockets are not in step
					sent := time.Now()
					for range events {
						p.send(`20["` + tt.event + `"]`)
					}
					reading.Go(func() { // waited for below
						for n := range events {
							got := p.next()
							if d := time.Since(sent); d > time.Second || !strings.Contains(got, tt.want) {
								t.Errorf("event %d of socket %d was answered after %v with %s, want %q within 1 s", n, i, d, got, tt.want)
								return
							}
						}
					})
				}
				reading.Wait()
				if d := time.Since(begin); d < time.Second {
					t.Errorf("all events were answered after %v: the store did not hang", d)
				}
				st.SetPlan(nil)
				synctest.Wait()
				for _, p := range peers {
					p.send(`20["` + tt.event + `"]`)
					if got := p.next(); !strings.HasPrefix(got, "30[") || strings.Contains(got, "error") {
						t.Errorf("after the store recovered the answer is %s, want 30[...] without an error", got)
					}
				}
			})
		})
	}
}

// Redis stops answering while 500 sockets send events and users make requests. Every
// event and request is answered, nothing piles up, and everything works again when Redis
// does. The test counts goroutines, so it is not parallel.
func TestHang_Redis(t *testing.T) {
	const users, socketsEach, events, requests = 50, 10, 5, 4
	server := redistest.Start(t)
	s := newSite(t, options{storage: server.URL(), sessions: fibersession.Config{
		Timeouts: fibersession.Timeouts{Storage: 4 * time.Second}, // the default is short for 2,500 events on a busy machine
	}}).counter().serve()
	agents, peers := make([]*agent, users), []*peer(nil)
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
	t.Logf("%d events and %d requests at once: the slowest answer came after %v", len(peers)*events, users*requests, time.Duration(slowest.Load()))

	server.Pause()
	for range 2 {
		all(func(status int, answer string) bool {
			return status == fiber.StatusServiceUnavailable || status == 0 && (strings.Contains(answer, "session_unavailable") || strings.Contains(answer, "unknown_outcome"))
		})
		now := runtime.NumGoroutine()
		t.Logf("while Redis hangs the slowest answer came after %v; %d goroutines, %d before", time.Duration(slowest.Load()), now, before)
		if now > before+users*requests { // idle connections of HTTP clients
			t.Errorf("got %d goroutines, want at most %d", now, before+users*requests)
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
	waitFor(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+users })
}
