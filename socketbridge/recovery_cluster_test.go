package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Clients whose connections break at any moment recover on any of three nodes while all
// three emit. Each client gets each event once, and all in the same order.
func TestRecoveryNodes_ExactlyOnceInOrder(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		const clients, each = 6, 150
		engine := engineio.ConfigDefault
		engine.Limits.MaxQueueMessages = 10 * each
		nodes, logs := newRecoveryNodes(t, 3, socketbridge.Config{Recovery: socketbridge.Recovery{MaxBytesPerSession: 8 << 20}, Timeouts: socketbridge.Timeouts{Connect: time.Minute}, Engine: engine}, join)
		var ready, done sync.WaitGroup
		ready.Add(clients)
		orders := make([][]int, clients)
		var crossed atomic.Int64
		for i := range clients {
			done.Go(func() { // waited for below
				rnd := rand.New(rand.NewPCG(uint64(i), 2))
				at := i % len(nodes)
				p := connectRecovering(t, nodes[at], "", "")
				ready.Done()
				for len(orders[i]) < len(nodes)*each {
					for range rnd.IntN(40) {
						if len(orders[i]) == len(nodes)*each {
							return
						}
						number, offset := p.event()
						orders[i] = append(orders[i], number)
						p.offset = offset
					}
					p.leave() // messages in flight are lost
					logs[at].waitForKept(t, p.pid)
					was := at
					at = rnd.IntN(len(nodes))
					old := p
					if p = connectRecovering(t, nodes[at], p.pid, p.offset); !p.recovered || p.sid != old.sid {
						t.Errorf("client %d: not recovered after %d events", i, len(orders[i]))
						return
					}
					if at != was {
						crossed.Add(1)
					}
				}
			})
		}
		ready.Wait()
		for i, n := range nodes {
			done.Go(func() { // waited for below
				for k := range each {
					if err := n.To("all").Emit("n", 1000*i+k); err != nil {
						t.Errorf("Emit: %v", err)
					}
				}
			})
		}
		done.Wait()
		for i, order := range orders {
			if fmt.Sprint(order) != fmt.Sprint(orders[0]) {
				t.Errorf("client %d got %v, client 0 got %v, want the same order", i, order, orders[0])
			}
		}
		next := make([]int, len(nodes))
		for _, number := range orders[0] {
			if number%1000 != next[number/1000] {
				t.Fatalf("got %v, want the events of each node in order", orders[0])
			}
			next[number/1000]++
		}
		if crossed.Load() == 0 {
			t.Error("no client recovered on another node: the test shows nothing")
		}
	})
}

// A client that is sent no events, or no new ones, can recover again and again, also when
// its connection breaks before it has read what it missed.
func TestRecoveryNodes_QuietClient(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{}, join)
		testQuietClient(t, nodes, func(at int, pid string) { logs[at].waitForKept(t, pid) })
	})
	t.Run("one node", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Hour}})
		testQuietClient(t, []*socketbridge.Server{io, io}, func(int, string) {})
	})
}

func testQuietClient(t *testing.T, nodes []*socketbridge.Server, await func(at int, pid string)) {
	to := func(room string, n int) {
		t.Helper()
		if err := nodes[0].To(room).Emit("n", n); err != nil {
			t.Fatal(err)
		}
	}
	for _, start := range []string{"nothing", "something"} {
		t.Run(start, func(t *testing.T) {
			at := 0
			p := connectRecovering(t, nodes[at], "", "")
			next := func() {
				t.Helper()
				p.leave()
				await(at, p.pid)
				at = 1 - at
				old := p
				if p = connectRecovering(t, nodes[at], old.pid, old.offset); !p.recovered || p.sid != old.sid {
					t.Fatal("the client was not recovered")
				}
			}
			if start == "something" {
				to(p.sid, 1)
				_, p.offset = p.event()
			}
			for range 3 {
				to("others", 0)
				next()
			}
			p.leave()
			await(at, p.pid)
			to(p.sid, 2)
			at = 1 - at
			p = connectRecovering(t, nodes[at], p.pid, p.offset) // and disconnects before it reads
			next()
			to("others", 0)
			next()
			if got, offset := p.event(); got != 2 {
				t.Errorf("got event %d, want 2", got)
			} else {
				p.offset = offset
			}
			next()
			to(p.sid, 3)
			if got, _ := p.event(); got != 3 {
				t.Errorf("got event %d, want 3", got)
			}
		})
	}
}

