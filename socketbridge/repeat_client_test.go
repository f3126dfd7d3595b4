package socketbridge_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

// moment is a step in the handling of an event.
type moment string

const (
	beforeClaim  moment = "before the claim"
	inHandler    moment = "in the handler"
	beforeRecord moment = "after the save, before the record"
	afterRecord  moment = "after the record, before the answer"
	afterAnswer  moment = "after the answer was sent"
)

var moments = []moment{beforeClaim, inHandler, beforeRecord, afterRecord, afterAnswer}

// hookedStorage calls at when a record is about to be changed for the second time, and after
// that: the first change of an event is its claim.
type hookedStorage struct {
	storage.Storage
	at    func(moment)
	swaps *atomic.Int64 // of all nodes
}

func (h *hookedStorage) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	record := h.swaps.Load() > 0
	if record {
		h.at(beforeRecord)
	}
	rev, err := h.Storage.CompareAndSwap(ctx, key, old, val, ttl)
	if err == nil {
		h.swaps.Add(1)
		if record {
			h.at(afterRecord)
		}
	}
	return rev, err
}

// orderSites creates nodes whose event "order" increments a counter in the session, a
// counter outside of it for each offset, and answers with the first.
func orderSites(t *testing.T, count int, url string, concurrency int, at func(moment), handled func(offset string)) []*site {
	t.Helper()
	swaps := new(atomic.Int64)
	shared := inMemory(t)()
	sites := make([]*site, count)
	for i := range sites {
		st := shared
		if url != "memory://" {
			var err error
			if st, err = storage.Open(url); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
		}
		o := options{bridge: socketbridge.Config{
			Concurrency: concurrency,
			Repeats:     socketbridge.Repeats{Storage: &hookedStorage{st, at, swaps}},
			Trace: socketbridge.Trace{Handled: func(p *socketbridge.Packet, err error) {
				at(afterAnswer)
			}},
		}, sessions: fibersession.Config{Storage: st}}
		o.sessions.Timeouts.Storage = 20 * time.Second
		s := newSite(t, o)
		s.app.Post("/begin", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("name", "ann"); return nil })
		s.app.Get("/orders", func(c *fiber.Ctx) error { return c.JSON(valueOf[int](fibersession.FromContext(c), "orders")) })
		hook := func(m moment) socketbridge.Handler {
			return func(p *socketbridge.Packet) error { at(m); return p.Next() }
		}
		s.io.On("order", hook(beforeClaim), socketbridge.Idempotent(), hook(inHandler), func(p *socketbridge.Packet) error {
			var what, offset string
			if err := p.Bind(&what, &offset); err != nil {
				return err
			}
			handled(offset)
			n, err := p.Session().Incr(p.Context(), "orders", 1)
			if err != nil {
				return err
			}
			return p.Ack(n, []byte(what))
		})
		sites[i] = s.serve()
	}
	return sites
}

// retrying are the options of the official client that repeats events.
func retrying(ackTimeout time.Duration) nodetest.Options {
	return nodetest.Options{Transports: []string{"websocket"}, Reconnect: true, Extra: map[string]any{
		"retries": 1000, "ackTimeout": ackTimeout.Milliseconds(), "reconnectionDelay": 5, "reconnectionDelayMax": 20,
	}}
}

// The official client repeats an event because its connection broke. Whenever that happens,
// the event is handled once, and the client gets its answer, on the same node or another.
func TestM4_OfficialClientIsCutOff(t *testing.T) {
	t.Parallel()
	node := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for _, to := range []int{0, 1} {
			for _, m := range append([]moment{"before the event arrives"}, moments...) {
				t.Run(fmt.Sprintf("%s, then to node %d", m, to), func(t *testing.T) {
					var proxy *redistest.Proxy
					var sites []*site
					cut := sync.OnceFunc(func() {
						proxy.Retarget(strings.TrimPrefix(sites[to].url, "http://"))
						proxy.Disconnect()
						proxy.Resume()
					})
					var handled atomic.Int64
					sites = orderSites(t, 2, url, 1, func(at moment) {
						if at == m {
							cut()
						}
					}, func(string) { handled.Add(1) })
					a := sites[0].agent()
					a.post("/begin")
					proxy = redistest.NewProxy(t, strings.TrimPrefix(sites[0].url, "http://"))
					o := retrying(5 * time.Second)
					o.Cookie = a.cookie()
					c := node.Connect(t, "http://"+proxy.Addr(), o)
					switch m {
					case "before the event arrives":
						proxy.Pause()
						go func() { // ends with the event, which the client sends below
							<-proxy.Requests()
							cut()
						}()
					case afterAnswer:
						proxy.PauseReplies()
					}
					var failed any
					var count int
					var what nodetest.Binary
					c.MustCall("order", "tea", "page-1").Bind(t, &failed, &count, &what)
					if failed != nil || count != 1 || string(what) != "tea" || handled.Load() != 1 {
						t.Errorf("got error %v, count %d and %q, handled %d times; want nil, 1, tea, 1", failed, count, what, handled.Load())
					}
					equal(t, "orders in the session", a.onSite(sites[1]).get("/orders"), "1")
					c.MustNext(nodetest.Disconnected)
				})
			}
		}
	})
}

