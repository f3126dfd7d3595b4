package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// These tests check what docs/lifecycle.md promises for events that run, wait or arrive
// when their session ends or gets a new ID.

var disconnectAlways = socketbridge.Always(socketbridge.ActionDisconnect)

// sessionEnders are the operations that end a session or give it a new ID.
var sessionEnders = map[string]struct {
	cfg socketbridge.Config
	do  func(h *fibersession.Handle) error
	// revoked reports whether handles lose all access to the session. A session with
	// a new ID continues for other handles.
	revoked bool
}{
	"destroy":                      {socketbridge.Config{}, func(h *fibersession.Handle) error { return h.Destroy(context.Background()) }, true},
	"destroy, notified":            {socketbridge.Config{}, func(h *fibersession.Handle) error { return h.Destroy(context.Background()) }, true},
	"regenerate and disconnect":    {socketbridge.Config{OnRegenerate: disconnectAlways}, func(h *fibersession.Handle) error { return h.Regenerate(context.Background()) }, false},
	"destroy, per connection":      {socketbridge.Config{Mode: socketbridge.SessionPerConnection}, func(h *fibersession.Handle) error { return h.Destroy(context.Background()) }, true},
	"regenerate, many at a time":   {socketbridge.Config{OnRegenerate: disconnectAlways, Concurrency: 4}, func(h *fibersession.Handle) error { return h.Regenerate(context.Background()) }, false},
	"destroy, many at a time":      {socketbridge.Config{Concurrency: 4}, func(h *fibersession.Handle) error { return h.Destroy(context.Background()) }, true},
	"regenerate, manual, anywhere": {socketbridge.Config{OnRegenerate: disconnectAlways, Mode: socketbridge.SessionManual}, func(h *fibersession.Handle) error { return h.Regenerate(context.Background()) }, false},
}

// When the session ends, the running events may finish, waiting events are dropped even
// if the running ones are slow, and later events are not handled.
func TestInFlight_WaitingEventsAreDropped(t *testing.T) {
	t.Parallel()
	for name, e := range sessionEnders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withFakeClock(t, fibersession.Config{}, e.cfg, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
				hold, ended := make(chan struct{}), make(chan struct{})
				var begun, failed atomic.Int32
				if name == "destroy, notified" {
					io.OnInvalidSession(func(s *socketbridge.Socket, _ error) { _ = s.Emit("bye") })
				}
				io.On("slow", func(p *socketbridge.Packet) error {
					begun.Add(1)
					<-hold
					p.Session().Set("name", "back")
					if errors.Is(p.Session().Save(context.Background()), fibersession.ErrSessionGone) {
						failed.Add(1)
					}
					return nil
				})
				io.OnConnection(func(s *socketbridge.Socket) { s.OnDisconnect(func(socketbridge.Reason) { close(ended) }) })
				h := newStoredSession(t, store, map[string]any{"name": "ann"})
				other := otherHandle(t, store, h)
				defer other.Release()
				c := joinAs(t, io, "/", h)
				sock := onlySocket(t, io)
				width := max(e.cfg.Concurrency, 1)
				for range 4 * width {
					c.send(`2["slow"]`)
				}
				synctest.Wait()
				if err := e.do(other); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				select {
				case <-sock.Done(): // although a handler still runs
				default:
					t.Error("the socket is still connected")
				}
				if c.conn.Text(`2["slow"]`) != nil {
					t.Error("an event that crossed the disconnect packet is treated as a protocol violation")
				}
				close(hold)
				<-ended
				if n := int(begun.Load()); n != width {
					t.Errorf("%d events ran, want the %d that were running before", n, width)
				}
				if n := int(failed.Load()); e.revoked != (n == width) {
					t.Errorf("%d of %d saves failed, want all to fail: %v", n, width, e.revoked)
				}
				if name == "destroy, notified" {
					c.expect(`2["bye"]`, "1")
				}
			})
		})
	}
}

