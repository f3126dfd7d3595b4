package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

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

func TestSuiteOnCluster(t *testing.T) {
	storagetest.Run(t, opener(redistest.StartCluster(t).URL(), "app:"))
}

// While slots move from node to node, no increment is lost or done twice.
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
	progress := func(what string) {
		before := done.Load()
		wait(t, what, func() bool { return done.Load() > before+20 || t.Failed() })
	}
	progress("the first increments")
	for range 3 {
		cluster.BeginMigration(slot, from, to)
		progress("increments while the slot is about to move")
		host, port, _ := net.SplitHostPort(to.Addr())
		from.Do("migrate", host, port, key, "0", "5000")
		progress("increments by way of ASK") // the key has moved, its slot has not
		cluster.EndMigration(slot, from, to)
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
	f := redistest.StartFailover(t)
	s := open(t, f.URL())
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
	f.WaitForReplication()

	f.Master.Kill()
	wait(t, "writes work on the promoted replica", func() bool {
		err := s.Set("k", []byte("after"), 0)
		if err != nil && !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("during the failover: %v", err)
		}
		return err == nil
	})
	if got := f.Replica.Do("get", "k"); got != "after" {
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