// The official client repeats an event twice, because its answer takes too long. It is
// handled once.
func TestM4_OfficialClientIsImpatient(t *testing.T) {
	t.Parallel()
	node := nodetest.Start(t)
	var handled, arrived atomic.Int64
	proceed := make(chan struct{})
	s := orderSites(t, 1, "memory://", 4, func(at moment) {
		switch at {
		case beforeClaim:
			if arrived.Add(1) == 3 {
				close(proceed)
			}
		case inHandler:
			<-proceed
		}
	}, func(string) { handled.Add(1) })[0]
	a := s.agent()
	a.post("/begin")
	o := retrying(50 * time.Millisecond)
	o.Cookie = a.cookie()
	c := node.Connect(t, s.url, o)
	var failed any
	var count int
	c.MustCall("order", "tea", "page-1").Bind(t, &failed, &count)
	if failed != nil || count != 1 || handled.Load() != 1 {
		t.Errorf("got error %v and count %d, handled %d times; want nil, 1, 1", failed, count, handled.Load())
	}
}

// Four clients on two nodes send 1,200 events. Their connections break at random moments of
// an event, and they return to a random node. Each event is handled once.
func TestM4_ThousandEventsWithResets(t *testing.T) {
	t.Parallel()
	node := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		const clients, each = 4, 300
		var (
			mu      sync.Mutex
			rnd     = rand.New(rand.NewPCG(20261127, 4))
			handled = map[string]int{}
			resets  = map[moment]int{}
			proxies []*redistest.Proxy
			sites   []*site
		)
		sites = orderSites(t, 2, url, 1, func(at moment) {
			mu.Lock()
			defer mu.Unlock()
			if len(proxies) < clients || rnd.IntN(100) >= 2 {
				return
			}
			resets[at]++
			p := proxies[rnd.IntN(clients)]
			p.Retarget(strings.TrimPrefix(sites[rnd.IntN(len(sites))].url, "http://"))
			p.Disconnect()
		}, func(offset string) {
			mu.Lock()
			defer mu.Unlock()
			handled[offset]++
		})
		var all []*redistest.Proxy
		conns, agents := make([]*nodetest.Client, clients), make([]*agent, clients)
		for i := range clients {
			all = append(all, redistest.NewProxy(t, strings.TrimPrefix(sites[i%2].url, "http://")))
			agents[i] = sites[0].agent()
			agents[i].post("/begin")
			o := retrying(time.Second)
			o.Cookie = agents[i].cookie()
			conns[i] = node.Connect(t, "http://"+all[i].Addr(), o)
		}
		mu.Lock()
		proxies = all
		mu.Unlock()
		var wg sync.WaitGroup
		for i, c := range conns {
			wg.Go(func() { // waited for below
				for k := range each {
					args, err := c.Call(t.Context(), "order", "tea", fmt.Sprintf("page%d-%d", i, k))
					if want := fmt.Sprint(k + 1); err != nil || len(args) != 3 || args[0] != nil && string(args[0]) != "null" || string(args[1]) != want {
						t.Errorf("client %d, event %d: got %s and %v, want count %s", i, k, args, err, want)
						return
					}
				}
			})
		}
		wg.Wait()
		mu.Lock()
		defer mu.Unlock()
		for offset, n := range handled {
			if n != 1 {
				t.Errorf("%s was handled %d times, want once", offset, n)
			}
		}
		if len(handled) != clients*each {
			t.Errorf("%d events were handled, want %d", len(handled), clients*each)
		}
		for _, m := range moments {
			if resets[m] == 0 {
				t.Errorf("no connection broke %s: the test shows nothing of it", m)
			}
		}
		t.Logf("connections broke: %v", resets)
		for i, a := range agents {
			equal(t, fmt.Sprintf("orders in session %d", i), a.get("/orders"), fmt.Sprint(each))
		}
	})
}
