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

// site is two nodes on one Redis: a cluster of adapters of each kind that broadcasts all
// the time, and a session that one node watches and the other changes.
type site struct {
	t        *testing.T
	traffics map[string]*traffic
	watched  *fibersession.Handle
	changed  *fibersession.Handle
	pause    func()
}

// newSite begins with all that; everything of one key and of the storage's prefix is in
// one slot of a cluster.
func newSite(t *testing.T, url, prefix string) *site {
	t.Helper()
	s := &site{t: t, traffics: make(map[string]*traffic)}
	for name, mode := range kinds {
		s.traffics[name] = newTraffic(t, redisadapter.Config{Mode: mode, Key: prefix + name}, url, url)
	}
	storePrefix := "?prefix="
	if strings.Contains(url, "?") {
		storePrefix = "&prefix="
	}
	a, b := sessions(t, url+storePrefix+prefix), sessions(t, url+storePrefix+prefix)
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
	go func() { // pause waits for done
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_, _ = s.changed.Incr(context.Background(), "n", 1) // progress looks whether any succeed
			}
		}
	}()
	s.pause = sync.OnceFunc(func() {
		close(stop)
		<-done
	})
	t.Cleanup(s.pause)
	for _, tr := range s.traffics {
		tr.begin()
	}
	return s
}

// sessions is a store that asks nobody what it has not been told.
func sessions(t *testing.T, url string) *fibersession.Store {
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

// progress waits until everybody hears everybody, and the session's watcher of a change
// that was made after this began. It returns from where on the messages were sent.
func (s *site) progress(what string) (marks map[string][]int) {
	s.t.Helper()
	began := time.Now()
	var took []string
	marks = make(map[string][]int)
	for name, tr := range s.traffics {
		tr.progress(what + ": " + name)
		marks[name] = tr.mark()
		took = append(took, name+" "+time.Since(began).Round(time.Millisecond).String())
	}
	var n int
	wait(s.t, what+": the session changes", func() string {
		var err error
		n, err = s.changed.Incr(s.t.Context(), "n", 1)
		return errText(err)
	})
	wait(s.t, what+": the session's watcher is told", func() string {
		if got := fibersession.Value[int](s.watched, "n"); got < n {
			return fmt.Sprint(got, " of ", n)
		}
		return ""
	})
	s.t.Logf("%s: %s, the session %v", what, strings.Join(took, ", "), time.Since(began).Round(time.Millisecond))
	return marks
}

// end checks what was heard. All of a stream must have come from the marks on.
func (s *site) end(marks map[string][]int) {
	s.t.Helper()
	s.pause()
	for name, tr := range s.traffics {
		tr.end()
		s.t.Log(name)
		tr.check(marks[name])
	}
}

// A master fails, and the Sentinels put its replica in its place, while two nodes
// broadcast and change a session: they follow. What was written to the master last may
// be lost with it.
func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*redistest.Server){
		"killed":       (*redistest.Server).Kill,
		"stands still": (*redistest.Server).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := redistest.StartFailover(t)
			s := newSite(t, f.URL(), "app:")
			s.progress("before")
			f.WaitForReplication() // else the session itself may be lost
			fail(f.Master)
			f.Replica.WaitForMaster()
			marks := s.progress("after it")
			if name == "stands still" {
				f.Master.Resume() // and is made the other's replica
				s.progress("when it is back")
			}
			s.end(marks)
		})
	}
}

// A master of a Redis Cluster gives way to its replica, and later fails, while two nodes
// broadcast and change a session.
func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, "--cluster-node-timeout", "3000")
	_, i := cluster.Slot("{app}")
	master := cluster.Masters[i]
	replica := cluster.AddReplica(master, "--cluster-node-timeout", "3000")
	url := "redis-cluster://" + cluster.Masters[(i+1)%3].Addr()
	s := newSite(t, url, "{app}")
	s.progress("before")
	replica.Do("cluster", "failover")
	replica.WaitForMaster()
	s.progress("after it")
	master.WaitForReplica()
	replica.Kill()
	master.WaitForMaster()
	s.end(s.progress("after the replica's end"))
}