// A client recovers on another node with its rooms and data. It is not recovered in
// another namespace, twice, past the limits, or with an offset that is not its own.
func TestRecoveryNodes_Refused(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{Recovery: socketbridge.Recovery{MaxBytesPerSession: 5000}}, join)
		nodes[1].Of("/chat")
		p, other := connectRecovering(t, nodes[0], "", ""), connectRecovering(t, nodes[0], "", "")
		if err := nodes[0].Emit("n", 0); err != nil {
			t.Fatal(err)
		}
		_, p.offset = p.event()
		_, other.offset = other.event()
		for _, peer := range []*recoveryPeer{p, other} {
			peer.leave()
			logs[0].waitForKept(t, peer.pid)
		}
		foreign := dial(t, nodes[1])
		foreign.send(`0/chat,{"pid":"` + p.pid + `","offset":"` + p.offset + `"}`)
		if got := foreign.next(); strings.Contains(got, p.pid) {
			t.Errorf("CONNECT to another namespace was answered with %s, want a new private ID", got)
		}
		for i := range 10 {
			if err := nodes[1].To(other.sid).Emit("n", i, strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if connectRecovering(t, nodes[1], other.pid, other.offset).recovered {
			t.Error("a client that missed more than MaxBytesPerSession was recovered")
		}
		again := connectRecovering(t, nodes[1], p.pid, p.offset)
		if !again.recovered || again.sid != p.sid {
			t.Fatal("the client was not recovered")
		}
		if connectRecovering(t, nodes[0], p.pid, p.offset).recovered {
			t.Error("the state was recovered twice")
		}
		for _, offset := range []string{"x", "1-1", "m-999999", "99999999999999-0", strings.Repeat("9", 64)} {
			q := connectRecovering(t, nodes[0], "", "")
			q.leave()
			logs[0].waitForKept(t, q.pid)
			if connectRecovering(t, nodes[1], q.pid, offset).recovered {
				t.Errorf("offset %q was accepted, want a new socket", offset)
			}
		}
	})
}

// When the log fails, sockets of this node get the event without an offset, unless the
// append may have succeeded. A client that reconnects gets a new socket, not an error.
func TestRecoveryNodes_LogFails(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{}, join)
		here, there := connectRecovering(t, nodes[0], "", ""), connectRecovering(t, nodes[1], "", "")
		s := nodes[0].Of("/").Socket(here.sid)
		for _, tt := range []struct {
			err  error
			here string
		}{{adapter.ErrUnavailable, `2["e"]`}, {adapter.ErrClosed, `2["e"]`}, {adapter.ErrUnknownOutcome, ""}} {
			logs[0].fail(tt.err)
			for _, emit := range []func(string, ...any) error{nodes[0].To("all").Emit, s.Emit} {
				if err := emit("e"); !errors.Is(err, tt.err) {
					t.Errorf("Emit: got error %v, want %v", err, tt.err)
				}
				if tt.here != "" {
					here.expect(tt.here)
				}
			}
		}
		logs[0].fail(nil)
		if err := nodes[0].Of("/").Broadcast().Volatile().Emit("volatile"); err != nil {
			t.Fatal(err)
		}
		here.expect(`2["volatile"]`)
		there.expect(`2["volatile"]`)
		if err := nodes[0].Of("/").Broadcast().Local().Emit("local"); err != nil {
			t.Fatal(err)
		}
		here.expect(`2["local"]`)
		if err := nodes[0].Emit("n", 1); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*recoveryPeer{here, there} {
			if got, _ := p.event(); got != 1 {
				t.Errorf("got event %d, want 1", got)
			}
		}
		here.leave()
		logs[0].waitForKept(t, here.pid)
		logs[1].fail(adapter.ErrUnavailable)
		if connectRecovering(t, nodes[1], here.pid, here.offset).recovered {
			t.Error("the client was recovered although the missed events could not be read")
		}
		there.leave()
		logs[1].waitForKept(t, there.pid)
		nodes[1].Use(func(c *socketbridge.Connect) error {
			_ = c.Socket().Emit("lost") // it is appended to the log later
			return c.Next()
		})
		connectRecovering(t, nodes[1], "", "")
		for _, name := range []string{"recovery_unreadable", "recovery_unsaved", "recovery_event_lost"} {
			waitFor(t, "the notice "+name, func() bool { return nodes[1].Stats().Notices[name] == 1 })
		}
	})
}