// In more than a thousand races, no event runs that was sent after the session ended or
// got a new ID, and no event sees any data of a session that has ended.
func TestInFlight_Races(t *testing.T) {
	t.Parallel()
	const races = 200 // of each kind
	for name, e := range sessionEnders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			t.Cleanup(func() { _ = st.Close() })
			store := fibersession.New(fibersession.Config{Storage: st, Logger: silent})
			t.Cleanup(func() { _ = store.Close() })
			e.cfg.Sessions = store
			e.cfg.Limits.EventsPerSecond = -1
			io := newServer(t, e.cfg)
			if name == "destroy, notified" {
				io.OnInvalidSession(func(s *socketbridge.Socket, _ error) { _ = s.Emit("bye") })
			}
			type race struct{ over atomic.Bool }
			var handled, late, seen atomic.Int32
			io.On("event", func(p *socketbridge.Packet) error {
				r, _ := p.Socket().Data().Get("race").(*race)
				var sentAfter bool
				if err := p.Bind(&sentAfter); err != nil || r == nil {
					return err
				}
				handled.Add(1)
				if sentAfter {
					late.Add(1)
				}
				over := r.over.Load()
				if v := p.Session().Get("name"); over && v != nil && e.revoked {
					seen.Add(1)
				}
				return nil
			})
			for range races {
				h := newStoredSession(t, store, map[string]any{"name": "ann"})
				other := otherHandle(t, store, h)
				c := joinAs(t, io, "/", h)
				r := new(race)
				io.Of("/").Socket(c.sid).Data().Set("race", r)
				delay, pause, start := rand.N(30), rand.N(4), make(chan struct{})
				var sent sync.WaitGroup
				sent.Go(func() {
					for i, after := 0, 0; after < 3; i++ {
						over := r.over.Load()
						if over {
							after++
						}
						_ = c.conn.Text(fmt.Sprintf(`2["event",%t]`, over)) // fails with ErrClosed after the disconnect
						if i == delay {
							close(start)
						}
						runtime.Gosched()
					}
				})
				<-start
				for range pause {
					runtime.Gosched()
				}
				if err := e.do(other); err != nil {
					t.Fatal(err)
				}
				r.over.Store(true)
				sent.Wait()
				c.leave()
				other.Release()
			}
			shutdown(t, io)
			if late.Load() != 0 || seen.Load() != 0 {
				t.Errorf("of %d events, %d were sent too late and %d saw the ended session, want 0 of each", handled.Load(), late.Load(), seen.Load())
			}
			if handled.Load() == 0 {
				t.Error("no event ran: the test shows nothing")
			}
			if stats := store.Stats(); stats.States != 0 || stats.Handles != 0 {
				t.Errorf("%d states and %d handles are left, want none", stats.States, stats.Handles)
			}
		})
	}
}

// A session expires for every event exactly at its deadline.
func TestInFlight_ExpiryRaces(t *testing.T) {
	t.Parallel()
	withFakeClock(t, fibersession.Config{Expiration: time.Hour, Timeouts: fibersession.Timeouts{Absolute: time.Hour}, Tracking: fibersession.Tracking{Recheck: -1}}, socketbridge.Config{Mode: socketbridge.SessionManual}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
		var begin time.Time
		var before, after atomic.Int32
		io.On("event", func(p *socketbridge.Packet) error {
			switch late := time.Since(begin) >= time.Hour; {
			case p.Session().Get("name") == nil:
			case late:
				after.Add(1)
			default:
				before.Add(1)
			}
			return nil
		})
		begin = time.Now()
		var all sync.WaitGroup
		for range 300 {
			c := joinAs(t, io, "/", newStoredSession(t, store, map[string]any{"name": "ann"}))
			delay := time.Hour + rand.N(2*time.Millisecond) - time.Millisecond
			all.Go(func() {
				time.Sleep(delay)
				_ = c.conn.Text(`2["event"]`)
			})
		}
		all.Wait()
		synctest.Wait()
		if after.Load() != 0 || before.Load() == 0 {
			t.Errorf("%d events saw the session before its deadline and %d after it, want at least 1 and 0", before.Load(), after.Load())
		}
	})
}

