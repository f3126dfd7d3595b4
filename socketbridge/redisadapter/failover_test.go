package redisadapter_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

// failoverSetup is the workload during a failover: for each mode family a cluster of two
// nodes that broadcast all the time, and a session that one store watches and another one
// changes all the time.
type failoverSetup struct {
	t           *testing.T
	loads       map[string]*load
	watched     *fibersession.Handle
	changed     *fibersession.Handle
	stopChanges func()
}

// newFailoverSetup starts the workload. On a Redis Cluster, the prefix can put all its keys
// and channels into one slot.
func newFailoverSetup(t *testing.T, url, prefix string) *failoverSetup {
	t.Helper()
	s := &failoverSetup{t: t, loads: make(map[string]*load)}
	for name, mode := range modeFamilies {
		s.loads[name] = newLoad(t, redisadapter.Config{Mode: mode, Key: prefix + name}, url, url)
	}
	storePrefix := "?prefix="
	if strings.Contains(url, "?") {
		storePrefix = "&prefix="
	}
	a, b := newStore(t, url+storePrefix+prefix), newStore(t, url+storePrefix+prefix)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/", func(c *fiber.Ctx) (err error) {
		s.watched, err = a.Lift(c)
		return err
	})
	if res, err := app.Test(httptest.NewRequest("GET", "/", nil), -1); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	t.Cleanup(s.watched.Release)
	t.Cleanup(s.watched.Watch(func(fibersession.Event) {}))
	if _, err := s.watched.Incr(t.Context(), "n", 1); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.changed, err = b.GetByID(t.Context(), s.watched.ID()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.changed.Release)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // stopChanges waits for done
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_, _ = s.changed.Incr(context.Background(), "n", 1) // may fail; waitForProgress checks that changes succeed again
			}
		}
	}()
	s.stopChanges = sync.OnceFunc(func() {
		close(stop)
		<-done
	})
	t.Cleanup(s.stopChanges)
	for _, l := range s.loads {
		l.start()
	}
	return s
}

// newStore returns a store that relies on notifications: it does not recheck sessions.
func newStore(t *testing.T, url string) *fibersession.Store {
	t.Helper()
	st := storage.MustOpen(url)
	store := fibersession.New(fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: 5 * time.Second}, Tracking: fibersession.Tracking{Recheck: -1}})
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		_ = st.Close()
	})
	return store
}

// waitForProgress waits until all nodes receive from each other, and until the session's
// watcher has seen a change that was made after the call. It returns the number of each
// node's next message.
func (s *failoverSetup) waitForProgress(phase string) (marks map[string][]int) {
	s.t.Helper()
	began := time.Now()
	var took []string
	marks = make(map[string][]int)
	for name, l := range s.loads {
		l.waitForProgress(phase + ": " + name)
		marks[name] = l.nextNumbers()
		took = append(took, name+" "+time.Since(began).Round(time.Millisecond).String())
	}
	var n int
	waitFor(s.t, phase+": the session can be changed", func() string {
		var err error
		n, err = s.changed.Incr(s.t.Context(), "n", 1)
		return errText(err)
	})
	waitFor(s.t, phase+": the watcher has the change", func() string {
		if got, err := fibersession.Value[int](s.watched, "n"); err != nil || got < n {
			return fmt.Sprint("it has ", got, " of ", n)
		}
		return ""
	})
	s.t.Logf("%s: %s, session %v", phase, strings.Join(took, ", "), time.Since(began).Round(time.Millisecond))
	return marks
}

// finish stops the workload and checks what was received; see load.check for the marks.
func (s *failoverSetup) finish(marks map[string][]int) {
	s.t.Helper()
	s.stopChanges()
	for name, l := range s.loads {
		l.drain()
		s.t.Log(name)
		l.check(marks[name])
	}
}

// A master fails and the Sentinel promotes its replica, while two nodes broadcast and change
// a session. Both follow to the new master. Writes that the old master had not replicated
// may be lost, so messages are checked from the failover on.
func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*redistest.Server){
		"killed": (*redistest.Server).Kill,
		"paused": (*redistest.Server).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := redistest.StartFailover(t)
			s := newFailoverSetup(t, f.URL(), "app:")
			s.waitForProgress("before the failover")
			f.WaitForReplication() // otherwise the session itself could be lost
			fail(f.Master)
			f.Replica.WaitForMaster()
			marks := s.waitForProgress("after the failover")
			if name == "paused" {
				f.Master.Resume() // the Sentinel makes it a replica of the new master
				s.waitForProgress("after the old master is back")
			}
			s.finish(marks)
		})
	}
}

