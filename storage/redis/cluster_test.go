package redis_test

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestSuiteOnCluster(t *testing.T) {
	storagetest.Run(t, opener(redistest.StartCluster(t).URL(), "app:"))
}

// While slots move between nodes, no increment is lost or executed twice.
func TestClusterFollowsMovedSlots(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := open(t, cluster.URL())
	ctx := t.Context()
	const key = "n"
	slot, i := cluster.Slot(key)
	from, to := cluster.Masters[i], cluster.Masters[(i+1)%len(cluster.Masters)]

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
	waitForProgress := func(when string) {
		before := done.Load()
		waitFor(t, "increments progress "+when, func() bool { return done.Load() > before+20 || t.Failed() })
	}
	waitForProgress("before the migration")
	for range 3 {
		cluster.BeginMigration(slot, from, to)
		waitForProgress("while the slot is migrating")
		host, port, _ := net.SplitHostPort(to.Addr())
		from.Do("migrate", host, port, key, "0", "5000")
		waitForProgress("with ASK") // the key has moved, its slot has not
		cluster.EndMigration(slot, from, to)
		waitForProgress("with MOVED")
		from, to = to, from
	}
	close(stop)
	wg.Wait()
	item, err := s.Load(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(item.Value), fmt.Sprint(done.Load()); got != want {
		t.Errorf("the counter is %s, want %s", got, want)
	}
}

// After a Sentinel failover, the storage and its feed work on the promoted replica.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	f := redistest.StartFailover(t)
	s := open(t, f.URL())
	changes := make(chan storage.Change, 1000)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { changes <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("k", []byte("before"), 0); err != nil {
		t.Fatal(err)
	}
	f.WaitForReplication()

	f.Master.Kill()
	waitFor(t, "writes succeed on the promoted replica", func() bool {
		err := s.Set("k", []byte("after"), 0)
		if err != nil && !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("Set during the failover: %v, want ErrUnavailable or ErrUnknownOutcome", err)
		}
		return err == nil
	})
	if got := f.Replica.Do("get", "k"); got != "after" {
		t.Errorf("the replica's value is %q, want after", got)
	}
	waitFor(t, "the feed reports changes again", func() bool {
		_ = s.Set("k", []byte("new"), 0)
		for {
			select {
			case c := <-changes:
				if string(c.Item.Value) == "new" {
					return true
				}
			default:
				return false
			}
		}
	})
}