// When sockets follow a new ID, or the session changes, running and waiting events are
// not affected: every event is handled, in order, and its changes are saved.
func TestInFlight_NothingIsLostOnNewID(t *testing.T) {
	t.Parallel()
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	store := fibersession.New(fibersession.Config{Storage: st, Logger: silent})
	t.Cleanup(func() { _ = store.Close() })
	io := newServer(t, socketbridge.Config{Sessions: store, Limits: socketbridge.Limits{EventsPerSecond: -1}})
	io.On("event", func(p *socketbridge.Packet) error {
		var i int
		if err := p.Bind(&i); err != nil {
			return err
		}
		n := valueOf[int](p.Session(), "n")
		if i != n {
			return fmt.Errorf("event %d found n = %d", i, n)
		}
		p.Session().Set("n", n+1)
		return nil
	})
	wrong := make(chan error, 1000)
	io.OnConnection(func(s *socketbridge.Socket) {
		s.OnError(func(_ *socketbridge.Packet, err error) { wrong <- err })
	})
	h := newStoredSession(t, store, map[string]any{"n": 0})
	other := otherHandle(t, store, h)
	defer other.Release()
	c := joinAs(t, io, "/", h)
	var sent sync.WaitGroup
	sent.Go(func() {
		for i := range 500 {
			c.send(fmt.Sprintf(`2["event",%d]`, i))
		}
	})
	for i := range 100 {
		if err := other.Regenerate(context.Background()); err != nil {
			t.Fatal(err)
		}
		other.Set("other", i)
		save(t, other)
	}
	sent.Wait()
	c.leave()
	shutdown(t, io)
	if len(wrong) != 0 {
		t.Fatal(<-wrong)
	}
	if got := other.Get("n"); got != 500 {
		t.Errorf("n is %v, want 500", got)
	}
}

// An event still in its middlewares does not reach its listeners, both when the socket is
// already disconnected and while an invalid-session handler still runs.
func TestInFlight_BetweenMiddlewaresAndListeners(t *testing.T) {
	t.Parallel()
	for name, e := range sessionEnders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withFakeClock(t, fibersession.Config{}, e.cfg, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
				hold, release := make(chan struct{}), make(chan struct{})
				var ran atomic.Int32
				if name == "destroy, notified" {
					io.OnInvalidSession(func(*socketbridge.Socket, error) { <-release })
				}
				io.OnConnection(func(s *socketbridge.Socket) {
					s.Use(func(p *socketbridge.Packet) error {
						<-hold
						return p.Next()
					})
				})
				io.On("event", func(*socketbridge.Packet) error {
					ran.Add(1)
					return nil
				})
				h := newStoredSession(t, store, map[string]any{"name": "ann"})
				other := otherHandle(t, store, h)
				defer other.Release()
				c := joinAs(t, io, "/", h)
				c.send(`2["event"]`)
				synctest.Wait()
				if err := e.do(other); err != nil {
					t.Fatal(err)
				}
				close(hold)
				synctest.Wait()
				close(release)
				synctest.Wait()
				if ran.Load() != 0 {
					t.Error("the event reached its listener after the session ended")
				}
				c.expect("1")
			})
		})
	}
}

// B4: POST /logout, or an event handler, ends the session. All of its sockets are
// disconnected for good, on any transport. Sockets of other sessions stay.
func TestB4_LogoutDisconnectsEverySocket(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).sessionRoutes()
		s.io.On("logout", func(p *socketbridge.Packet) error { return p.Session().Destroy(p.Context()) })
		s.serve()
		for name, logout := range map[string]func(a *agent, tab *nodetest.Client){
			"over HTTP":   func(a *agent, _ *nodetest.Client) { a.post("/logout") },
			"by a socket": func(_ *agent, tab *nodetest.Client) { tab.Emit("logout") },
		} {
			t.Run(name, func(t *testing.T) {
				a, b := s.member(), s.member()
				o := byWebSocket
				o.Reconnect = true // it must not reconnect all the same
				tabs := []*nodetest.Client{
					a.connect(n, "/", o), a.connect(n, "/", byPolling), a.connect(n, "/", nodetest.Options{}),
					a.connect(n, "/", nodetest.Options{Version: "4.0"}),
				}
				tabs = append(tabs, tabs[0].Of("/other", nil))
				stranger := b.connect(n, "/", nodetest.Options{})
				logout(a, tabs[0])
				for i, tab := range tabs {
					reason := tab.MustNext(nodetest.Disconnected).String()
					if reason != `["io server disconnect"]` {
						t.Errorf("tab %d: disconnect reason %s, want io server disconnect", i, reason)
					}
				}
				if name == "over HTTP" {
					equal(t, "name over HTTP after logout", a.get("/name"), "<nil>")
				}
				equal(t, "name in another session", call(t, stranger, "name"), `"ann"`)
				if tabs[0].Waiting(nodetest.ReconnectAttempt)+tabs[0].Waiting(nodetest.Connected) != 0 {
					t.Error("a client tried to reconnect after logout")
				}
				stranger.Close()
			})
		}
	})
}