// A master of a Redis Cluster hands its slots to a replica and later gets them back when the
// replica fails, while two nodes broadcast and change a session.
func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, "--cluster-node-timeout", "3000")
	_, i := cluster.Slot("{app}")
	master := cluster.Masters[i]
	replica := cluster.AddReplica(master, "--cluster-node-timeout", "3000")
	url := "redis-cluster://" + cluster.Masters[(i+1)%3].Addr()
	s := newFailoverSetup(t, url, "{app}")
	s.waitForProgress("before the failover")
	replica.Do("cluster", "failover")
	replica.WaitForMaster()
	s.waitForProgress("after the failover")
	master.WaitForReplica()
	replica.Kill()
	master.WaitForMaster()
	s.finish(s.waitForProgress("after the replica has failed"))
}

// Slots of a Redis Cluster move between masters while nodes broadcast. A stream loses no
// message and delivers none twice, and subscriptions follow their channels.
func TestClusterSlotsMove(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	for name, mode := range modeFamilies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "{" + name + "}"
			slot, i := cluster.Slot(key)
			from, to := cluster.Masters[i], cluster.Masters[(i+1)%3]
			l := newLoad(t, redisadapter.Config{Mode: mode, Key: key}, cluster.URL(), cluster.URL())
			l.start()
			l.waitForProgress("before")
			for range 3 {
				cluster.BeginMigration(slot, from, to)
				l.waitForProgress("while the slot is migrating")
				if mode == redisadapter.Streams {
					host, port, _ := net.SplitHostPort(to.Addr())
					from.Do("migrate", host, port, key, "0", "5000")
					l.waitForProgress("after the stream has moved, before the slot has")
				}
				cluster.EndMigration(slot, from, to)
				t.Logf("all nodes received from each other %v after the slot moved", l.waitForProgress("after the slot has moved"))
				from, to = to, from
			}
			l.drain()
			l.check(make([]int, 2))
		})
	}
}

// When the slot of a channel moves, the other channels of its connection lose no message.
func TestClusterOtherChannelsStay(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	_, home := cluster.Slot("app#/#")
	var room, slot string
	for n := 0; room == ""; n++ {
		name := fmt.Sprint("room ", n)
		if s, i := cluster.Slot("app#/#" + name + "#"); i == home {
			room, slot = name, s
		}
	}
	l := newLoad(t, redisadapter.Config{Mode: redisadapter.Sharded, Key: "app"}, cluster.URL(), cluster.URL())
	for _, n := range l.nodes {
		n.Adapter.(adapter.RoomWatcher).RoomOpened("/", room, false)
	}
	n := 0
	waitForRoom := func() {
		t.Helper()
		waitFor(t, "broadcasts to the room arrive", func() string {
			n++
			text := fmt.Sprint("room ", n)
			err := l.nodes[0].Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{room}, Payload: adapter.Payload{JSON: fmt.Appendf(nil, `["%s"]`, text)}})
			time.Sleep(5 * time.Millisecond) // nothing tells the sender whether the message arrives
			l.nodes[1].mu.Lock()
			defer l.nodes[1].mu.Unlock()
			if !slices.Contains(l.nodes[1].received, text) {
				return "nothing arrived: " + errText(err)
			}
			return ""
		})
	}
	waitForRoom()
	l.start()
	from, to := cluster.Masters[home], cluster.Masters[(home+1)%3]
	for range 6 {
		cluster.BeginMigration(slot, from, to)
		cluster.EndMigration(slot, from, to)
		l.waitForProgress("the other channels")
		waitForRoom()
		from, to = to, from
	}
	l.drain()
	l.lossless = true
	l.check(make([]int, 2))
}

// If the reply of Redis to a message is lost, the outcome is unknown and the message is not
// sent again.
func TestClusterLosesAnAnswer(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	var networks []*redistest.Proxy
	for _, m := range cluster.Masters {
		p := redistest.NewProxy(t, m.Addr())
		networks = append(networks, p)
		_, port, _ := net.SplitHostPort(p.Addr())
		m.Do("config", "set", "cluster-announce-port", port)
	}
	for _, m := range cluster.Masters {
		m.WaitFor("all nodes are known by their proxies' addresses", func(reply string) bool {
			return !slices.ContainsFunc(cluster.Addrs(), func(addr string) bool { return strings.Contains(reply, addr+"@") })
		}, "cluster", "nodes")
	}
	url := "redis-cluster://" + networks[0].Addr()
	for name, mode := range modeFamilies {
		t.Run(name, func(t *testing.T) {
			key := "{" + name + "}"
			_, i := cluster.Slot(key)
			l := newLoad(t, redisadapter.Config{Mode: mode, Key: key}, url, url)
			a, b := l.nodes[0], l.nodes[1]
			l.start()
			l.waitForProgress("before")
			l.stop()
			networks[i].DropReply(fmt.Sprintf("%d %d", a.index, a.next))
			n := a.next
			a.send(t)
			if a.outcomes[n] != outcomeUnknown {
				t.Errorf("the outcome is %q, want %q", a.outcomes[n], outcomeUnknown)
			}
			l.drain()
			l.check(make([]int, 2))
			if all := b.receivedFrom(0); mode == redisadapter.Streams && !slices.Contains(all, n) {
				t.Errorf("the message was not executed, so the test proves nothing: node 1 received %v", all)
			}
		})
	}
}
