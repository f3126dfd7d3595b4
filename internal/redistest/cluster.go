package redistest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

// slots is the number of hash slots of a Redis Cluster.
const slots = 16384

// Cluster is a Redis Cluster whose masters share the hash slots evenly.
type Cluster struct {
	t       testing.TB
	Masters []*Server
}

// StartCluster starts a Cluster of three masters as Start starts a server. Args are
// further arguments of each.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range 3 {
		c.Masters = append(c.Masters, c.start(args...))
	}
	for i, m := range c.Masters {
		n := len(c.Masters)
		m.Do("cluster", "addslotsrange", strconv.Itoa(i*slots/n), strconv.Itoa((i+1)*slots/n-1))
		c.join(m)
	}
	c.waitForNodes(len(c.Masters))
	return c
}

// start starts a server that has not joined a cluster yet. It gets its own bus port
// because the default, the port + 10,000, can be above 65,535.
func (c *Cluster) start(args ...string) *Server {
	c.t.Helper()
	return Start(c.t, append([]string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(FreePort(c.t))}, args...)...)
}

// join makes the masters known to s.
func (c *Cluster) join(s *Server) {
	c.t.Helper()
	for _, m := range c.Masters {
		host, port, _ := net.SplitHostPort(m.Addr())
		s.Do("cluster", "meet", host, port, m.Do("config", "get", "cluster-port")[len("cluster-port\n"):])
	}
}

// waitForNodes waits until every master knows count nodes and all slots are served.
func (c *Cluster) waitForNodes(count int) {
	c.t.Helper()
	for _, m := range c.Masters {
		m.WaitFor("the cluster has formed", func(reply string) bool {
			return strings.Contains(reply, "cluster_state:ok") && strings.Contains(reply, "cluster_slots_ok:16384") &&
				strings.Contains(reply, fmt.Sprintf("cluster_known_nodes:%d\r", count))
		}, "cluster", "info")
	}
}

// URL returns the URL for storage.Open. It names the first master; a client
// discovers the other nodes from it.
func (c *Cluster) URL() string { return "redis-cluster://" + c.Masters[0].Addr() }

// Addrs returns the masters' "host:port".
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Masters))
	for i, m := range c.Masters {
		addrs[i] = m.Addr()
	}
	return addrs
}

// Slot returns the hash slot of a key or channel, and the index in Masters of the
// server that owned the slot when the cluster started.
func (c *Cluster) Slot(key string) (slot string, master int) {
	c.t.Helper()
	slot = c.Masters[0].Do("cluster", "keyslot", key)
	n, err := strconv.Atoi(slot)
	if err != nil {
		c.t.Fatal(err)
	}
	for master = range c.Masters {
		if n < (master+1)*slots/len(c.Masters) {
			break
		}
	}
	return slot, master
}

// BeginMigration marks a slot as migrating from one master to another. It moves no
// keys; the test does that with MIGRATE.
func (c *Cluster) BeginMigration(slot string, from, to *Server) {
	c.t.Helper()
	to.Do("cluster", "setslot", slot, "importing", from.Do("cluster", "myid"))
	from.Do("cluster", "setslot", slot, "migrating", to.Do("cluster", "myid"))
}

// EndMigration assigns the slot to the master it was migrating to.
func (c *Cluster) EndMigration(slot string, from, to *Server) {
	c.t.Helper()
	id := to.Do("cluster", "myid")
	to.Do("cluster", "setslot", slot, "node", id)
	from.Do("cluster", "setslot", slot, "node", id)
}

// AddReplica starts a replica of a master, and waits until it is in sync.
func (c *Cluster) AddReplica(master *Server, args ...string) *Server {
	c.t.Helper()
	id := master.Do("cluster", "myid")
	s := c.start(append([]string{"--repl-diskless-sync-delay", "0"}, args...)...)
	c.join(s)
	s.WaitFor("the replica knows its master", func(reply string) bool { return strings.Contains(reply, id) }, "cluster", "nodes")
	s.Do("cluster", "replicate", id)
	c.waitForNodes(len(c.Masters) + 1)
	s.WaitForReplica()
	return s
}
