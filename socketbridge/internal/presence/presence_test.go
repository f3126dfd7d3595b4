package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/presence"
	"github.com/fiberbridge/fiberbridge/storage"
	"go.uber.org/goleak"
)

const (
	prefix = "x:p:"
	ttl    = 15 * time.Second
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a storage with nodes, on a fake clock.
type cluster struct {
	t    *testing.T
	base presence.Storage // without faults
}

// clockStorage is a storage.Basic whose keys expire by the fake clock. Package memory's
// expire by a clock that it shares with the whole process.
type clockStorage struct {
	mu    sync.Mutex
	items map[string]clockItem
}

type clockItem struct {
	val     []byte
	expires time.Time // zero: never
}

func (s *clockStorage) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.items[key]; it.expires.IsZero() || time.Now().Before(it.expires) {
		return it.val, nil
	}
	return nil, nil
}

func (s *clockStorage) Set(key string, val []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := clockItem{val: val}
	if ttl > 0 {
		it.expires = time.Now().Add(ttl)
	}
	s.items[key] = it
	return nil
}

func (s *clockStorage) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, key)
	return nil
}

func (s *clockStorage) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.items)
	return nil
}

func (*clockStorage) Close() error { return nil }

func runCluster(t *testing.T, test func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, base: storage.From(&clockStorage{items: make(map[string]clockItem)}).(presence.Storage)}
		t.Cleanup(func() { _ = c.base.Close() })
		test(t, c)
	})
}

// node is a node with a running Registry.
type node struct {
	*presence.Registry
	st      *faulty.Storage
	log     testlog.Log
	renamed atomic.Int64
	stop    func() // ends Run, and waits for it

	mu   sync.Mutex
	gone []string // pseudonyms; see offline
}

// offline returns the users of dead nodes that this node saw go offline, sorted.
func (n *node) offline() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.gone))
}

// start starts a node. It is registered once the bubble is idle.
func (c *cluster) start(id string) *node {
	c.t.Helper()
	n := &node{st: faulty.New(c.base, nil)}
	n.Registry = presence.New(presence.Config{
		Storage: n.st, Prefix: prefix, TTL: ttl, Node: id, Notices: notice.New(slog.New(slog.NewTextHandler(&n.log, nil))),
		Pseudonym: strings.ToUpper,
		Renamed:   func() { n.renamed.Add(1) },
		Expired: func(ctx context.Context, dead, pseudonym string) (bool, error) {
			last, err := n.Remove(ctx, dead, pseudonym, new(bool))
			n.mu.Lock()
			defer n.mu.Unlock()
			if last && err == nil {
				n.gone = append(n.gone, pseudonym)
			}
			return err == nil, err
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) }) // ends with ctx; waited for in stop
	n.stop = func() {
		cancel()
		running.Wait()
	}
	c.t.Cleanup(n.stop)
	synctest.Wait()
	return n
}

// nodesOf returns the nodes in the record of a user, sorted.
func (c *cluster) nodesOf(user string) []string {
	c.t.Helper()
	item, err := c.base.Load(context.Background(), prefix+"u:"+strings.ToUpper(user))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	var rec struct{ Nodes []string }
	if err := errors.Join(err, json.Unmarshal(item.Value, &rec)); err != nil {
		c.t.Fatal(err)
	}
	slices.Sort(rec.Nodes)
	return rec.Nodes
}

// members returns a set, sorted.
func (c *cluster) members(set string) (all []string) {
	c.t.Helper()
	for member, err := range c.base.Members(context.Background(), prefix+set) {
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, member)
	}
	slices.Sort(all)
	return all
}

func enter(t *testing.T, n *node, user string) (first bool) {
	t.Helper()
	first, err := n.Enter(t.Context(), user, new(bool))
	if err != nil {
		t.Fatalf("Enter: %v", err)
	}
	return first
}

