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

// outcome is what a client was told of an operation on the register that a session
// holds under "x": the value before it, or that it was not done, or that nobody knows.
type outcome struct {
	Was     int  `json:"was"`
	Refused bool `json:"refused"`
	Unknown bool `json:"unknown"`
}

// swap stores to, unless it is 0, and tells what was there.
func swap(to int, update func(func(*fibersession.Tx) error) error) (out outcome, err error) {
	err = update(func(tx *fibersession.Tx) error {
		out.Was = fibersession.Value[int](tx, "x")
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

// register is what a session's key must look like to everybody: as if each operation
// had been done at one moment between its call and its answer. One of unknown outcome
// may be done at any moment after its call; the last of all is the same as never.
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

// do does an operation of a client and notes it.
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
		h.refused++ // nothing was done: if that is not so, somebody reads what nobody wrote
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

// known returns the operations in a form that is quick to check. Whoever comes after a
// write says that it was there. So one of unknown outcome that nobody saw can be left
// out: whatever it did is gone, or came last. And one that was seen was done by then.
func (h *history) known() []porcupine.Operation {
	seen := make(map[int]int64) // the first answer that told of a value
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

// check says whether the history can have happened.
func (h *history) check(t testing.TB) {
	t.Helper()
	ops := h.known()
	t.Logf("%d operations, of %d of unknown outcome %d were seen; %d refused", len(ops), h.unknown, len(ops)-(len(h.ops)-h.unknown), h.refused)
	if got := porcupine.CheckOperationsTimeout(register, ops, time.Minute); got != porcupine.Ok {
		t.Errorf("the history is %s", got)
	}
	// And the check would find out.
	last := ops[len(ops)-1]
	last.Call, last.Return, last.Input, last.Output = math.MaxInt64-2, math.MaxInt64-1, 0, outcome{Was: -1}
	if got := porcupine.CheckOperationsTimeout(register, append(ops, last), time.Minute); got != porcupine.Illegal {
		t.Errorf("a history with a value that nobody wrote is %s", got)
	}
}

// TestLinearizable: what requests and sockets on three nodes do to one session through
// Update, and read of it, can be put into one order that fits with when they were
// answered; also while the nodes' connections are cut and Redis is killed. Set
// LINEARIZABLE to a number for that many operations of each client.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	steps := 40
	if n, err := strconv.Atoi(os.Getenv("LINEARIZABLE")); err == nil {
		steps = n
	}
	n := nodetest.Start(t)
	for name, faults := range map[string]bool{"in peace": false, "under faults": true} {
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
				}).register().serve())
			}
			browser := sites[0].agent()
			browser.post("/swap/0")
			var clients []func(to int) (outcome, error)
			for _, s := range sites {
				here := browser.at(s)
				for range 2 {
					clients = append(clients, here.swap, swapOver(t, here.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})))
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

// register adds a route and an event that swap.
func (s *site) register() *site {
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

// swap swaps over HTTP. A request whose session could not be loaded has done nothing.
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

// swapOver swaps over a socket.
func swapOver(t testing.TB, c *nodetest.Client) func(to int) (outcome, error) {
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
