package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// repeatNode is a server with a session store, over a storage of which the test has a
// faulty view.
type repeatNode struct {
	store   *fibersession.Store
	io      *socketbridge.Server
	storage *faulty.Storage
	handled *atomic.Int64 // side effects of "order" on all nodes
}

// newRepeatNodes creates nodes that share a storage. The event "order" counts in the
// session and in handled, and answers with the count in the session.
func newRepeatNodes(t testing.TB, count int, open func() storage.Storage, cfg socketbridge.Config) []*repeatNode {
	t.Helper()
	handled := new(atomic.Int64)
	nodes := make([]*repeatNode, count)
	for i := range nodes {
		st := faulty.New(open(), nil)
		store := fibersession.New(fibersession.Config{Storage: st, Logger: silent, Timeouts: fibersession.Timeouts{Storage: 10 * time.Second}})
		cfg.Sessions = store
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		n := &repeatNode{store: store, io: newServer(t, cfg), storage: st, handled: handled}
		n.io.On("order", socketbridge.Idempotent(), n.order)
		nodes[i] = n
	}
	return nodes
}

func (n *repeatNode) order(p *socketbridge.Packet) error {
	n.handled.Add(1)
	count, err := p.Session().Incr(p.Context(), "orders", 1)
	if err != nil {
		return err
	}
	return p.Ack(count)
}

func (n *repeatNode) expectHandled(t testing.TB, want int64) {
	t.Helper()
	if got := n.handled.Load(); got != want {
		t.Errorf("handled %d times, want %d", got, want)
	}
}

// inMemory returns a function that opens one storage in memory again and again.
func inMemory(t testing.TB) func() storage.Storage {
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	return func() storage.Storage { return st }
}

// inRedis returns a function that opens connections to a new Redis.
func inRedis(t testing.TB) func() storage.Storage {
	url := redistest.Start(t).URL()
	return func() storage.Storage {
		st, err := storage.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
}

// onEachShared runs a test with each kind of storage that nodes share.
func onEachShared(t *testing.T, test func(t *testing.T, open func() storage.Storage)) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, inMemory(t)) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, inRedis(t)) })
}

// visitor is one session on several nodes.
type visitor struct {
	t     testing.TB
	first *fibersession.Handle
	store *fibersession.Store
}

func newVisitor(t testing.TB, n *repeatNode) *visitor {
	t.Helper()
	return &visitor{t: t, first: newStoredSession(t, n.store, map[string]any{"name": "ann"}), store: n.store}
}

// join connects to a node.
func (v *visitor) join(n *repeatNode) *peer {
	v.t.Helper()
	h, err := n.store.GetByID(context.Background(), v.first.ID())
	if err != nil {
		v.t.Fatal(err)
	}
	return joinAs(v.t, n.io, "/", h)
}

func (v *visitor) leave() { v.first.Release() }

func TestM4_RepeatIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	onEachShared(t, func(t *testing.T, open func() storage.Storage) {
		nodes := newRepeatNodes(t, 2, open, socketbridge.Config{})
		a, b := nodes[0], nodes[1]
		v := newVisitor(t, a)
		defer v.leave()
		one, other, away := v.join(a), v.join(a), v.join(b)
		one.send(`21["order","tea","x-1"]`)
		one.expect("31[1]")
		for i, p := range []*peer{one, other, away} {
			p.send(fmt.Sprintf(`2%d["order","tea","x-1"]`, 7+i))
			p.expect(fmt.Sprintf("3%d[1]", 7+i))
		}
		a.expectHandled(t, 1)
		away.send(`21["order","tea","x-2"]`)
		away.expect("31[2]")
		one.send(`22["order","tea","x-2"]`)
		one.expect("32[2]")
		a.expectHandled(t, 2)
	})
}

