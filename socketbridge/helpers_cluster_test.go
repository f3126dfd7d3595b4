package socketbridge_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// newSites creates sites with one storage, as the nodes of an app have.
func newSites(t testing.TB, count int, url string, o options, mount func(s *site)) []*site {
	t.Helper()
	o.sessions.Timeouts.Storage = 20 * time.Second // 24 writers of one session on a slow machine
	if url == "memory://" {
		st := memory.New()
		t.Cleanup(func() { _ = st.Close() })
		o.sessions.Storage = st
	} else {
		o.storage = url // each site opens its own connections
	}
	all := make([]*site, count)
	for i := range all {
		all[i] = newSite(t, o)
		mount(all[i])
		all[i].serve()
	}
	return all
}

// onTwoNodes runs a test with two nodes on each storage, strict and tracked.
func onTwoNodes(t *testing.T, o options, mount func(s *site), test func(t *testing.T, n *nodetest.Node, a, b *site)) {
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for name, f := range map[string]fibersession.Freshness{"strict": fibersession.Strict, "tracked": fibersession.Tracked} {
			t.Run(name, func(t *testing.T) {
				o := o
				o.bridge.Freshness = f
				s := newSites(t, 2, url, o, mount)
				test(t, n, s[0], s[1])
			})
		}
	})
}

// newNodes creates servers linked in memory. Each has the namespace /chat.
func newNodes(t testing.TB, count int, cfg socketbridge.Config) []*socketbridge.Server {
	t.Helper()
	hub := adapter.NewMemory()
	nodes := make([]*socketbridge.Server, count)
	for i := range nodes {
		cfg.Adapter = hub.Join()
		nodes[i] = newServer(t, cfg)
		nodes[i].Of("/chat")
	}
	waitForLinks(t, nodes...)
	return nodes
}

// waitForLinks waits until all nodes have discovered each other.
func waitForLinks(t testing.TB, nodes ...*socketbridge.Server) {
	t.Helper()
	for _, n := range nodes {
		waitFor(t, "the nodes to discover each other", func() bool {
			got, err := n.Nodes(context.Background())
			return err == nil && got == len(nodes)
		})
	}
}

// joinEachNode connects one peer to each node. The peer joins the room "all" and the room named
// by the number of its node.
func joinEachNode(t testing.TB, nodes []*socketbridge.Server) []*peer {
	t.Helper()
	peers := make([]*peer, len(nodes))
	for i, n := range nodes {
		joined := make(chan error, 1)
		n.OnConnection(func(s *socketbridge.Socket) {
			joined <- s.Join(fmt.Sprint(i), "all")
		})
		peers[i] = join(t, n, "/")
		if err := <-joined; err != nil {
			t.Fatal(err)
		}
	}
	return peers
}
