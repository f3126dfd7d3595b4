package socketbridge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// outcome is what a client knows about an operation on the register, which is the session
// key "x": the value before it, or that it was not done, or that its outcome is unknown.
type outcome struct {
	Was     int  `json:"was"`
	Refused bool `json:"refused"`
	Unknown bool `json:"unknown"`
}

// swap stores to, unless it is 0, and returns the value before.
func swap(to int, update func(func(*fibersession.Tx) error) error) (out outcome, err error) {
	err = update(func(tx *fibersession.Tx) error {
		out.Was = valueOf[int](tx, "x")
		if to != 0 {
			tx.Set("x", to)
		}
		return nil
	})
	switch {
	case errors.Is(err, fibersession.ErrUnknownOutcome):
		return outcome{Unknown: true}, nil
	case errors.Is(err, fibersession.ErrUnavailable):
		return outcome{Refused: true}, nil
	}
	return out, err
}

// register is the model of a session key: every operation takes effect at one moment
// between its call and its answer. An operation with an unknown outcome may take effect
// at any moment after its call. If that is after all others, it is as if it never did.
var register = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		to, out := input.(int), output.(outcome)
		if to == 0 {
			to = state.(int)
		}
		return out.Unknown || out.Was == state.(int), to
	},
}

// history collects operations on one session.
type history struct {
	mu      sync.Mutex
	ops     []porcupine.Operation
	begun   time.Time
	refused int
	unknown int
}

// do runs an operation of a client and records it.
func (h *history) do(client, to int, call func(to int) (outcome, error)) error {
	called := int64(time.Since(h.begun))
	out, err := call(to)
	answered := int64(time.Since(h.begun))
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil:
		return err
	case out.Refused:
		h.refused++ // not done: otherwise the check finds a value that no recorded operation wrote
		return nil
	case out.Unknown && to == 0:
		return nil
	case out.Unknown:
		h.unknown++
		answered = math.MaxInt64
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: to, Output: out, Call: called, Return: answered})
	return nil
}

// checkable returns the operations in a form that is quick to check. Every read or write
// reports the value before it. So an operation with an unknown outcome whose value was
// never reported can be left out: it was lost, or it came last. If its value was
// reported, it was done before that answer.
func (h *history) checkable() []porcupine.Operation {
	seen := make(map[int]int64) // the first answer that reported a value
	for _, op := range h.ops {
		if out := op.Output.(outcome); !out.Unknown {
			if first, ok := seen[out.Was]; !ok || op.Return < first {
				seen[out.Was] = op.Return
			}
		}
	}
	var all []porcupine.Operation
	for _, op := range h.ops {
		if op.Output.(outcome).Unknown {
			first, ok := seen[op.Input.(int)]
			if !ok {
				continue
			}
			op.Return = max(first, op.Call)
		}
		all = append(all, op)
	}
	return all
}

// check fails the test unless the history is linearizable.
func (h *history) check(t testing.TB) {
	t.Helper()
	ops := h.checkable()
	t.Logf("%d operations; of %d with an unknown outcome %d were seen; %d refused", len(ops), h.unknown, len(ops)-(len(h.ops)-h.unknown), h.refused)
	if got := porcupine.CheckOperationsTimeout(register, ops, time.Minute); got != porcupine.Ok {
		t.Errorf("the history is %s, want %s", got, porcupine.Ok)
	}
	// The check must fail for a value that was never written.
	last := ops[len(ops)-1]
	last.Call, last.Return, last.Input, last.Output = math.MaxInt64-2, math.MaxInt64-1, 0, outcome{Was: -1}
	if got := porcupine.CheckOperationsTimeout(register, append(ops, last), time.Minute); got != porcupine.Illegal {
		t.Errorf("a history with a value that was never written is %s, want %s", got, porcupine.Illegal)
	}
}

// TestLinearizable checks that requests and sockets on three nodes read and update one
// session as if there were a single order of operations, also while connections of the
// nodes are cut and Redis is killed. Set LINEARIZABLE to the number of operations per
// client.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	steps := 40
	if n, err := strconv.Atoi(os.Getenv("LINEARIZABLE")); err == nil {
		steps = n
	}
	n := nodetest.Start(t)
	for name, faults := range map[string]bool{"without faults": false, "with faults": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			var sites []*site
			var networks []*redistest.Proxy
			for range 3 {
				network := redistest.NewProxy(t, server.Addr())
				networks = append(networks, network)
				sites = append(sites, newSite(t, options{
					storage:  network.URL(),
					sessions: fibersession.Config{Timeouts: fibersession.Timeouts{Storage: 5 * time.Second}},
					bridge:   socketbridge.Config{Mode: socketbridge.SessionManual, Freshness: fibersession.Tracked},
				}).swapRoutes().serve())
			}
			browser := sites[0].agent()
			browser.post("/swap/0")
			var clients []func(to int) (outcome, error)
			for _, s := range sites {
				here := browser.onSite(s)
				for range 2 {
					clients = append(clients, here.swap, swapOverSocket(t, here.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})))
				}
			}
			h := &history{begun: time.Now()}
			var wg sync.WaitGroup
			done := make(chan struct{})
			for id, call := range clients {
				wg.Go(func() { // waited for below
					for i := range steps {
						to := 1 + id + i*len(clients) // all different
						if rand.N(3) == 0 {
							to = 0
						}
						if err := h.do(id, to, call); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			go func() { wg.Wait(); close(done) }() // received below
			for i := 0; faults; i++ {
				select {
				case <-done:
					faults = false
				case <-time.After(20 * time.Millisecond):
					if i%10 == 5 {
						server.Kill()
						server.Restart()
					} else {
						networks[i%len(networks)].Disconnect()
					}
				}
			}
			<-done
			h.check(t)
		})
	}
}

// swapRoutes adds a route and an event that swap the register.
func (s *site) swapRoutes() *site {
	s.app.Post("/swap/:to", func(c *fiber.Ctx) error {
		to, err := c.ParamsInt("to")
		if err != nil {
			return err
		}
		sess := fibersession.FromContext(c)
		if sess.Fresh() {
			sess.Set("x", 0)
			return nil
		}
		out, err := swap(to, sess.Update)
		if err != nil {
			return err
		}
		return c.JSON(out)
	})
	s.io.On("swap", func(p *socketbridge.Packet) error {
		var to int
		if err := p.Bind(&to); err != nil {
			return err
		}
		out, err := swap(to, func(fn func(*fibersession.Tx) error) error { return p.Session().Update(p.Context(), fn) })
		if err != nil {
			return err
		}
		return p.Ack(out)
	})
	return s
}

// swap swaps over HTTP. A request whose session could not be loaded did nothing.
func (a *agent) swap(to int) (out outcome, err error) {
	body, status, err := a.try("POST", fmt.Sprint("/swap/", to))
	switch {
	case err != nil:
		return out, err
	case status == fiber.StatusServiceUnavailable:
		return outcome{Refused: true}, nil
	case status != fiber.StatusOK:
		return out, fmt.Errorf("%d %s", status, body)
	}
	return out, json.Unmarshal([]byte(body), &out)
}

// swapOverSocket returns a function that swaps over a socket.
func swapOverSocket(t testing.TB, c *nodetest.Client) func(to int) (outcome, error) {
	return func(to int) (out outcome, err error) {
		answer, err := c.Call(t.Context(), "swap", to)
		if err != nil {
			return out, err
		}
		if len(answer) != 1 {
			return out, fmt.Errorf("swap was answered with %s", answer)
		}
		return out, json.Unmarshal(answer[0], &out)
	}
}
