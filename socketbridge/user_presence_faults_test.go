package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

type indexed interface {
	storage.Storage
	storage.Index
}

// loneNode is a node on a fake clock. Tests write the presence records of other nodes themselves.
type loneNode struct {
	t     *testing.T
	base  indexed
	st    *faulty.Storage
	store *fibersession.Store
	hub   *adapter.Memory
	io    *socketbridge.Server

	mu    sync.Mutex
	calls []string
}

// onLoneNode runs a test of a node whose presence handler takes the time slow.
func onLoneNode(t *testing.T, grace, slow time.Duration, test func(p *loneNode)) {
	t.Helper()
	startBackground()
	synctest.Test(t, func(t *testing.T) {
		p := &loneNode{t: t, base: memory.New().(indexed), hub: adapter.NewMemory()}
		p.st = faulty.New(p.base, nil)
		t.Cleanup(func() { _ = p.st.Close() })
		p.store = fibersession.New(fibersession.Config{Storage: p.st, UserKey: "user", Logger: silent})
		t.Cleanup(func() { _ = p.store.Close() })
		p.io = newServer(t, socketbridge.Config{Sessions: p.store, Adapter: p.hub.Join(), Presence: socketbridge.Presence{Grace: grace}})
		p.io.OnPresence(func(user string, online bool) {
			time.Sleep(slow)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.calls = append(p.calls, fmt.Sprintf("%s %v", user, online))
		})
		synctest.Wait()
		test(p)
	})
}

func (p *loneNode) key(rest string) string { return p.store.Prefix + "p:" + rest }

func (p *loneNode) pseudonym(user string) string { return p.store.UserPseudonym(user, "presence") }

// callsFor returns the presence handler's calls for a user.
func (p *loneNode) callsFor(user string) (of []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.calls {
		if strings.HasPrefix(line, user+" ") {
			of = append(of, line)
		}
	}
	return of
}

func (p *loneNode) connect(user string) *peer {
	p.t.Helper()
	return joinAs(p.t, p.io, "/", newStoredSession(p.t, p.store, map[string]any{"user": user}))
}

// nodesOf returns the nodes on which a user is recorded.
func (p *loneNode) nodesOf(user string) []string {
	p.t.Helper()
	item, err := p.base.Load(context.Background(), p.key("u:"+p.pseudonym(user)))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	var r struct{ Nodes []string }
	if err = errors.Join(err, json.Unmarshal(item.Value, &r)); err != nil {
		p.t.Fatal(err)
	}
	return r.Nodes
}

