package socketbridge_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// N1: 64 writers, half over HTTP and half over sockets of the official client, each add
// 200 times to one number with Update. Then they set 64 different keys with Set, all at
// the same time.
func TestN1_NoLostUpdate(t *testing.T) {
	t.Parallel()
	const writers, steps = 64, 200
	onEachStorage(t, func(t *testing.T, url string) {
		n := nodetest.Start(t)
		// The default is short for a busy machine.
		s := newSite(t, options{storage: url, sessions: fibersession.Config{Timeouts: fibersession.Timeouts{Storage: 20 * time.Second}}})
		add := func(tx *fibersession.Tx) error {
			tx.Set("count", valueOf[int](tx, "count")+1)
			return nil
		}
		s.app.Get("/", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("count", 0); return nil })
		s.app.Post("/add", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Update(add) })
		s.app.Post("/set/:key", func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("key "+c.Params("key"), true)
			return nil
		})
		s.app.Get("/sum", func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			set := 0
			for i := range writers {
				if valueOf[bool](sess, fmt.Sprint("key ", i)) {
					set++
				}
			}
			return c.SendString(fmt.Sprint(sess.Get("count"), " ", set))
		})
		s.io.On("add", func(p *socketbridge.Packet) error {
			if err := p.Session().Update(p.Context(), add); err != nil {
				return err
			}
			return p.Ack(true)
		})
		s.io.On("set", func(p *socketbridge.Packet) error {
			var key string
			if err := p.Bind(&key); err != nil {
				return err
			}
			p.Session().Set("key "+key, true)
			return p.Ack(true)
		})
		s.serve()
		a := s.agent()
		a.get("/")

		write := make([]func() string, writers) // returns a description of a failure, or ""
		set := make([]func() string, writers)
		for i := range writers {
			key := fmt.Sprint(i)
			if i%2 == 0 {
				post := func(path string) string {
					if body, status, err := a.try("POST", path); err != nil || status != 200 {
						return fmt.Sprint(path, ": ", status, body, err)
					}
					return ""
				}
				write[i] = func() string { return post("/add") }
				set[i] = func() string { return post("/set/" + key) }
				continue
			}
			o := nodetest.Options{Transports: []string{"websocket"}}
			if i%8 == 1 {
				o.Transports = []string{"polling"}
			}
			c := a.connect(n, "/", o)
			ask := func(event string, args ...any) string {
				if answer, err := c.Call(t.Context(), event, args...); err != nil || answer.String() != "[true]" {
					return fmt.Sprint(event, ": ", answer, err)
				}
				return ""
			}
			write[i] = func() string { return ask("add") }
			set[i] = func() string { return ask("set", key) }
		}
		var wg sync.WaitGroup
		all := func(times int, do []func() string) {
			for _, fn := range do {
				wg.Go(func() {
					for range times {
						if wrong := fn(); wrong != "" {
							t.Error(wrong)
							return
						}
					}
				})
			}
			wg.Wait()
		}
		all(steps, write)
		all(1, set)
		equal(t, "sum and keys", a.get("/sum"), fmt.Sprint(writers*steps, " ", writers))
	})
}

// N2, N14: Store.UpdateUser on one node reaches the open sockets of the user on another, in
// all of the user's sessions, and no one else's.
func TestN2_UpdateUserReachesSocketsOnOtherNodes(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	server := redistest.Start(t)
	near := newSite(t, withUsers(server.URL())).users().serve()
	far := newSite(t, withUsers(server.URL())).users()
	far.io.OnSessionChange(func(sock *socketbridge.Socket, keys []string) {
		_ = sock.Emit("changed", keys, sock.Session().Get("role"))
	})
	far.serve()
	var hers []*nodetest.Client
	for range 2 {
		hers = append(hers, far.loggedIn("ann").connect(n, "/", nodetest.Options{}))
	}
	his := far.loggedIn("bob").connect(n, "/", nodetest.Options{})
	far.waitForTracking()
	changed, err := near.sessions.UpdateUser(t.Context(), "ann", func(tx *fibersession.Tx) error { tx.Set("role", "admin"); return nil })
	if err != nil || changed != 2 {
		t.Fatalf("UpdateUser: got %d and %v, want 2", changed, err)
	}
	for i, c := range hers {
		equal(t, fmt.Sprint("change at socket ", i), c.MustNext("changed").String(), `[["role"],"admin"]`)
	}
	equal(t, "user of the other socket", call(t, his, "whoami"), `"bob"`)
	if got := his.Waiting("changed"); got != 0 {
		t.Errorf("the socket of another user got %d changes, want 0", got)
	}
}
