package storagetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// groupTimeout bounds how long servers may take to find each other.
const groupTimeout = time.Minute

// Do sends the server a command, by redis-cli, and returns what it answers. A refusal
// fails the test.
func (s *RedisServer) Do(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("redis-cli %v: %v %s", args, err, out)
	}
	return out
}

func (s *RedisServer) try(args ...string) (string, error) {
	out, err := exec.Command("redis-cli", append([]string{"-e", "-p", strconv.Itoa(s.port)}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Await waits until the server's answer to a command is as wanted. Refusals and broken
// connections are none.
func (s *RedisServer) Await(what string, wanted func(answer string) bool, args ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(groupTimeout); ; time.Sleep(20 * time.Millisecond) {
		out, err := s.try(args...)
		if err == nil && wanted(out) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: did not happen: %v %s", what, err, out)
		}
	}
}

// AwaitMaster waits until the server is a master.
func (s *RedisServer) AwaitMaster() {
	s.t.Helper()
	s.Await("it becomes a master", func(answer string) bool { return strings.HasPrefix(answer, "master") }, "role")
}

// AwaitReplica waits until the server is a replica that has what its master has.
func (s *RedisServer) AwaitReplica() {
	s.t.Helper()
	s.Await("it is a replica", func(answer string) bool { return strings.Contains(answer, "master_link_status:up") }, "info", "replication")
}

// RedisFailover is a master, its replica, and a Sentinel that puts the one in the place
// of the other.
type RedisFailover struct {
	Master, Replica, Sentinel *RedisServer
}

// Failover starts a RedisFailover, as Redis does. A master that says nothing for 200 ms
// is replaced.
func Failover(t testing.TB) *RedisFailover {
	t.Helper()
	f := &RedisFailover{Master: Redis(t)}
	host, port, _ := net.SplitHostPort(f.Master.Addr())
	f.Replica = Redis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := "sentinel monitor m " + host + " " + port + " 1\n" +
		"sentinel down-after-milliseconds m 200\n" +
		"sentinel failover-timeout m 2000\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Sentinel = RedisSentinel(t, conf)
	f.Sentinel.Await("the Sentinel finds the replica", func(answer string) bool {
		return strings.Contains(answer, "master-link-status\nok")
	}, "sentinel", "replicas", "m")
	return f
}

// URL is what storage.Open takes.
func (f *RedisFailover) URL() string { return "redis-sentinel://" + f.Sentinel.Addr() + "/0?master=m" }

// Replicated waits until the replica has all that the master has at present: a master
// passes on what is written in its order.
func (f *RedisFailover) Replicated() {
	f.Master.t.Helper()
	const mark = "storagetest:mark"
	f.Master.Do("incr", mark)
	f.Replica.Await("the replica has all of it", func(answer string) bool { return answer == "1" }, "get", mark)
	f.Master.Do("del", mark)
}

// slots is how many there are in a cluster.
const slots = 16384

// RedisCluster is a Redis Cluster, whose masters share the slots.
type RedisCluster struct {
	t       testing.TB
	Masters []*RedisServer
}

// Cluster starts a RedisCluster of three masters, as Redis does. Args are further
// arguments of each.
func Cluster(t testing.TB, args ...string) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t}
	for range 3 {
		c.Masters = append(c.Masters, c.start(args...))
	}
	for i, m := range c.Masters {
		n := len(c.Masters)
		m.Do("cluster", "addslotsrange", strconv.Itoa(i*slots/n), strconv.Itoa((i+1)*slots/n-1))
		c.meet(m)
	}
	c.formed(len(c.Masters))
	return c
}

// start starts a server that is in no cluster yet. Its bus has a port of its own: the
// default, the port + 10,000, may not exist.
func (c *RedisCluster) start(args ...string) *RedisServer {
	c.t.Helper()
	return Redis(c.t, append([]string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(FreePort(c.t))}, args...)...)
}

// meet makes the masters known to a server.
func (c *RedisCluster) meet(s *RedisServer) {
	c.t.Helper()
	for _, m := range c.Masters {
		host, port, _ := net.SplitHostPort(m.Addr())
		s.Do("cluster", "meet", host, port, m.Do("config", "get", "cluster-port")[len("cluster-port\n"):])
	}
}

// formed waits until so many servers know of each other.
func (c *RedisCluster) formed(count int) {
	c.t.Helper()
	for _, m := range c.Masters {
		m.Await("the cluster forms", func(answer string) bool {
			return strings.Contains(answer, "cluster_state:ok") && strings.Contains(answer, "cluster_slots_ok:16384") &&
				strings.Contains(answer, fmt.Sprintf("cluster_known_nodes:%d\r", count))
		}, "cluster", "info")
	}
}

// URL is what storage.Open takes. It names one server, which is enough to find the
// others.
func (c *RedisCluster) URL() string { return "redis-cluster://" + c.Masters[0].Addr() }

// Addrs are the masters' "host:port".
func (c *RedisCluster) Addrs() []string {
	addrs := make([]string, len(c.Masters))
	for i, m := range c.Masters {
		addrs[i] = m.Addr()
	}
	return addrs
}

// Slot returns the slot of a key or channel, and which master had it at first.
func (c *RedisCluster) Slot(key string) (slot string, master int) {
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

// Migrating begins to move a slot from one master to another: what it has is still to be
// moved, by MIGRATE.
func (c *RedisCluster) Migrating(slot string, from, to *RedisServer) {
	c.t.Helper()
	to.Do("cluster", "setslot", slot, "importing", from.Do("cluster", "myid"))
	from.Do("cluster", "setslot", slot, "migrating", to.Do("cluster", "myid"))
}

// Migrated ends it.
func (c *RedisCluster) Migrated(slot string, from, to *RedisServer) {
	c.t.Helper()
	id := to.Do("cluster", "myid")
	to.Do("cluster", "setslot", slot, "node", id)
	from.Do("cluster", "setslot", slot, "node", id)
}

// Replica starts a replica of one of the masters, and waits until it has what that has.
func (c *RedisCluster) Replica(of *RedisServer, args ...string) *RedisServer {
	c.t.Helper()
	id := of.Do("cluster", "myid")
	s := c.start(append([]string{"--repl-diskless-sync-delay", "0"}, args...)...)
	c.meet(s)
	s.Await("it knows its master", func(answer string) bool { return strings.Contains(answer, id) }, "cluster", "nodes")
	s.Do("cluster", "replicate", id)
	c.formed(len(c.Masters) + 1)
	s.AwaitReplica()
	return s
}