// What the first attempt got is given again, whatever it was.
func TestM4_KindsOfAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler func(p *socketbridge.Packet) error
		want    string // "" for no answer
	}{
		"several values": {func(p *socketbridge.Packet) error { return p.Ack("a", 1, nil, map[string]any{"<": ">"}) }, `["a",1,null,{"<":">"}]`},
		"no value":       {func(p *socketbridge.Packet) error { return p.Ack() }, `[]`},
		"an error with code": {func(p *socketbridge.Packet) error {
			return &socketbridge.EventError{Code: "sold_out", Message: "m", Data: 7}
		}, `[{"error":{"code":"sold_out","message":"m","data":7}}]`},
		"an internal error": {func(p *socketbridge.Packet) error { return errors.New("disk is full") }, `[{"error":{"code":"internal_error","message":"internal error"}}]`},
		"a panic":           {func(p *socketbridge.Packet) error { panic("oops") }, `[{"error":{"code":"internal_error","message":"internal error"}}]`},
		"none":              {func(p *socketbridge.Packet) error { return nil }, ""},
		"an answer and an error": {func(p *socketbridge.Packet) error {
			return errors.Join(p.Ack("given"), errors.New("and failed"))
		}, `["given"]`},
		"an answer by another goroutine": {func(p *socketbridge.Packet) error {
			done := make(chan error)
			go func() { done <- p.Ack("elsewhere") }() // waited for below
			return <-done
		}, `["elsewhere"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
			var handled atomic.Int64
			n.io.Of("/a").On("e", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { handled.Add(1); return tt.handler(p) })
			n.io.Of("/a").On("mark", func(p *socketbridge.Packet) error { return p.Ack("mark") })
			v := newVisitor(t, n)
			defer v.leave()
			p := v.join(n)
			p.join("/a")
			for i := range 3 {
				p.send(fmt.Sprintf(`2/a,%d["e",{"b":[1,2]},"x-1"]`, i))
				p.send(`2/a,99["mark"]`)
				if tt.want != "" {
					p.expect(fmt.Sprintf(`3/a,%d%s`, i, tt.want))
				}
				p.expect(`3/a,99["mark"]`)
			}
			if handled.Load() != 1 {
				t.Errorf("handled %d times, want 1", handled.Load())
			}
		})
	}
}

func TestM4_BinaryAnswer(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
	reused := []byte{1, 2, 3}
	n.io.On("sum", socketbridge.Idempotent(), func(p *socketbridge.Packet) error {
		var in []byte
		if err := p.Bind(&in); err != nil {
			return err
		}
		err := p.Ack(map[string]any{"in": in, "out": reused}, "end")
		return err
	})
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	for i := range 2 {
		p.send(fmt.Sprintf(`51-%d["sum",{"_placeholder":true,"num":0},"x-1"]`, i))
		if err := p.conn.Binary([]byte{9, 8}); err != nil {
			t.Fatal(err)
		}
		p.expect(fmt.Sprintf(`62-%d[{"in":{"_placeholder":true,"num":0},"out":{"_placeholder":true,"num":1}},"end"]`, i))
		if in, out := p.nextMessage(), p.nextMessage(); !in.Binary || string(in.Data) != "\x09\x08" || string(out.Data) != "\x01\x02\x03" {
			t.Errorf("attempt %d: got attachments %v and %v", i, in, out)
		}
		reused[0] += 0
	}
	p.send(`51-7["sum",{"_placeholder":true,"num":0},"x-1"]`)
	if err := p.conn.Binary([]byte{9, 7}); err != nil {
		t.Fatal(err)
	}
	if got := p.next(); !strings.Contains(got, socketbridge.CodeOffsetReused) {
		t.Errorf("other attachments with the same offset: got %s, want %s", got, socketbridge.CodeOffsetReused)
	}
}

// An answer that a handler gives after it has returned is kept too.
func TestM4_LateAnswer(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
	late := make(chan *socketbridge.Packet, 1)
	n.io.On("late", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { late <- p; return nil })
	n.io.On("mark", func(p *socketbridge.Packet) error { return p.Ack() })
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	p.send(`21["late","x-1"]`)
	p.send(`22["late","x-1"]`) // not answered yet, and not handled again
	p.send(`23["mark"]`)
	p.expect("33[]")
	first := <-late
	if err := first.Ack("now"); err != nil {
		t.Fatal(err)
	}
	p.expect(`31["now"]`)
	p.send(`24["late","x-1"]`)
	p.expect(`34["now"]`)
	if len(late) != 0 {
		t.Error("the repeat was handled")
	}
}

func TestM4_RefusedOffsets(t *testing.T) {
	t.Parallel()
	var nine []string
	for i := range 9 {
		nine = append(nine, fmt.Sprintf(`["order","x-%d"]`, i+1))
	}
	for name, tt := range map[string]struct {
		before []string
		event  string
		want   string
	}{
		"none":                           {nil, `["order"]`, socketbridge.CodeOffsetInvalid},
		"null":                           {nil, `["order",null]`, socketbridge.CodeOffsetInvalid},
		"an object":                      {nil, `["order",{"offset":"x-1"}]`, socketbridge.CodeOffsetInvalid},
		"too long":                       {nil, `["order","` + strings.Repeat("x", 129) + `"]`, socketbridge.CodeOffsetInvalid},
		"negative":                       {nil, `["order",-1]`, socketbridge.CodeOffsetInvalid},
		"a fraction":                     {nil, `["order",1.5]`, socketbridge.CodeOffsetInvalid},
		"of another event":               {[]string{`["order","tea","x-1"]`}, `["order","milk","x-1"]`, socketbridge.CodeOffsetReused},
		"older than the last 64":         {[]string{`["order","tea","x-100"]`}, `["order","tea","x-36"]`, socketbridge.CodeOffsetExpired},
		"whose answer is not kept":       {nine, `["order","x-1"]`, socketbridge.CodeOffsetExpired},
		"a number, older than the last":  {[]string{`["order",100]`}, `["order",36]`, socketbridge.CodeOffsetExpired},
		"a number with other arguments":  {[]string{`["order","tea",1]`}, `["order","milk",1]`, socketbridge.CodeOffsetReused},
		"of an answer that is too large": {[]string{`["large","x-1"]`}, `["large","x-1"]`, socketbridge.CodeOffsetExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := new(testlog.Log)
			n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})[0]
			n.io.On("large", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { return p.Ack(strings.Repeat("x", 16<<10)) })
			v := newVisitor(t, n)
			defer v.leave()
			p := v.join(n)
			for _, event := range tt.before {
				p.send("21" + event)
				if got := p.next(); strings.Contains(got, "error") {
					t.Fatalf("%s was answered with %s", event, got)
				}
			}
			handled := n.handled.Load()
			p.send("22" + tt.event)
			if got := p.next(); !strings.HasPrefix(got, `32[{"error":{"code":"`+tt.want+`"`) {
				t.Errorf("got %.200s, want %s", got, tt.want)
			}
			n.expectHandled(t, handled)
			if strings.Contains(tt.event, "large") && !log.Has("too large to be kept") {
				t.Errorf("the log does not say that the answer is too large: %s", log)
			}
			p.send(`23["order","y-1"]`) // the socket goes on
			if got := p.next(); strings.Contains(got, "error") {
				t.Errorf("the next event was answered with %s", got)
			}
		})
	}
}

// Offsets of one session mean nothing in another, in another namespace or, if they are
// numbers, on another socket.
func TestM4_OffsetsBelongToTheirOwner(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
	n.io.Of("/other").On("order", socketbridge.Idempotent(), n.order)
	n.io.Of("/anonymous").SetMode(socketbridge.SessionNone)
	n.io.Of("/anonymous").On("order", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { n.handled.Add(1); return p.Ack("anonymous") })
	ann, bob := newVisitor(t, n), newVisitor(t, n)
	defer ann.leave()
	defer bob.leave()
	p := ann.join(n)
	p.send(`21["order","x-1"]`)
	p.expect("31[1]")
	p.send(`22["order",5]`)
	p.expect("32[2]")

	q := bob.join(n)
	q.send(`21["order","x-1"]`)
	q.expect("31[1]")

	tab := ann.join(n)
	tab.send(`21["order",5]`)
	tab.expect("31[3]")
	tab.join("/other")
	tab.send(`2/other,1["order","x-1"]`)
	tab.expect("3/other,1[4]")

	n.expectHandled(t, 5)
	for _, p := range []*peer{tab, q} {
		p.join("/anonymous")
		for range 2 {
			p.send(`2/anonymous,1["order","x-1"]`)
			p.expect(`3/anonymous,1["anonymous"]`)
		}
	}
	n.expectHandled(t, 7)
}

// The middleware serves all events of a socket, if their last argument has the offset.
func TestM4_AllEventsOfASocket(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
	ns := n.io.Of("/all")
	ns.OnConnection(func(s *socketbridge.Socket) { s.Use(socketbridge.Idempotent(socketbridge.OffsetField("offset"))) })
	ns.On("order", n.order)
	ns.On("both", socketbridge.Idempotent(socketbridge.OffsetField("offset")), n.order) // once more in the chain
	ns.On("two", socketbridge.Idempotent(socketbridge.OffsetField("offset")), n.order)
	ns.On("two", socketbridge.Idempotent(socketbridge.OffsetField("offset")), func(p *socketbridge.Packet) error { n.handled.Add(1); return nil })
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	p.join("/all")
	for _, tt := range []struct{ event, want string }{
		{`["order",1]`, "[1]"},
		{`["order",1]`, "[2]"},
		{`["order",{}]`, "[3]"},
		{`["order",1,{"offset":"x-1"}]`, "[4]"},
		{`["order",1,{"offset":"x-1"}]`, "[4]"},
		{`["both",{"offset":"x-2","more":[]}]`, "[5]"},
		{`["both",{"offset":"x-2","more":[]}]`, "[5]"},
		{`["both",{"offset":true}]`, `[{"error":{"code":"offset_invalid","message":"the event needs an offset: a string of 1 to 128 bytes, or a whole number"}}]`},
		{`["two",{"offset":"x-3"}]`, "[6]"},
		{`["two",{"offset":"x-3"}]`, "[6]"},
	} {
		p.send("2/all,1" + tt.event)
		p.expect("3/all,1" + tt.want)
	}
	n.expectHandled(t, 7)
}

// Two attempts at the same moment, on one node and on two: one is handled, the other one
// waits for its answer.
func TestM4_AttemptsAtTheSameTime(t *testing.T) {
	t.Parallel()
	onEachShared(t, func(t *testing.T, open func() storage.Storage) {
		nodes := newRepeatNodes(t, 2, open, socketbridge.Config{})
		v := newVisitor(t, nodes[0])
		defer v.leave()
		started, proceed := make(chan int, 8), make(chan struct{})
		for i, n := range nodes {
			n.io.On("slow", socketbridge.Idempotent(), func(p *socketbridge.Packet) error {
				started <- i
				<-proceed
				return p.Ack("done by", i)
			})
		}
		a, a2, b := v.join(nodes[0]), v.join(nodes[0]), v.join(nodes[1])
		a.send(`21["slow","x-1"]`)
		if <-started != 0 {
			t.Fatal("handled by the wrong node")
		}
		a2.send(`22["slow","x-1"]`)
		b.send(`23["slow","x-1"]`)
		b.send(`24["order","x-2"]`) // stays behind it, in order
		loads := nodes[1].storage.Calls()
		waitFor(t, "the repeat to look at the record again", func() bool { return nodes[1].storage.Calls() > loads+3 })
		close(proceed)
		a.expect(`31["done by",0]`)
		a2.expect(`32["done by",0]`)
		b.expect(`33["done by",0]`, "34[1]")
		if len(started) != 0 {
			t.Error("a repeat was handled")
		}
	})
}

// Many copies of many events, on sockets of two nodes: each is handled once.
func TestM4_ManyCopiesInParallel(t *testing.T) {
	t.Parallel()
	onEachShared(t, func(t *testing.T, open func() storage.Storage) {
		const events, sockets = 60, 3
		nodes := newRepeatNodes(t, 2, open, socketbridge.Config{Concurrency: 4, Limits: socketbridge.Limits{EventsPerSecond: -1}})
		v := newVisitor(t, nodes[0])
		defer v.leave()
		var wg sync.WaitGroup
		answers := make([]map[string]string, 2*sockets)
		for i := range answers {
			p := v.join(nodes[i%2])
			answers[i] = map[string]string{}
			wg.Go(func() { // waited for below
				for k := range events {
					p.send(fmt.Sprintf(`2%d["order","s%d-%d"]`, k, k%30, k))
				}
				for range events {
					id, answer, _ := strings.Cut(p.next()[1:], "[")
					answers[i][id] = answer
				}
			})
		}
		wg.Wait()
		nodes[0].expectHandled(t, events)
		for i := range answers {
			for k := range events {
				id := fmt.Sprint(k)
				if answers[i][id] != answers[0][id] {
					t.Errorf("event %d: socket %d got %q, socket 0 got %q", k, i, answers[i][id], answers[0][id])
				}
			}
		}
		equal(t, "count in the session", fmt.Sprint(sessionCount(t, nodes[1], v)), fmt.Sprint(events))
	})
}

// sessionCount returns the number of orders in the visitor's session.
func sessionCount(t testing.TB, n *repeatNode, v *visitor) int {
	t.Helper()
	h, err := n.store.GetByID(context.Background(), v.first.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	return valueOf[int](h, "orders")
}

// isRecord reports whether a call is for the record of a session's events.
func isRecord(c faulty.Call) bool { return strings.HasPrefix(c.Key, "fiberbridge:r:") }

// faultOnRecord returns a plan with a fault on the nth call of a method on records, or on
// all of them if n is 0.
func faultOnRecord(method string, n int, f faulty.Fault) faulty.Plan {
	var calls atomic.Int64
	return func(c faulty.Call) faulty.Fault {
		if isRecord(c) && c.Method == method {
			if i := int(calls.Add(1)); n == 0 || i == n {
				return f
			}
		}
		return faulty.Fault{}
	}
}

var errTest = errors.New("test")

const unavailable = `[{"error":{"code":"session_unavailable","message":"the session store is unavailable"}}]`

// A storage that fails while an event is claimed: the event is not handled, the client is
// told to try again, and its next attempt is handled.
func TestM4_StorageFailsBeforeTheHandler(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]func() faulty.Plan{
		"load":                          func() faulty.Plan { return faultOnRecord("Load", 0, faulty.Fault{Fail: errTest}) },
		"claim":                         func() faulty.Plan { return faultOnRecord("CompareAndSwap", 0, faulty.Fault{Fail: errTest}) },
		"claim is lost, and not stored": func() faulty.Plan { return faultOnRecord("CompareAndSwap", 0, faulty.Fault{Hang: true}) },
		"claim is stored, answer lost": func() faulty.Plan {
			lost := faultOnRecord("CompareAndSwap", 1, faulty.Fault{Lose: errTest})
			down := faultOnRecord("Load", 0, faulty.Fault{Fail: errTest})
			first := faultOnRecord("Load", 1, faulty.Fault{Delay: 1})
			return func(c faulty.Call) faulty.Fault {
				if f := first(c); f.Delay > 0 {
					return f
				}
				if f := lost(c); f.Lose != nil {
					return f
				}
				return down(c)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeClockAndStorage(t, fibersession.Config{}, socketbridge.Config{}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage) {
				n := &repeatNode{store: store, io: io, handled: new(atomic.Int64)}
				io.On("order", socketbridge.Idempotent(), n.order)
				p := joinAs(t, io, "/", newStoredSession(t, store, map[string]any{"name": "ann"}))
				st.SetPlan(plan())
				p.send(`21["order","x-1"]`)
				p.expect("31" + unavailable)
				n.expectHandled(t, 0)
				st.SetPlan(nil)
				time.Sleep(2 * time.Second) // a claim that may have been stored is withdrawn
				synctest.Wait()
				for i := range 2 {
					p.send(fmt.Sprintf(`2%d["order","x-1"]`, 2+i))
					p.expect(fmt.Sprintf("3%d[1]", 2+i))
				}
				n.expectHandled(t, 1)
				p.leave()
			})
		})
	}
}

// The answer of a claim is lost, but the storage still answers: the node finds its own claim.
func TestM4_LostAnswerOfTheClaim(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	n.storage.SetPlan(faultOnRecord("CompareAndSwap", 1, faulty.Fault{Lose: errTest}))
	for i := range 2 {
		p.send(fmt.Sprintf(`2%d["order","x-1"]`, i))
		p.expect(fmt.Sprintf("3%d[1]", i))
	}
	n.expectHandled(t, 1)
}

// A storage that fails when the answer is recorded: the client gets the answer. If the
// storage is back in time, so do its repeats. Otherwise they learn that the outcome is
// unknown.
func TestM4_StorageFailsAfterTheHandler(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		outage time.Duration
		want   string
	}{
		"back in time": {10 * time.Second, "[1]"},
		"too late":     {5 * time.Minute, `[{"error":{"code":"unknown_outcome","message":"the event may or may not have been handled"}}]`},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(testlog.Log)
			withFakeClockAndStorage(t, fibersession.Config{}, socketbridge.Config{Logger: slog.New(slog.NewTextHandler(log, nil))}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage) {
				n := &repeatNode{store: store, io: io, handled: new(atomic.Int64)}
				io.On("order", socketbridge.Idempotent(), n.order)
				p := joinAs(t, io, "/", newStoredSession(t, store, map[string]any{"name": "ann"}))
				// The claim is the first swap.
				claimed := faultOnRecord("CompareAndSwap", 1, faulty.Fault{Delay: 1})
				failing := faultOnRecord("CompareAndSwap", 0, faulty.Fault{Fail: errTest})
				st.SetPlan(func(c faulty.Call) faulty.Fault {
					if f := claimed(c); f.Delay > 0 {
						return f
					}
					return failing(c)
				})
				p.send(`21["order","x-1"]`)
				p.expect("31[1]")
				time.Sleep(tt.outage)
				st.SetPlan(nil)
				time.Sleep(30 * time.Second) // the next attempt to record
				synctest.Wait()
				for i := range 2 {
					p.send(fmt.Sprintf(`2%d["order","x-1"]`, 2+i))
					p.expect(fmt.Sprintf("3%d%s", 2+i, tt.want))
				}
				n.expectHandled(t, 1)
				if !log.Has("was not recorded") {
					t.Errorf("the log does not say that the outcome was not recorded: %s", log)
				}
				p.leave()
			})
		})
	}
}

// If the session cannot be saved, the client is told, and nothing is kept of the attempt.
// If it is not known whether it was saved, that is the answer.
func TestM4_SessionIsNotSaved(t *testing.T) {
	t.Parallel()
	sessionFault := func(f faulty.Fault) faulty.Plan {
		return func(c faulty.Call) faulty.Fault {
			if strings.HasPrefix(c.Key, "fiberbridge:s:") && c.Method == "CompareAndSwap" {
				return f
			}
			return faulty.Fault{}
		}
	}
	for name, tt := range map[string]struct {
		fault         faulty.Fault
		first, repeat string
		handled       int64
	}{
		"certainly": {faulty.Fault{Fail: errTest}, unavailable, `["saved"]`, 2},
		"perhaps": {faulty.Fault{Lose: errTest}, `[{"error":{"code":"unknown_outcome","message":"the change may or may not have been saved"}}]`,
			`[{"error":{"code":"unknown_outcome","message":"the change may or may not have been saved"}}]`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
			n.io.On("set", socketbridge.Idempotent(), func(p *socketbridge.Packet) error {
				n.handled.Add(1)
				p.Session().Set("set", true)
				return p.Ack("saved")
			})
			v := newVisitor(t, n)
			defer v.leave()
			p := v.join(n)
			n.storage.SetPlan(sessionFault(tt.fault))
			p.send(`21["set","x-1"]`)
			p.expect("31" + tt.first)
			n.storage.SetPlan(nil)
			for i := range 2 {
				p.send(fmt.Sprintf(`2%d["set","x-1"]`, 2+i))
				p.expect(fmt.Sprintf("3%d%s", 2+i, tt.repeat))
			}
			n.expectHandled(t, tt.handled)
		})
	}
}

// A handler can invite another attempt, and its error is then not kept.
func TestM4_TryAgain(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
	n.io.On("busy", socketbridge.Idempotent(), func(p *socketbridge.Packet) error {
		if n.handled.Add(1) < 3 {
			return &socketbridge.EventError{Code: socketbridge.CodeTooMany, Message: "later"}
		}
		return p.Ack("ok")
	})
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	p.send(`20["order","x-2"]`) // a later number does not hide the earlier one
	p.expect("30[1]")
	n.handled.Store(0)
	for _, want := range []string{`[{"error":{"code":"too_many","message":"later"}}]`, `[{"error":{"code":"too_many","message":"later"}}]`, `["ok"]`, `["ok"]`} {
		p.send(`21["busy","x-1"]`)
		p.expect("31" + want)
	}
	n.expectHandled(t, 3)
}

// A node dies while it handles an event. Its repeats wait, and a minute later they are
// told that the outcome is unknown. A node that only takes long is waited for.
func TestM4_NodeDies(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]bool{"it dies": true, "it takes long": false} {
		t.Run(name, func(t *testing.T) {
			startBackground()
			synctest.Test(t, func(t *testing.T) {
				nodes := newRepeatNodes(t, 2, inMemory(t), socketbridge.Config{Timeouts: socketbridge.Timeouts{Ack: 25 * time.Second}})
				a, b := nodes[0], nodes[1]
				started, proceed := make(chan bool, 4), make(chan struct{})
				for _, n := range nodes {
					n.io.On("slow", socketbridge.Idempotent(), func(p *socketbridge.Packet) error {
						started <- true
						<-proceed
						return p.Ack("done")
					})
				}
				v := newVisitor(t, a)
				defer v.leave()
				p, q := v.join(a), v.join(b)
				p.send(`21["slow","x-1"]`)
				<-started
				if dies {
					a.storage.SetPlan(func(c faulty.Call) faulty.Fault {
						if isRecord(c) {
							return faulty.Fault{Fail: errTest}
						}
						return faulty.Fault{}
					})
				}
				began := time.Now()
				for i := range 3 { // each waits for 25 s
					q.send(fmt.Sprintf(`2%d["slow","x-1"]`, 2+i))
				}
				time.Sleep(59 * time.Second)
				if dies {
					q.expect(`34[{"error":{"code":"unknown_outcome","message":"the event may or may not have been handled"}}]`)
					if d := time.Since(began); d > 61*time.Second {
						t.Errorf("the outcome was unknown after %v, want a minute", d)
					}
				} else {
					time.Sleep(10 * time.Minute)
					q.send(`25["slow","x-1"]`)
				}
				close(proceed)
				p.expect(`31["done"]`)
				if !dies {
					q.expect(`35["done"]`)
				}
				if len(started) != 0 {
					t.Error("the event was handled twice")
				}
				p.leave()
				q.leave()
			})
		})
	}
}

// ttlRecorder records how long records are to be kept.
type ttlRecorder struct {
	storage.Storage
	mu  sync.Mutex
	all map[time.Duration]bool
}

func (r *ttlRecorder) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	r.mu.Lock()
	r.all[ttl] = true
	r.mu.Unlock()
	return r.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

func TestM4_WindowInTheStorage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		window time.Duration
		store  bool // the session is stored
		none   bool // no session is shared
		want   time.Duration
	}{
		"default":                     {store: true, want: 24 * time.Hour},
		"an hour":                     {window: time.Hour, store: true, want: time.Hour},
		"session without values":      {want: 10 * time.Minute},
		"no session":                  {none: true, want: 12 * time.Minute},
		"no session, short window":    {window: time.Minute, none: true, want: time.Minute},
		"session without, one minute": {window: time.Minute, want: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &ttlRecorder{Storage: inMemory(t)(), all: map[time.Duration]bool{}}
			n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{
				Repeats:  socketbridge.Repeats{Window: tt.window, Storage: st},
				Recovery: socketbridge.Recovery{Window: 2 * time.Minute},
			})[0]
			if tt.none {
				n.io.Of("/").SetMode(socketbridge.SessionNone)
			}
			n.io.On("e", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { return p.Ack() })
			var values map[string]any
			if tt.store {
				values = map[string]any{"name": "ann"}
			}
			p := joinAs(t, n.io, "/", newStoredSession(t, n.store, values))
			p.send(`21["e","x-1"]`)
			p.expect("31[]")
			if len(st.all) != 1 || !st.all[tt.want] {
				t.Errorf("kept for %v, want %v", st.all, tt.want)
			}
		})
	}
}

// After the window, an event is handled as a new one.
func TestM4_WindowInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		var handled atomic.Int64
		io.On("order", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { return p.Ack(handled.Add(1)) })
		p := join(t, io, "/")
		for _, step := range []struct {
			wait time.Duration
			want string
		}{{0, "31[1]"}, {9 * time.Minute, "31[1]"}, {2 * time.Minute, "31[2]"}, {time.Minute, "31[2]"}} {
			time.Sleep(step.wait)
			p.send(`21["order",1]`)
			p.expect(step.want)
		}
		p.leave()
	})
}

// Without a session store, the node remembers the events of a socket, also after a
// recovery.
func TestM4_NumbersAndRecovery(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
	var handled atomic.Int64
	io.On("order", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { return p.Ack(handled.Add(1)) })
	p := connectRecovering(t, io, "", "")
	p.send(`21["order","tea",1]`)
	p.expect("31[1]")
	p.leave()
	q := connectRecovering(t, io, p.pid, p.offset)
	if !q.recovered {
		t.Fatal("the socket was not recovered")
	}
	q.send(`20["order","tea",1]`)
	q.expect("30[1]")
	q.send(`21["order","tea",2]`)
	q.expect("31[2]")
	other := connectRecovering(t, io, "", "")
	other.send(`20["order","tea",1]`)
	other.expect("30[3]")
}

// A storage of its own lets nodes without sessions recognise each other's events.
func TestM4_StorageOfItsOwn(t *testing.T) {
	t.Parallel()
	st, hub := inMemory(t)(), adapter.NewMemory()
	nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{Repeats: socketbridge.Repeats{Storage: st}}, func() *recordingLog {
		return &recordingLog{Log: hub.Join().(adapter.Log), kept: map[string]int{}}
	})
	var handled atomic.Int64
	for _, n := range nodes {
		n.On("order", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { return p.Ack(handled.Add(1)) })
	}
	p := connectRecovering(t, nodes[0], "", "")
	p.send(`21["order",1]`)
	p.expect("31[1]")
	p.leave()
	logs[0].waitForKept(t, p.pid)
	q := connectRecovering(t, nodes[1], p.pid, p.offset)
	if !q.recovered {
		t.Fatal("the socket was not recovered")
	}
	q.send(`21["order",1]`)
	q.expect("31[1]")
}

// What another program stored under the key is no record: events are handled, and the log
// says so.
func TestM4_ForeignValueUnderTheKey(t *testing.T) {
	t.Parallel()
	log := new(testlog.Log)
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})[0]
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	var key atomic.Value
	n.storage.SetPlan(func(c faulty.Call) faulty.Fault {
		if isRecord(c) {
			key.Store(c.Key)
		}
		return faulty.Fault{}
	})
	p.send(`21["order","x-1"]`)
	p.expect("31[1]")
	if err := n.storage.Set(key.Load().(string), []byte("junk"), 0); err != nil {
		t.Fatal(err)
	}
	p.send(`22["order","x-1"]`)
	p.expect("32[2]")
	if !log.Has("another program wrote under its key") {
		t.Errorf("the log does not name the reason: %s", log)
	}
	if strings.Contains(key.Load().(string), v.first.ID()) || len(key.Load().(string)) > 64 {
		t.Errorf("the key %q shows the session's ID, or is too long", key.Load())
	}
}

// A client cannot fill the storage: the record of a session has a bounded size, whatever it
// sends.
func TestM4_RecordIsBounded(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1}})[0]
	n.io.On("big", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { return p.Ack(strings.Repeat("x", 9000)) })
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	var mu sync.Mutex
	keys := map[string]bool{}
	n.storage.SetPlan(func(c faulty.Call) faulty.Fault {
		mu.Lock()
		defer mu.Unlock()
		if isRecord(c) {
			keys[c.Key] = true
		}
		return faulty.Fault{}
	})
	for i := range 400 {
		p.send(fmt.Sprintf(`2%d["big","random%dx"]`, i, i))
		if got := p.next(); len(got) < 9000 {
			t.Fatalf("got %s", got)
		}
	}
	if len(keys) != 1 {
		t.Errorf("got %d keys, want 1", len(keys))
	}
	for key := range keys {
		item, err := n.storage.Load(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if len(item.Value) > 48<<10 {
			t.Errorf("the record has %d bytes, want at most 48 KiB", len(item.Value))
		}
	}
}

// The answer to a client that only waits is not "internal_error": its repeat ends without
// one, and the app's error handler is told.
func TestM4_ErrorHandlersAreTold(t *testing.T) {
	t.Parallel()
	withFakeClock(t, fibersession.Config{}, socketbridge.Config{}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
		started, proceed, errs := make(chan bool, 2), make(chan struct{}), make(chan error, 2)
		io.On("slow", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { started <- true; <-proceed; return p.Ack("done") })
		io.OnConnection(func(s *socketbridge.Socket) {
			s.OnError(func(_ *socketbridge.Packet, err error) { errs <- err })
		})
		h := newStoredSession(t, store, map[string]any{"name": "ann"})
		p, q := joinAs(t, io, "/", h.Detach()), joinAs(t, io, "/", h)
		p.send(`21["slow","x-1"]`)
		<-started
		q.send(`22["slow","x-1"]`)
		if err := <-errs; !strings.Contains(err.Error(), "Config.Timeouts.Ack") {
			t.Errorf("got error %v, want one that names the setting", err)
		}
		q.leave()
		close(proceed)
		p.expect(`31["done"]`)
		p.leave()
	})
}

// The offset reaches the handler as an argument like others.
func TestM4_HandlerSeesTheOffset(t *testing.T) {
	t.Parallel()
	n := newRepeatNodes(t, 1, inMemory(t), socketbridge.Config{})[0]
	n.io.On("e", socketbridge.Idempotent(func(p *socketbridge.Packet) json.RawMessage { return p.Args()[0] }), func(p *socketbridge.Packet) error {
		var offset string
		if err := p.Bind(&offset); err != nil {
			return err
		}
		return p.Ack(offset)
	})
	v := newVisitor(t, n)
	defer v.leave()
	p := v.join(n)
	for range 2 {
		p.send(`21["e","x-1",{"rest":1}]`)
		p.expect(`31["x-1"]`)
	}
}