func leave(t *testing.T, n *node, user string) (last bool) {
	t.Helper()
	last, err := n.Leave(t.Context(), user, new(bool))
	if err != nil {
		t.Fatalf("Leave: %v", err)
	}
	return last
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// Of several nodes, the first one sees a user come online, and the last one offline.
func TestRegistry_FirstAndLastNode(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.start("a"), c.start("b")
		equal(t, "first on a", enter(t, a, "ann"), true)
		equal(t, "then on b", enter(t, b, "ann"), false)
		equal(t, "again on b", enter(t, b, "ann"), false)
		equal(t, "nodes", fmt.Sprint(c.nodesOf("ann")), "[a.1 b.1]")
		for _, n := range []*node{a, b} {
			if online, err := n.Online(t.Context(), "ann"); err != nil || !online {
				t.Errorf("Online: %v, %v", online, err)
			}
			if user, err := n.UserOf(t.Context(), "ANN"); err != nil || user != "ann" {
				t.Errorf("UserOf: %q, %v", user, err)
			}
			equal(t, "peers", n.HasPeers(t.Context()), true)
		}
		equal(t, "a leaves", leave(t, a, "ann"), false)
		equal(t, "a leaves again", leave(t, a, "ann"), false)
		equal(t, "b leaves", leave(t, b, "ann"), true)
		equal(t, "b leaves again", leave(t, b, "ann"), false)
		if online, err := a.Online(t.Context(), "ann"); err != nil || online {
			t.Errorf("Online after the last: %v, %v", online, err)
		}
		if user, err := a.UserOf(t.Context(), "ANN"); err != nil || user != "" {
			t.Errorf("UserOf after the last: %q, %v", user, err)
		}
		equal(t, "users of a", len(c.members("of:a.1")), 0)
		equal(t, "users of b", len(c.members("of:b.1")), 0)
	})
}

// Before a node is registered, it records no user.
func TestRegistry_NotRegistered(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		n := presence.New(presence.Config{Storage: c.base, Prefix: prefix, TTL: ttl, Node: "a", Notices: notice.New(slog.New(slog.DiscardHandler)), Pseudonym: strings.ToUpper})
		if _, err := n.Enter(t.Context(), "ann", new(bool)); !errors.Is(err, presence.ErrNotRegistered) {
			t.Errorf("Enter: %v", err)
		}
		if _, err := n.Leave(t.Context(), "ann", new(bool)); !errors.Is(err, presence.ErrNotRegistered) {
			t.Errorf("Leave: %v", err)
		}
		n.Close(t.Context(), true, time.Hour)
		equal(t, "nodes", len(c.members("nodes")), 0)
		equal(t, "records", len(c.nodesOf("ann")), 0)
	})
}

// Many nodes that enter and leave the same user at the same time: one sees the first
// enter, and one the last leave.
func TestRegistry_Concurrent(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		var nodes []*node
		for i := range 8 {
			nodes = append(nodes, c.start(fmt.Sprint("n", i)))
		}
		for round := range 5 {
			equal(t, fmt.Sprint("first, round ", round), count(t, nodes, func(n *node, tried *bool) (bool, error) {
				return n.Enter(t.Context(), "ann", tried)
			}), 1)
			equal(t, fmt.Sprint("last, round ", round), count(t, nodes, func(n *node, tried *bool) (bool, error) {
				return n.Leave(t.Context(), "ann", tried)
			}), 1)
		}
	})
}

// count applies a change on all nodes at the same time, with retries, and returns how
// many were the first or the last.
func count(t *testing.T, nodes []*node, change func(*node, *bool) (bool, error)) (firsts int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, n := range nodes {
		wg.Go(func() { // waited for below
			tried := false
			for {
				ok, err := change(n, &tried)
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if ok {
					firsts++
				}
				return
			}
		})
	}
	wg.Wait()
	return firsts
}

// A change whose answer is lost is recognized when it is retried with the same tried.
func TestRegistry_LostAnswer(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		n := c.start("a")
		// lose loses the answer of one call on the record. All later calls on it fail.
		lose := func(method string) {
			lost := false
			n.st.SetPlan(func(call faulty.Call) faulty.Fault {
				switch {
				case call.Key != prefix+"u:ANN":
					return faulty.Fault{}
				case lost:
					return faulty.Fault{Fail: errors.New("down")}
				case call.Method == method:
					lost = true
					return faulty.Fault{Lose: errors.New("cut off")}
				}
				return faulty.Fault{}
			})
		}
		for _, test := range []struct {
			method string
			change func(context.Context, string, *bool) (bool, error)
		}{{"CompareAndSwap", n.Enter}, {"CompareAndDelete", n.Leave}} {
			lose(test.method)
			tried := false
			if ok, err := test.change(t.Context(), "ann", &tried); err == nil || ok || !tried {
				t.Errorf("%s, lost: %v, %v, tried %v", test.method, ok, err, tried)
			}
			n.st.SetPlan(nil)
			if ok, err := test.change(t.Context(), "ann", &tried); err != nil || !ok {
				t.Errorf("%s, retried: %v, %v", test.method, ok, err)
			}
			if ok, err := test.change(t.Context(), "ann", new(bool)); err != nil || ok {
				t.Errorf("%s, once more: %v, %v", test.method, ok, err)
			}
		}
	})
}

