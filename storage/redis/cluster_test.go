package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// node is one server of a cluster, and a plain client of it.
type node struct {
	*storagetest.RedisServer
	*goredis.Client
	id string
}

// newCluster starts three masters and shares the slots among them.
func newCluster(t *testing.T) []*node {
	t.Helper()
	nodes := make([]*node, 3)
	buses := make([]string, len(nodes))
	for i := range nodes {
		buses[i] = freePort(t) // the default is the port + 10,000, which may not exist
		server := storagetest.Redis(t, "--cluster-enabled", "yes", "--cluster-port", buses[i])
		client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
		t.Cleanup(func() { _ = client.Close() })
		nodes[i] = &node{RedisServer: server, Client: client}
	}
	ctx := t.Context()
	const slots = 16384
	for i, n := range nodes {
		must(t, n.Do(ctx, "cluster", "addslotsrange", i*slots/3, (i+1)*slots/3-1))
		n.id, _ = n.Do(ctx, "cluster", "myid").Text()
		host, port, _ := net.SplitHostPort(n.RedisServer.Addr())
		for _, other := range nodes {
			must(t, other.Do(ctx, "cluster", "meet", host, port, buses[i]))
		}
	}
	for _, n := range nodes {
		wait(t, "the cluster forms", func() bool {
			info := n.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") &&
				strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return nodes
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func must(t *testing.T, cmd *goredis.Cmd) {
	t.Helper()
	if err := cmd.Err(); err != nil {
		t.Fatalf("%v: %v", cmd.Args(), err)
	}
}

// wait waits until done holds; what it waits for takes the servers some seconds.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: did not happen", what)
		case <-tick.C:
		}
	}
}

func clusterURL(nodes []*node) string {
	addrs := make([]string, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.RedisServer.Addr()
	}
	return "redis-cluster://" + strings.Join(addrs, ",")
}

func TestSuiteOnCluster(t *testing.T) {
	storagetest.Run(t, opener(clusterURL(newCluster(t)), "app:"))
}

// While slots move from node to node, no increment is lost or done twice.
func TestClusterFollowsMovedSlots(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t)
	s := open(t, clusterURL(nodes[:1])) // one address is enough to find the others
	ctx := t.Context()
	const key = "n"
	slot, err := nodes[0].ClusterKeySlot(ctx, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	from := nodes[int(slot)*3/16384]
	to := nodes[(int(slot)*3/16384+1)%3]

	stop := make(chan struct{})
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { // waited for below
			for {
				select {
				case <-stop:
					return
				default:
				}
				item, err := s.Load(ctx, key)
				if err != nil && !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("Load: %v", err)
					return
				}
				n, _ := strconv.Atoi(string(item.Value))
				_, err = s.CompareAndSwap(ctx, key, item.Revision, []byte(strconv.Itoa(n+1)), 0)
				switch {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, storage.ErrConflict):
					t.Errorf("CompareAndSwap: %v", err)
					return
				}
			}
		})
	}
	progress := func(what string) {
		before := done.Load()
		wait(t, what, func() bool { return done.Load() > before+20 || t.Failed() })
	}
	progress("the first increments")
	for range 3 {
		must(t, to.Do(ctx, "cluster", "setslot", slot, "importing", from.id))
		must(t, from.Do(ctx, "cluster", "setslot", slot, "migrating", to.id))
		progress("increments while the slot is about to move")
		_, port, _ := net.SplitHostPort(to.RedisServer.Addr())
		must(t, from.Do(ctx, "migrate", "127.0.0.1", port, key, 0, 5000))
		progress("increments by way of ASK") // the key has moved, its slot has not
		must(t, to.Do(ctx, "cluster", "setslot", slot, "node", to.id))
		must(t, from.Do(ctx, "cluster", "setslot", slot, "node", to.id))
		progress("increments by way of MOVED")
		from, to = to, from
	}
	close(stop)
	wg.Wait()
	item, err := s.Load(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(item.Value), fmt.Sprint(done.Load()); got != want {
		t.Errorf("%s increments, want %s", got, want)
	}
}

// A master fails, the Sentinel promotes its replica, and the storage and its feed
// go on there.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := storagetest.Redis(t)
	host, port, _ := net.SplitHostPort(master.Addr())
	replica := storagetest.Redis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := "sentinel monitor mymaster " + host + " " + port + " 1\n" +
		"sentinel down-after-milliseconds mymaster 200\n" +
		"sentinel failover-timeout mymaster 2000\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := storagetest.RedisSentinel(t, conf)
	admin := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel.Addr()})
	defer admin.Close()
	wait(t, "the Sentinel finds the replica", func() bool {
		replicas, err := admin.Replicas(t.Context(), "mymaster").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
	})

	s := open(t, "redis-sentinel://"+sentinel.Addr()+"/0?master=mymaster")
	told := make(chan storage.Change, 1000)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { told <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("k", []byte("before"), 0); err != nil {
		t.Fatal(err)
	}
	other := goredis.NewClient(&goredis.Options{Addr: replica.Addr()})
	defer other.Close()
	wait(t, "the replica has it", func() bool { return other.Get(t.Context(), "k").Val() == "before" })

	master.Kill()
	wait(t, "writes work on the promoted replica", func() bool {
		err := s.Set("k", []byte("after"), 0)
		if err != nil && !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("during the failover: %v", err)
		}
		return err == nil
	})
	if got := other.Get(t.Context(), "k").Val(); got != "after" {
		t.Errorf("the replica has %q, want after", got)
	}
	wait(t, "the feed is back", func() bool {
		_ = s.Set("k", []byte("heard"), 0)
		for {
			select {
			case c := <-told:
				if string(c.Item.Value) == "heard" {
					return true
				}
			default:
				return false
			}
		}
	})
}
