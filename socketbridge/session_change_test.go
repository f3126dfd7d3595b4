package socketbridge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// N2: a login over HTTP gives open sockets their user at once, without a reconnect. Every
// change, wherever it was made, is reported to each of them.
func TestN2_OpenSocketsGetChanges(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for name, mode := range map[string]socketbridge.SessionMode{
			"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual,
		} {
			t.Run(name, func(t *testing.T) {
				o := withUsers(url)
				o.bridge.Mode = mode
				s := newSite(t, o).users()
				s.app.Post("/set/:key", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set(c.Params("key"), true); return nil })
				s.io.OnSessionChange(func(sock *socketbridge.Socket, keys []string) {
					_ = sock.Emit("changed", keys, sock.User(), sock.Session().Get("user"))
				})
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					sock.OnSessionChange(func(keys []string) { _ = sock.Emit("own", keys) })
				})
				s.io.On("rename", func(p *socketbridge.Packet) error {
					p.Session().Set("name", "bob")
					return p.Session().Save(p.Context())
				})
				s.serve()
				a, b := s.agent(), s.agent()
				a.post("/set/visited")
				b.post("/set/visited")
				tabs := []*nodetest.Client{
					a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}}),
					a.connect(n, "/", nodetest.Options{}),
				}
				stranger := b.connect(n, "/", nodetest.Options{})
				expect := func(event, want string) {
					t.Helper()
					for i, tab := range tabs {
						equal(t, fmt.Sprintf("%s in tab %d", event, i), tab.MustNext(event).String(), want)
					}
				}
				a.post("/set/colour")
				expect("changed", `[["colour"],"",null]`)
				expect("own", `[["colour"]]`)
				a.post("/login/ann")
				expect("changed", `[["user"],"ann","ann"]`)
				expect("own", `[["user"]]`)
				equal(t, "user after login", call(t, tabs[0], "whoami"), `"ann"`)
				tabs[0].Emit("rename")
				expect("changed", `[["name"],"ann","ann"]`)
				a.post("/set/colour") // to the same value
				call(t, tabs[0], "whoami")
				call(t, tabs[1], "whoami")
				call(t, stranger, "whoami")
				if n := tabs[0].Waiting("changed") + tabs[1].Waiting("changed") + stranger.Waiting("changed"); n != 0 {
					t.Errorf("got %d more changed events, want 0", n)
				}
			})
		}
	})
}

// Changes for a slow socket are coalesced. They are reported after the events that came
// before them, never while an event runs, and in bounded memory.
func TestSessionChange_InOrderAndTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		changes int // of a key each
	}{
		{"a few", 20},
		{"more than MaxChangedKeys", socketbridge.MaxChangedKeys + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			withFakeClock(t, fibersession.Config{}, socketbridge.Config{Concurrency: 3}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
				hold := make(chan struct{})
				happened := make(events, 16)
				io.On("slow", func(p *socketbridge.Packet) error {
					<-hold
					happened.add("slow")
					return nil
				})
				io.OnSessionChange(func(_ *socketbridge.Socket, keys []string) {
					happened.add("%d keys changed, in order: %v", len(keys), keys != nil && slices.IsSorted(keys))
				})
				h := newStoredSession(t, store, map[string]any{"n": 0})
				other := otherHandle(t, store, h)
				defer other.Release()
				c := joinAs(t, io, "/", h)
				c.send(`2["slow"]`)
				c.send(`2["slow"]`)
				synctest.Wait()
				for i := range tt.changes {
					key := fmt.Sprintf("key %04d", i)
					other.Set(key, i)
					save(t, other)
					other.Delete(key)
					save(t, other)
				}
				c.send(`2["slow"]`)
				synctest.Wait()
				if len(happened) != 0 {
					t.Fatalf("got %q while the handlers still ran, want nothing", <-happened)
				}
				close(hold)
				if tt.changes <= socketbridge.MaxChangedKeys {
					happened.expect(t, "slow", "slow", fmt.Sprintf("%d keys changed, in order: true", tt.changes), "slow")
				} else {
					happened.expect(t, "slow", "slow", "0 keys changed, in order: false", "slow")
				}
				synctest.Wait()
				if len(happened) != 0 {
					t.Errorf("got another event %q, want none", <-happened)
				}
				c.leave()
			})
		})
	}
}

// Changes made by a change handler are saved, and reported if a value differs.
func TestSessionChange_HandlerThatChanges(t *testing.T) {
	t.Parallel()
	withFakeClock(t, fibersession.Config{}, socketbridge.Config{}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
		happened := make(events, 16)
		io.OnSessionChange(func(s *socketbridge.Socket, keys []string) {
			happened.add("%s", strings.Join(keys, " "))
			s.Session().Set("seen", valueOf[int](s.Session(), "n"))
		})
		h := newStoredSession(t, store, map[string]any{"n": 0})
		other := otherHandle(t, store, h)
		defer other.Release()
		c := joinAs(t, io, "/", h)
		other.Set("n", 7)
		save(t, other)
		happened.expect(t, "n", "seen")
		synctest.Wait()
		if got := other.Get("seen"); got != 7 || len(happened) != 0 {
			t.Errorf("got seen = %v and %d more changes, want 7 and 0", got, len(happened))
		}
		c.leave()
	})
}

// A panic affects only its own handler. A disconnected socket gets no changes.
func TestSessionChange_EndsWithTheSocket(t *testing.T) {
	t.Parallel()
	withFakeClock(t, fibersession.Config{}, socketbridge.Config{}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
		happened := make(events, 16)
		hold := make(chan struct{})
		io.OnSessionChange(func(*socketbridge.Socket, []string) { panic("mine") })
		io.OnSessionChange(func(_ *socketbridge.Socket, keys []string) { happened.add("%v", keys) })
		io.On("slow", func(p *socketbridge.Packet) error { <-hold; return nil })
		h := newStoredSession(t, store, map[string]any{"n": 0})
		other := otherHandle(t, store, h)
		defer other.Release()
		c := joinAs(t, io, "/", h)
		other.Set("n", 1)
		save(t, other)
		happened.expect(t, "[n]")
		c.send(`2["slow"]`)
		synctest.Wait()
		other.Set("n", 2)
		save(t, other)
		c.leave()
		close(hold)
		synctest.Wait()
		if len(happened) != 0 {
			t.Errorf("got change %q after the disconnect, want none", <-happened)
		}
	})
}