// Slots of a Redis Cluster move from master to master while nodes broadcast: a stream
// loses nothing and brings nothing twice, and channels are subscribed to where they are.
func TestClusterSlotsMove(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	for name, mode := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "{" + name + "}"
			slot, i := cluster.Slot(key)
			from, to := cluster.Masters[i], cluster.Masters[(i+1)%3]
			tr := newTraffic(t, redisadapter.Config{Mode: mode, Key: key}, cluster.URL(), cluster.URL())
			tr.begin()
			tr.progress("before")
			for range 3 {
				cluster.BeginMigration(slot, from, to)
				tr.progress("while it is about to move")
				if mode == redisadapter.Streams {
					host, port, _ := net.SplitHostPort(to.Addr())
					from.Do("migrate", host, port, key, "0", "5000")
					tr.progress("when the stream has moved, and the slot has not")
				}
				cluster.EndMigration(slot, from, to)
				t.Logf("all heard each other %v after a slot moved", tr.progress("after it"))
				from, to = to, from
			}
			tr.end()
			tr.check(make([]int, 2))
		})
	}
}

// A channel that moves takes nothing along from other channels of its connection.
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
	tr := newTraffic(t, redisadapter.Config{Mode: redisadapter.Sharded, Key: "app"}, cluster.URL(), cluster.URL())
	for _, w := range tr.talkers {
		w.Adapter.(adapter.RoomWatcher).RoomOpened("/", room, false)
	}
	n := 0
	reach := func() {
		t.Helper()
		wait(t, "the room is heard", func() string {
			n++
			text := fmt.Sprint("room ", n)
			err := tr.talkers[0].Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{room}, Payload: adapter.Payload{JSON: fmt.Appendf(nil, `["%s"]`, text)}})
			time.Sleep(5 * time.Millisecond) // no word of what is not heard
			tr.talkers[1].mu.Lock()
			defer tr.talkers[1].mu.Unlock()
			if !slices.Contains(tr.talkers[1].heard, text) {
				return "nothing came: " + errText(err)
			}
			return ""
		})
	}
	reach()
	tr.begin()
	from, to := cluster.Masters[home], cluster.Masters[(home+1)%3]
	for range 6 {
		cluster.BeginMigration(slot, from, to)
		cluster.EndMigration(slot, from, to)
		tr.progress("the others")
		reach()
		from, to = to, from
	}
	tr.end()
	tr.complete = true
	tr.check(make([]int, 2))
}

// A message whose answer is lost is of unknown outcome, and is not sent again.
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
		m.WaitFor("all are known by their other addresses", func(answer string) bool {
			return !slices.ContainsFunc(cluster.Addrs(), func(addr string) bool { return strings.Contains(answer, addr+"@") })
		}, "cluster", "nodes")
	}
	url := "redis-cluster://" + networks[0].Addr()
	for name, mode := range kinds {
		t.Run(name, func(t *testing.T) {
			key := "{" + name + "}"
			_, i := cluster.Slot(key)
			tr := newTraffic(t, redisadapter.Config{Mode: mode, Key: key}, url, url)
			a, b := tr.talkers[0], tr.talkers[1]
			tr.begin()
			tr.progress("before")
			tr.pause()
			networks[i].DropReply(fmt.Sprintf("%d %d", a.number, a.next))
			n := a.next
			a.talk(t)
			if a.fates[n] != "unknown" {
				t.Errorf("it is %s", a.fates[n])
			}
			tr.end()
			tr.check(make([]int, 2))
			if all := b.numbers(0); mode == redisadapter.Streams && !slices.Contains(all, n) {
				t.Errorf("it was not sent: the test shows nothing: %v", all)
			}
		})
	}
}
