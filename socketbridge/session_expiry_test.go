package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// N4: events extend their session, with at most one write per TouchInterval for all its
// sockets together, up to the absolute limit. Without events the session expires, and a
// single deadline ends all its sockets.
func TestN4_EventsSlideTheIdleLimit(t *testing.T) {
	t.Parallel()
	const (
		sockets  = 20
		interval = time.Minute
		idle     = 10 * time.Minute
		absolute = 25 * time.Minute
	)
	for _, tt := range []struct {
		name string
		cfg  socketbridge.Config
		talk time.Duration // how long the sockets send events
	}{
		{"while events come", socketbridge.Config{}, 12 * time.Minute},
		{"without a reload", socketbridge.Config{Mode: socketbridge.SessionManual}, 12 * time.Minute},
		{"up to the absolute limit", socketbridge.Config{}, time.Hour},
		{"switched off", socketbridge.Config{DisableTouch: true}, time.Hour},
		{"no events", socketbridge.Config{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sessions := fibersession.Config{Expiration: idle, Timeouts: fibersession.Timeouts{Absolute: absolute, TouchInterval: interval}}
			withFakeClockAndStorage(t, sessions, tt.cfg, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage) {
				begin := time.Now()
				ended := make(chan time.Duration, sockets)
				io.On("talk", func(p *socketbridge.Packet) error { return nil })
				io.OnConnection(func(s *socketbridge.Socket) {
					s.OnDisconnect(func(socketbridge.Reason) { ended <- time.Since(begin) })
				})
				h := newStoredSession(t, store, map[string]any{"n": 1})
				var peers []*peer
				for i := range sockets {
					if i > 0 {
						h = otherHandle(t, store, h)
					}
					peers = append(peers, joinAs(t, io, "/", h))
				}
				if n := store.Stats().Deadlines; n != 1 {
					t.Errorf("%d sockets of one session use %d deadlines, want 1", sockets, n)
				}
				var writes atomic.Int32
				st.SetPlan(func(c faulty.Call) faulty.Fault {
					if c.Method == "CompareAndSwap" || c.Method == "Touch" {
						writes.Add(1)
					}
					return faulty.Fault{}
				})
				var last time.Duration // when the last event that extends the session was sent
				for time.Since(begin) < tt.talk && len(ended) == 0 {
					for _, p := range peers {
						_ = p.conn.Text(`2["talk"]`) // the socket may have ended already
					}
					if !tt.cfg.DisableTouch {
						last = time.Since(begin)
					}
					time.Sleep(7 * time.Second)
					synctest.Wait()
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if len(ended) != sockets {
					t.Fatalf("%d of %d sockets have ended, want all", len(ended), sockets)
				}
				earliest, latest := min(absolute, last+idle-interval), min(absolute, last+idle)
				if last == 0 {
					earliest = latest // exactly
				}
				for range sockets {
					if at := <-ended; at < earliest || at > latest {
						t.Fatalf("a socket ended after %v, want %v to %v", at, earliest, latest)
					}
				}
				most := int32(last / interval)
				if n := writes.Load(); n > most || n < most*8/10 {
					t.Errorf("got %d writes in %v, want %d to %d", n, last, most*8/10, most)
				}
			})
		})
	}
}

// N4 with the official client: each event moves the deadline, and heartbeats do not.
func TestN4_OfficialClient(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for _, off := range []bool{false, true} {
			t.Run(fmt.Sprintf("switched off %v", off), func(t *testing.T) {
				s := newSite(t, options{storage: url, sessions: fibersession.Config{Timeouts: fibersession.Timeouts{TouchInterval: 1}}, bridge: socketbridge.Config{DisableTouch: off}}).sessionRoutes()
				s.io.On("deadline", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Deadline().UnixNano()) })
				s.serve()
				c := s.member().connect(n, "/", nodetest.Options{})
				deadline := func() (ns int64) {
					t.Helper()
					if err := json.Unmarshal(c.MustCall("deadline")[0], &ns); err != nil {
						t.Fatal(err)
					}
					return ns
				}
				first := deadline()
				if second := deadline(); (second > first) == off {
					t.Errorf("the deadline moved by %v, want it to move: %v", time.Duration(second-first), !off)
				}
			})
		}
	})
}

// B8: thousands of sockets of one session share one deadline and end exactly then.
// Waiting for it does not access the store. (Recheck, switched off here, reads a session
// once, too.)
func TestB8_ThousandsOfSocketsAreOneDeadline(t *testing.T) {
	t.Parallel()
	const sockets = 2000
	withFakeClockAndStorage(t, fibersession.Config{Expiration: time.Hour, Tracking: fibersession.Tracking{Recheck: -1}}, socketbridge.Config{}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage) {
		h := newStoredSession(t, store, map[string]any{"n": 1})
		root := otherHandle(t, store, h)
		defer root.Release()
		begin := time.Now()
		var ended, late atomic.Int32
		io.OnConnection(func(s *socketbridge.Socket) {
			s.OnDisconnect(func(socketbridge.Reason) {
				if ended.Add(1); time.Since(begin) != time.Hour {
					late.Add(1)
				}
			})
		})
		for i := range sockets {
			if i > 0 {
				h = otherHandle(t, store, root)
			}
			joinAs(t, io, "/", h)
		}
		if n := store.Stats().Deadlines; n != 1 {
			t.Errorf("got %d deadlines, want 1", n)
		}
		calls := st.Calls()
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if n := st.Calls() - calls; n != 0 || ended.Load() != 0 {
			t.Errorf("before the deadline: %d store calls and %d ended sockets, want none", n, ended.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := ended.Load(); n != sockets || late.Load() != 0 {
			t.Errorf("%d of %d sockets ended, %d of them at another time than the deadline", n, sockets, late.Load())
		}
		if n := st.Calls() - calls; n > 2 { // one load and one delete
			t.Errorf("the expiry took %d store calls, want at most 2", n)
		}
	})
}