// A record that another node ends at the same moment ends for that node only.
func TestRegistry_EndedByAnotherNode(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		n := c.start("a")
		enter(t, n, "ann")
		n.st.SetPlan(func(call faulty.Call) faulty.Fault {
			if call.Method == "CompareAndDelete" {
				_ = c.base.Delete(call.Key)
			}
			return faulty.Fault{}
		})
		equal(t, "last", leave(t, n, "ann"), false)
	})
}

// A malformed record is replaced.
func TestRegistry_MalformedRecord(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		n := c.start("a")
		if err := c.base.Set(prefix+"u:ANN", []byte("not JSON"), 0); err != nil {
			t.Fatal(err)
		}
		if user, err := n.UserOf(t.Context(), "ANN"); user != "" || err != nil {
			t.Errorf("UserOf: %q, %v", user, err)
		}
		equal(t, "first", enter(t, n, "ann"), true)
		equal(t, "nodes", fmt.Sprint(c.nodesOf("ann")), "[a.1]")
	})
}

// When a node dies, another one removes it from the records of its users, and exactly
// one node sees each user go offline.
func TestRegistry_NodeDies(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		dead, b, d := c.start("dead"), c.start("b"), c.start("d")
		const users = 50
		for i := range users {
			enter(t, dead, fmt.Sprint("u", i))
		}
		enter(t, dead, "ann")
		enter(t, b, "ann")
		dead.stop()
		time.Sleep(ttl - time.Second)
		equal(t, "removed too early", len(b.offline())+len(d.offline()), 0)
		time.Sleep(2 * ttl)
		synctest.Wait()
		offline := slices.Concat(b.offline(), d.offline())
		slices.Sort(offline)
		equal(t, "offline", len(offline), users)
		equal(t, "twice", len(slices.Compact(offline)), users)
		equal(t, "nodes of ann", fmt.Sprint(c.nodesOf("ann")), "[b.1]")
		equal(t, "nodes", fmt.Sprint(c.members("nodes")), "[b.1 d.1]")
		equal(t, "users of the dead node", len(c.members("of:dead.1")), 0)
	})
}

// A node that fails to remove the users of a dead one tries again.
func TestRegistry_RemovalIsRetried(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		dead, b := c.start("dead"), c.start("b")
		enter(t, dead, "ann")
		dead.stop()
		b.st.SetPlan(faulty.OnMethod("CompareAndDelete", faulty.Fault{Fail: errors.New("down")}))
		time.Sleep(4 * ttl)
		equal(t, "nodes", fmt.Sprint(c.members("nodes")), "[b.1 dead.1]")
		b.st.SetPlan(nil)
		time.Sleep(2 * ttl) // the failure has delayed the next check by one TTL
		synctest.Wait()
		equal(t, "offline", fmt.Sprint(b.offline()), "[ANN]")
		equal(t, "nodes", fmt.Sprint(c.members("nodes")), "[b.1]")
	})
}

// After an outage of the storage, nodes do not take each other for dead, though the keys
// of all of them have expired. Each takes a new name, and enters its users again.
func TestRegistry_Outage(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		nodes := []*node{c.start("a"), c.start("b")}
		for _, n := range nodes {
			enter(t, n, "ann")
			n.st.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Fail: errors.New("down")} })
		}
		time.Sleep(10 * ttl)
		for _, n := range nodes {
			if _, err := n.Enter(t.Context(), "bob", new(bool)); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("Enter during the outage: %v", err)
			}
			n.st.SetPlan(nil)
		}
		time.Sleep(ttl / 2)
		for _, n := range nodes {
			equal(t, "renamed", n.renamed.Load(), 1)
			enter(t, n, "ann")
			if !n.log.Has("presence cannot be updated at present") {
				t.Errorf("the outage was not logged: %s", n.log.String())
			}
		}
		equal(t, "nodes of ann", fmt.Sprint(c.nodesOf("ann")), "[a.1 a.2 b.1 b.2]")
		time.Sleep(3 * ttl)
		equal(t, "nodes of ann, later", fmt.Sprint(c.nodesOf("ann")), "[a.2 b.2]")
		for _, n := range nodes {
			equal(t, "offline", len(n.offline()), 0)
		}
	})
}

