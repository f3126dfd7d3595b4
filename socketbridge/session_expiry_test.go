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
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
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
				if n := store.Stats().ExpiryTimers; n != 1 {
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
		if n := store.Stats().ExpiryTimers; n != 1 {
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

// B8: an expired session is noticed while its client sends no events but heartbeats and
// polls continue. The policy decides whether the client may reconnect.
func TestB8_ExpiryIsNoticedWithoutTraffic(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	engine := engineio.ConfigDefault
	engine.Timeouts.Close = time.Second
	engine.PingInterval = 50 * time.Millisecond // far shorter than the session's remaining lifetime
	onEachStorage(t, func(t *testing.T, url string) {
		for _, tt := range []struct {
			name   string
			policy socketbridge.Policy
			reason string
			back   bool
		}{
			{"by default", nil, "io server disconnect", false},
			{"disconnect", socketbridge.Always(socketbridge.ActionDisconnect), "io server disconnect", false},
			{"reconnect", socketbridge.Always(socketbridge.ActionReconnect), "transport close", true},
			{"stay is not allowed", socketbridge.Always(socketbridge.ActionStay), "io server disconnect", false},
			{"a panic", func(*socketbridge.Socket) socketbridge.Action { panic("mine") }, "io server disconnect", false},
			{"a function", func(s *socketbridge.Socket) socketbridge.Action {
				var auth struct{ Back bool }
				_ = s.Auth(&auth)
				if auth.Back {
					return socketbridge.ActionReconnect
				}
				return socketbridge.ActionDisconnect
			}, "transport close", true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Engine: engine, OnExpiry: tt.policy}}).sessionRoutes()
				happened := make(events, 8)
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					sock.OnDisconnect(func(r socketbridge.Reason) { happened.add("%s", r) })
				})
				s.serve()
				for _, o := range []nodetest.Options{byWebSocket, byPolling} {
					a := s.member()
					o.Reconnect, o.Auth = true, map[string]bool{"back": tt.back}
					c := a.connect(n, "/", o)
					a.post("/short")
					equal(t, "disconnect reason on the client", c.MustNext(nodetest.Disconnected).String(), `["`+tt.reason+`"]`)
					if !tt.back {
						happened.expect(t, "server namespace disconnect")
						if c.State().Connected || c.Waiting(nodetest.ReconnectAttempt) != 0 {
							t.Error("the client tried to reconnect, want it to stay disconnected")
						}
						continue
					}
					happened.expect(t, "transport close")
					c.MustNext(nodetest.Connected)
					equal(t, "name after the reconnect", call(t, c, "name"), "null")
					c.Close()
					happened.expect(t, "client namespace disconnect")
				}
			})
		}
	})
}