// Events that a middleware, a connection handler or an event handler emits to their
// socket arrive once and in order, before a following answer and before the disconnect
// packet. Data are recovered with their types.
func TestRecoveryNodes_SocketEmit(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{}, join)
		for _, n := range nodes {
			n.Use(func(c *socketbridge.Connect) error {
				if err := c.Socket().Emit("n", 1); err != nil {
					return err
				}
				return c.Next()
			})
			n.OnConnection(func(s *socketbridge.Socket) {
				d := s.Data()
				if s.Recovered() {
					list, _ := d.Get("list").([]any)
					if d.Get("int") != 7 || d.Get("u8") != uint8(8) || d.Get("text") != "x" || len(list) != 2 || d.Get("func") != nil {
						t.Errorf("got recovered data %v, %v, %v, %v and %v, want 7, 8, x, a list of 2 and nil", d.Get("int"), d.Get("u8"), d.Get("text"), d.Get("list"), d.Get("func"))
					}
				}
				d.Set("int", 7)
				d.Set("u8", uint8(8))
				d.Set("text", "x")
				d.Set("func", func() {})
				if err := errors.Join(d.Share("list", []int{1, 2}), s.Emit("n", 2)); err != nil {
					t.Error(err)
				}
			})
			n.On("work", func(p *socketbridge.Packet) error {
				return errors.Join(p.Socket().Emit("n", 3), p.Ack("done"))
			})
			n.On("end", func(p *socketbridge.Packet) error {
				err := p.Socket().Emit("n", 4)
				p.Socket().Disconnect()
				return err
			})
		}
		numbers := func(p *recoveryPeer, want ...int) {
			t.Helper()
			for _, w := range want {
				got, offset := p.event()
				if p.offset = offset; got != w {
					t.Errorf("got event %d, want %d", got, w)
				}
			}
		}
		p := connectRecovering(t, nodes[0], "", "")
		numbers(p, 1, 2)
		p.send(`20["work"]`)
		numbers(p, 3)
		p.expect(`30["done"]`)
		s := nodes[0].Of("/").Socket(p.sid)
		p.leave()
		logs[0].waitForKept(t, p.pid)
		if err := s.Emit("n", 9); !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Errorf("Emit to a disconnected socket: got error %v, want ErrDisconnected", err)
		}
		p = connectRecovering(t, nodes[1], p.pid, p.offset)
		if !p.recovered {
			t.Fatal("the client was not recovered")
		}
		numbers(p, 9, 1, 2)
		s = nodes[1].Of("/").Socket(p.sid)
		p.send(`2["end"]`)
		numbers(p, 4)
		p.expect("1")
		waitFor(t, "the socket to leave", func() bool { return nodes[1].Of("/").Socket(p.sid) == nil })
		if err := s.Emit("n", 10); !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Errorf("Emit after Disconnect: got error %v, want ErrDisconnected", err)
		}
	})
}