// A node that cleans up after a dead node with many users, while its handlers are slow, is
// not considered dead itself.
func TestPresence_CleaningUpManyUsers(t *testing.T) {
	t.Parallel()
	onLoneNode(t, -1, 2900*time.Millisecond, func(p *loneNode) {
		p.connect("ann")
		time.Sleep(2 * time.Second)
		was := p.nodesOf("ann")
		ctx := context.Background()
		err := p.base.AddMember(ctx, p.key("nodes"), "dead.1", 0)
		for i := range 60 {
			user := fmt.Sprintf("u%d", i)
			record := fmt.Appendf(nil, `{"user":%q,"nodes":["dead.1"]}`, user)
			err = errors.Join(err, p.base.AddMember(ctx, p.key("of:dead.1"), p.pseudonym(user), 0),
				p.base.Set(p.key("u:"+p.pseudonym(user)), record, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var longest time.Duration
		last := time.Now()
		p.st.SetPlan(func(c faulty.Call) faulty.Fault {
			if c.Method == "Touch" && strings.HasPrefix(c.Key, p.key("n:")) {
				mu.Lock()
				defer mu.Unlock()
				longest, last = max(longest, time.Since(last)), time.Now()
			}
			return faulty.Fault{}
		})
		time.Sleep(200 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if longest > 5*time.Second {
			t.Errorf("the node did not renew its record for %v, want at most 5 s", longest)
		}
		for i := range 60 {
			user := fmt.Sprintf("u%d", i)
			if got := p.callsFor(user); !slices.Equal(got, []string{user + " false"}) {
				t.Errorf("got calls %q for %s, want one: offline", got, user)
				break
			}
		}
		if got := p.nodesOf("ann"); len(got) != 1 || !slices.Equal(got, was) {
			t.Errorf("ann is on nodes %q, want %q", got, was)
		}
		if got := p.callsFor("ann"); !slices.Equal(got, []string{"ann true"}) {
			t.Errorf("got calls %q for ann, want one: online", got)
		}
	})
}

// OnPresence reports a user's change although the store fails. That includes a change that
// was stored and whose reply was lost.
func TestPresence_AnswerLost(t *testing.T) {
	t.Parallel()
	onLoneNode(t, -1, 0, func(p *loneNode) {
		record := p.key("u:" + p.pseudonym("ann"))
		whileFailing := func(method string, meanwhile func()) {
			lost := false
			var mu sync.Mutex
			p.st.SetPlan(func(c faulty.Call) faulty.Fault {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case c.Key != record:
					return faulty.Fault{}
				case lost:
					return faulty.Fault{Fail: errors.New("unavailable")}
				case c.Method == method:
					lost = true
					return faulty.Fault{Lose: errors.New("connection lost")}
				}
				return faulty.Fault{}
			})
			meanwhile()
			time.Sleep(3 * time.Second)
			p.st.SetPlan(nil)
			time.Sleep(10 * time.Second)
		}
		var c *peer
		whileFailing("CompareAndSwap", func() { c = p.connect("ann") })
		if got := p.callsFor("ann"); !slices.Equal(got, []string{"ann true"}) || len(p.nodesOf("ann")) != 1 {
			t.Fatalf("got calls %q and nodes %q, want ann online on one node", got, p.nodesOf("ann"))
		}
		whileFailing("CompareAndDelete", func() { c.leave() })
		if got := p.callsFor("ann"); !slices.Equal(got, []string{"ann true", "ann false"}) || p.nodesOf("ann") != nil {
			t.Errorf("got calls %q and nodes %q, want ann offline on no node", got, p.nodesOf("ann"))
		}
		// The same for a user of a dead node.
		ctx := context.Background()
		if err := errors.Join(p.base.AddMember(ctx, p.key("nodes"), "dead.1", 0),
			p.base.AddMember(ctx, p.key("of:dead.1"), p.pseudonym("ann"), 0),
			p.base.Set(record, []byte(`{"user":"ann","nodes":["dead.1"]}`), 0)); err != nil {
			t.Fatal(err)
		}
		whileFailing("CompareAndDelete", func() { time.Sleep(30 * time.Second) })
		if got := p.callsFor("ann"); len(got) != 3 || got[2] != "ann false" || p.nodesOf("ann") != nil {
			t.Errorf("got calls %q and nodes %q, want ann offline again on no node", got, p.nodesOf("ann"))
		}
		if p.io.Stats().Notices["presence_retried"] == 0 {
			t.Error("the failures are not counted")
		}
	})
}

// When two nodes clean up at the same moment, the node whose removal came second does not
// call its handler.
func TestPresence_CleanedUpByTwoNodes(t *testing.T) {
	t.Parallel()
	inOrder := func(record string, base indexed) faulty.Plan {
		return func(c faulty.Call) faulty.Fault {
			if c.Method == "CompareAndDelete" && c.Key == record {
				_ = base.Delete(record) // the other node removes it first
			}
			return faulty.Fault{}
		}
	}
	onLoneNode(t, -1, 0, func(p *loneNode) {
		ctx, record := context.Background(), p.key("u:"+p.pseudonym("eve"))
		if err := errors.Join(p.base.AddMember(ctx, p.key("nodes"), "dead.1", 0),
			p.base.AddMember(ctx, p.key("of:dead.1"), p.pseudonym("eve"), 0),
			p.base.Set(record, []byte(`{"user":"eve","nodes":["dead.1"]}`), 0)); err != nil {
			t.Fatal(err)
		}
		p.st.SetPlan(inOrder(record, p.base))
		time.Sleep(time.Minute)
		if got := p.callsFor("eve"); got != nil || p.nodesOf("eve") != nil {
			t.Errorf("got calls %q and nodes %q, want neither", got, p.nodesOf("eve"))
		}
	})
}

// Other nodes take a node for dead and clean up after it. A user who connects to that node
// meanwhile still goes offline after disconnecting.
func TestPresence_CleanedUpWhileAUserConnects(t *testing.T) {
	t.Parallel()
	onLoneNode(t, -1, 0, func(p *loneNode) {
		p.connect("bob")
		synctest.Wait()
		name := p.nodesOf("bob")[0]
		record := p.key("u:" + p.pseudonym("ann"))
		var once sync.Once
		p.st.SetPlan(func(c faulty.Call) faulty.Fault {
			if c.Method == "CompareAndSwap" && c.Key == record {
				once.Do(func() { // what other nodes do when a node's record has expired
					ctx := context.Background()
					if err := errors.Join(p.base.Delete(p.key("n:"+name)),
						p.base.RemoveMember(ctx, p.key("of:"+name), p.pseudonym("ann")),
						p.base.RemoveMember(ctx, p.key("of:"+name), p.pseudonym("bob")),
						p.base.Delete(p.key("u:"+p.pseudonym("bob"))),
						p.base.RemoveMember(ctx, p.key("nodes"), name)); err != nil {
						t.Error(err)
					}
				})
			}
			return faulty.Fault{}
		})
		c := p.connect("ann")
		time.Sleep(time.Minute)
		for _, user := range []string{"ann", "bob"} {
			if got := p.nodesOf(user); len(got) != 1 || got[0] == name {
				t.Errorf("%s is on nodes %q, want one other than %s", user, got, name)
			}
		}
		if got := p.callsFor("ann"); !slices.Equal(got, []string{"ann true"}) {
			t.Errorf("got calls %q for ann, want one: online", got)
		}
		c.leave()
		time.Sleep(time.Minute)
		if got := p.callsFor("ann"); !slices.Equal(got, []string{"ann true", "ann false"}) || p.nodesOf("ann") != nil {
			t.Errorf("got calls %q and nodes %q, want ann offline on no node", got, p.nodesOf("ann"))
		}
	})
}

// nodeJSServer is a Node.js server, which does not record presence.
type nodeJSServer struct{}

func (nodeJSServer) ID() string               { return "foreignforeignforeign" }
func (nodeJSServer) Deliver(*adapter.Message) {}
func (nodeJSServer) Answer(context.Context, *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(func(*adapter.Reply) bool) {}
}

// The last node that records presence reports its users offline itself, even though
// Node.js servers remain in the cluster.
func TestPresence_ShutdownAmongForeignNodes(t *testing.T) {
	t.Parallel()
	onLoneNode(t, time.Hour, 0, func(p *loneNode) {
		node := p.hub.Join()
		node.Open("/")
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go func() { _ = node.Run(ctx, nodeJSServer{}) }()
		p.connect("ann").leave()
		synctest.Wait()
		shutdown(t, p.io)
		if got := p.callsFor("ann"); !slices.Equal(got, []string{"ann true", "ann false"}) || p.nodesOf("ann") != nil {
			t.Errorf("got calls %q and nodes %q, want ann online, then offline on no node", got, p.nodesOf("ann"))
		}
	})
}