// A user that a node enters while it counts as dead is not online forever under a name
// that no other node looks at any more.
func TestRegistry_EnterWhileDead(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		n := c.start("a")
		if err := c.base.Delete(prefix + "n:a.1"); err != nil {
			t.Fatal(err)
		}
		if first, err := n.Enter(t.Context(), "ann", new(bool)); first || !errors.Is(err, presence.ErrNotRegistered) {
			t.Errorf("Enter: %v, %v", first, err)
		}
		equal(t, "nodes of ann", len(c.nodesOf("ann")), 0)
		equal(t, "users of the node", len(c.members("of:a.1")), 0)
		time.Sleep(ttl / 2)
		equal(t, "first", enter(t, n, "ann"), true)
		equal(t, "nodes of ann", fmt.Sprint(c.nodesOf("ann")), "[a.2]")
	})
}

// A node whose removal of a dead node is slow keeps itself alive meanwhile.
func TestRegistry_SlowRemoval(t *testing.T) {
	t.Parallel()
	runCluster(t, func(t *testing.T, c *cluster) {
		dead, b := c.start("dead"), c.start("b")
		for i := range 20 {
			enter(t, dead, fmt.Sprint("u", i))
		}
		dead.stop()
		b.st.SetPlan(faulty.OnMethod("CompareAndDelete", faulty.Fault{Delay: 5 * time.Second}))
		for range 200 {
			time.Sleep(time.Second)
			if _, err := c.base.Load(t.Context(), prefix+"n:b.1"); err != nil {
				t.Fatalf("the node is not alive: %v", err)
			}
		}
		equal(t, "offline", len(b.offline()), 20)
	})
}

func TestRegistry_Close(t *testing.T) {
	t.Parallel()
	alive := func(c *cluster) bool {
		_, err := c.base.Load(context.Background(), prefix+"n:a.1")
		return err == nil
	}
	t.Run("without other nodes", func(t *testing.T) {
		t.Parallel()
		runCluster(t, func(t *testing.T, c *cluster) {
			n := c.start("a")
			equal(t, "peers", n.HasPeers(t.Context()), false)
			n.stop()
			n.Close(t.Context(), false, time.Minute)
			equal(t, "alive", alive(c), false)
			equal(t, "nodes", len(c.members("nodes")), 0)
		})
	})
	t.Run("handover", func(t *testing.T) {
		t.Parallel()
		for _, grace := range []time.Duration{-1, time.Minute} {
			runCluster(t, func(t *testing.T, c *cluster) {
				n, b := c.start("a"), c.start("b")
				enter(t, n, "ann")
				n.stop()
				n.Close(t.Context(), true, grace)
				equal(t, "alive within the grace period", alive(c), grace > 0)
				time.Sleep(max(grace, 0) + 3*ttl)
				synctest.Wait()
				equal(t, "offline", fmt.Sprint(b.offline()), "[ANN]")
				equal(t, "nodes", fmt.Sprint(c.members("nodes")), "[b.1]")
			})
		}
	})
	t.Run("storage down", func(t *testing.T) {
		t.Parallel()
		runCluster(t, func(t *testing.T, c *cluster) {
			n := c.start("a")
			enter(t, n, "ann")
			n.st.SetPlan(faulty.OnMethod("RemoveMember", faulty.Fault{Fail: errors.New("down")}))
			leave(t, n, "ann")
			if !n.log.Has("notice=presence_entry_stays") {
				t.Errorf("not logged: %s", n.log.String())
			}
			n.stop()
			n.st.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Hang: true} })
			begun := time.Now()
			n.Close(t.Context(), false, 0)
			equal(t, "time", time.Since(begun), 3*time.Second)
			if !n.log.Has("cannot be unregistered") {
				t.Errorf("not logged: %s", n.log.String())
			}
		})
	})
}