// N12: a request or event that started before the session ended cannot bring it back.
func TestN12_LogoutSticks(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for name, mode := range map[string]socketbridge.SessionMode{
			"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual,
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: mode}}).sessionRoutes()
				begun, hold, happened := make(chan struct{}), make(chan struct{}), make(events, 8)
				s.io.On("slow", func(p *socketbridge.Packet) error {
					begun <- struct{}{}
					<-hold
					p.Session().Set("name", "back")
					if mode == socketbridge.SessionManual {
						return p.Session().Save(context.Background())
					}
					return nil
				})
				s.io.On("logout", func(p *socketbridge.Packet) error { return p.Session().Destroy(p.Context()) })
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					sock.OnError(func(p *socketbridge.Packet, err error) {
						happened.add("%s: session gone: %v", p.Event(), errors.Is(err, fibersession.ErrSessionGone))
					})
				})
				s.app.Post("/slow", func(c *fiber.Ctx) error {
					fibersession.FromContext(c).Set("name", "back")
					begun <- struct{}{}
					<-hold
					return nil
				})
				s.serve()
				equalGone := func(a *agent, cookie string) {
					t.Helper()
					attacker := s.agent()
					name, id, _ := strings.Cut(cookie, "=")
					attacker.setCookie(name, id)
					equal(t, "name with the old cookie", attacker.get("/name"), "<nil>")
				}

				a := s.member() // a slow packet, and a logout over HTTP
				cookie := a.cookie()
				a.connect(n, "/", byWebSocket).Emit("slow")
				<-begun
				a.post("/logout")
				hold <- struct{}{}
				happened.expect(t, "slow: session gone: true")
				equalGone(a, cookie)

				b := s.member() // a slow request, and a logout over a socket
				cookie = b.cookie()
				c := b.connect(n, "/", byWebSocket)
				status := make(chan int, 1)
				go func() { // the test receives its status below
					_, code, _ := b.try("POST", "/slow")
					status <- code
				}()
				<-begun
				c.Emit("logout")
				c.MustNext(nodetest.Disconnected)
				hold <- struct{}{}
				if code := <-status; code != fiber.StatusUnauthorized {
					t.Errorf("the slow request got status %d, want 401", code)
				}
				equalGone(b, cookie)
			})
		}
	})
}

// C5: what OnInvalidSession sends arrives before the disconnect, with connection state recovery
// too, whose logs skip sockets of an ended session.
func TestC5_InvalidSessionEventWithRecovery(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]socketbridge.Config{
		"no log":     {},
		"local log":  {Recovery: socketbridge.Recovery{Window: time.Minute}},
		"shared log": {Recovery: socketbridge.Recovery{Window: time.Minute}, Adapter: adapter.NewMemory().Join()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withFakeClock(t, fibersession.Config{}, cfg, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
				io.OnInvalidSession(func(s *socketbridge.Socket, _ error) {
					if err := s.Emit("ended"); err != nil {
						t.Error(err)
					}
					_ = io.Emit("news") // broadcasts skip the socket
				})
				h := newStoredSession(t, store, map[string]any{"n": 1})
				p := joinAs(t, io, "/", h)
				if err := h.Destroy(t.Context()); err != nil {
					t.Fatal(err)
				}
				p.expect(`2["ended"]`, "1")
			})
		})
	}
}