// The official client behind a load balancer is recovered on another node. A socket is
// recovered only for its own session and user, on every node.
func TestRecoveryNodes_RealClient(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		meanwhile func(a *agent)
		recovered bool
	}{
		"nothing happened":          {func(*agent) {}, true},
		"another tab wrote":         {func(a *agent) { a.post("/visit") }, true},
		"the session was destroyed": {func(a *agent) { a.post("/destroy"); a.post("/login/ann") }, false},
		"another user logged in":    {func(a *agent) { a.post("/login/bob") }, false},
		"the user logged out":       {func(a *agent) { a.post("/logout") }, false},
		"its node was shut down":    {nil, true},
		"the private ID was stolen": {func(a *agent) { a.http.Jar = nil; a.post("/login/ann") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachLog(t, func(t *testing.T, join func() *recordingLog) {
				store := memory.New()
				t.Cleanup(func() { _ = store.Close() })
				var sites []*site
				var logs []*recordingLog
				for range 2 {
					l := join()
					s := newRecoverySiteWith(t, options{
						sessions: fibersession.Config{UserKey: "user", Storage: store},
						bridge:   socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Hour}, Adapter: l, Timeouts: socketbridge.Timeouts{Request: 30 * time.Second}},
					})
					s.serve()
					sites, logs = append(sites, s), append(logs, l)
				}
				b := newBalancer(t, sites[0].url)
				a := sites[0].loggedIn("ann")
				c := n.Connect(t, b.url()+"/", nodetest.Options{Transports: []string{"websocket"}, Cookie: a.cookie()})
				c.MustCall("join")
				id := c.State().ID
				if err := sites[1].io.To("room").Emit("note", 1); err != nil {
					t.Fatal(err)
				}
				c.MustNext("note")
				if tt.meanwhile == nil {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if err := sites[0].io.Shutdown(ctx); err != nil {
						t.Fatal(err)
					}
				}
				b.cut()
				c.MustNext(nodetest.Disconnected)
				logs[0].waitForKept(t, "")
				if tt.meanwhile != nil {
					tt.meanwhile(a)
				}
				if err := errors.Join(sites[1].io.To("room").Emit("note", 2), sites[1].io.To("room").Emit("note", 3)); err != nil {
					t.Fatal(err)
				}
				b.setTarget(sites[1].url)
				if a.http.Jar == nil {
					a = sites[0].loggedIn("ann")
				}
				c2 := a.resume(n, c)
				if st := c2.State(); st.Recovered != tt.recovered || (st.ID == id) != tt.recovered {
					t.Errorf("got state %+v after socket %s, want it recovered: %v", st, id, tt.recovered)
				}
				state := call(t, c2, "state")
				if got := c2.Waiting("note"); got != map[bool]int{true: 2}[tt.recovered] {
					t.Errorf("got %d of the room's events, want 2 if recovered, else 0", got)
				}
				if tt.recovered && !strings.Contains(state, "true true") {
					t.Errorf("got state %s, want recovered and joined", state)
				}
			})
		})
	}
}

// An event emitted while a client recovers, after the missed events were read, counts as
// sent to it. If its connection breaks before the event arrives, the next recovery
// delivers the event.
func TestRecoveryNodes_SentDuringRecovery(t *testing.T) {
	t.Parallel()
	for name, missed := range map[string]int{"it missed nothing": 0, "it missed something": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachLog(t, func(t *testing.T, join func() *recordingLog) {
				nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{}, join)
				emit := func(n int) {
					if err := nodes[1].To("all").Emit("n", n); err != nil {
						t.Error(err)
					}
				}
				p := connectRecovering(t, nodes[0], "", "")
				emit(0)
				_, p.offset = p.event()
				p.leave()
				logs[0].waitForKept(t, p.pid)
				for n := range missed {
					emit(1 + n)
				}
				var reads atomic.Int32
				logs[1].mu.Lock()
				logs[1].read = func() {
					if reads.Add(1) == 2 { // the log is read before the middlewares and after them
						emit(1 + missed)
					}
				}
				logs[1].mu.Unlock()
				p = connectRecovering(t, nodes[1], p.pid, p.offset)
				for n := range missed {
					if got, offset := p.event(); got != 1+n {
						t.Fatalf("got event %d, want %d", got, 1+n)
					} else {
						p.offset = offset
					}
				}
				p.leave() // while the last event is in flight
				logs[1].waitForKept(t, p.pid)
				p = connectRecovering(t, nodes[0], p.pid, p.offset)
				emit(2 + missed)
				for _, want := range []int{1 + missed, 2 + missed} {
					if got, _ := p.event(); got != want {
						t.Fatalf("got event %d, want %d (recovered: %v)", got, want, p.recovered)
					}
				}
			})
		})
	}
}

// A client can recover on a node that has not yet received the events that the client
// already got from another node.
func TestRecoveryNodes_NodeThatIsBehind(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{}, join)
		emit := func(n int) {
			t.Helper()
			if err := nodes[0].To("all").Emit("n", n); err != nil {
				t.Fatal(err)
			}
		}
		p := connectRecovering(t, nodes[0], "", "")
		waitFor(t, "both nodes to be at the same position", func() bool { return logs[1].Position("/") == logs[0].Position("/") })
		logs[1].hold()
		emit(1)
		_, p.offset = p.event()
		for _, at := range []int{0, 1} {
			p.leave()
			logs[at].waitForKept(t, p.pid)
			if p = connectRecovering(t, nodes[1-at], p.pid, p.offset); !p.recovered {
				t.Fatalf("the client was not recovered on node %d", 1-at)
			}
		}
		p.leave()
		logs[0].waitForKept(t, p.pid)
		p = connectRecovering(t, nodes[1], p.pid, p.offset)
		logs[1].release()
		emit(2)
		if got, _ := p.event(); got != 2 {
			t.Errorf("got event %d, want 2", got)
		}
	})
}
