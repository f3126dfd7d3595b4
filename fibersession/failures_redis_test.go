package fibersession_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// incrementLoad increments a counter of each session from several nodes, and counts the
// outcomes by session.
type incrementLoad struct {
	t       testing.TB
	stop    chan struct{}
	wg      sync.WaitGroup
	acked   []atomic.Int64 // by session, like unknown
	unknown []atomic.Int64
	refused atomic.Int64
	total   atomic.Int64 // sum of acked
}

// startIncrements increments the counter of every handle until stopAndCheck.
// handles[node][i] is a node's handle of session i.
func startIncrements(t testing.TB, nodes [][]*fibersession.Handle) *incrementLoad {
	l := &incrementLoad{t: t, acked: make([]atomic.Int64, len(nodes[0])), unknown: make([]atomic.Int64, len(nodes[0]))}
	l.resume(nodes)
	return l
}

func (l *incrementLoad) resume(nodes [][]*fibersession.Handle) {
	l.stop = make(chan struct{})
	for _, handles := range nodes {
		for i, h := range handles {
			l.wg.Go(func() { // stopped by pause
				for {
					select {
					case <-l.stop:
						return
					default:
						l.increment(i, h)
					}
				}
			})
		}
	}
}

func (l *incrementLoad) pause() {
	close(l.stop)
	l.wg.Wait()
}

func (l *incrementLoad) increment(i int, h *fibersession.Handle) {
	_, err := h.Incr(ctx, "n", 1)
	switch {
	case err == nil:
		l.acked[i].Add(1)
		l.total.Add(1)
	case errors.Is(err, fibersession.ErrUnknownOutcome):
		l.unknown[i].Add(1)
	case errors.Is(err, fibersession.ErrUnavailable):
		l.refused.Add(1)
		time.Sleep(time.Millisecond) // a client would pause, too
	default:
		l.t.Errorf("session %d: got %v, want ErrUnavailable or ErrUnknownOutcome", i, err)
		time.Sleep(10 * time.Millisecond)
	}
}

// waitForProgress waits until 200 more increments are acknowledged.
func (l *incrementLoad) waitForProgress(what string) {
	l.t.Helper()
	before := l.total.Load()
	waitFor(l.t, what, func() bool { return l.total.Load() > before+200 || l.t.Failed() })
}

// stopAndCheck stops the load. It fails the test unless each stored counter is at least the
// number of acknowledged increments, and at most that plus those of unknown outcome.
func (l *incrementLoad) stopAndCheck(read *fibersession.Store, ids []string) {
	l.t.Helper()
	l.pause()
	var acked, unknown int64
	for i, id := range ids {
		var h *fibersession.Handle
		waitFor(l.t, "a read of the session", func() (done bool) {
			var err error
			h, err = read.GetByID(ctx, id)
			return err == nil
		})
		got := int64(valueOf[int](h, "n"))
		h.Release()
		low := l.acked[i].Load()
		high := low + l.unknown[i].Load()
		if got < low || got > high {
			l.t.Errorf("session %d: got n = %d, want at least %d (acknowledged) and at most %d more (outcome unknown)", i, got, low, high-low)
		}
		acked, unknown = acked+low, unknown+high-low
	}
	l.t.Logf("%d increments acknowledged, %d of unknown outcome, %d refused", acked, unknown, l.refused.Load())
}

// waitForWatchedCopies waits until the first node's copies, which are only updated by the
// feed, equal what is stored.
func waitForWatchedCopies(t testing.TB, watching []*fibersession.Handle, read *fibersession.Store, ids []string) {
	t.Helper()
	for i, id := range ids {
		h := handleOf(t, read, id)
		waitFor(t, "the watched copy to equal the stored session", func() bool { return watching[i].Get("n") == h.Get("n") })
	}
}

// Redis is killed and restarted under load. No acknowledged increment is lost, and the
// nodes recover without help, their subscriptions included. The test is not parallel, because
// it counts the goroutines of the process.
func TestFault_RedisKilledUnderLoad(t *testing.T) {
	policy := "always" // with everysec the disk decides: see `make faults` and docs/scaling.md
	if p := os.Getenv("FAULTS_APPENDFSYNC"); p != "" {
		policy = p
	}
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", policy)
	url := server.URL()
	stores, handles, ids := startNodes(t, fibersession.Config{}, 4, url, url, url)
	before := runtime.NumGoroutine()
	l := startIncrements(t, handles)
	for range 3 {
		l.waitForProgress("increments under load")
		server.Kill()
		refused, gaps := l.refused.Load(), stores[0].Stats().Gaps
		waitFor(t, "calls to fail", func() bool { return l.refused.Load() > refused+20 })
		server.Restart()
		back, total := time.Now(), l.total.Load()
		waitFor(t, "the first write after the restart", func() bool { return l.total.Load() > total })
		t.Logf("the first write came %v after Redis was back", time.Since(back).Round(time.Millisecond))
		waitFor(t, "a gap, which means that the feed is connected again", func() bool { return stores[0].Stats().Gaps > gaps })
		t.Logf("the feed was back after %v", time.Since(back).Round(time.Millisecond))
	}
	l.waitForProgress("increments after the restarts")
	l.stopAndCheck(stores[1], ids)
	waitForWatchedCopies(t, handles[0], stores[1], ids)
	if gaps := stores[0].Stats().Gaps; gaps < 3 {
		t.Errorf("got %d gaps, want at least 3", gaps)
	}
	waitFor(t, "the goroutines of the failed calls to end", func() bool { return runtime.NumGoroutine() <= before+20 })
}

// The connections between two nodes and Redis break again and again, in the middle of
// calls.
func TestFault_ConnectionsCutUnderLoad(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one, two := redistest.NewProxy(t, server.Addr()), redistest.NewProxy(t, server.Addr())
	stores, handles, ids := startNodes(t, fibersession.Config{}, 4, one.URL(), two.URL(), server.URL())
	l := startIncrements(t, handles)
	for i := range 20 {
		l.waitForProgress("increments under load")
		if i%2 == 0 {
			one.Disconnect()
		} else {
			two.Disconnect()
		}
	}
	l.stopAndCheck(stores[2], ids)
	waitForWatchedCopies(t, handles[0], stores[2], ids)
}

// While Redis is paused every call still returns, with an error. Afterwards the nodes
// recover.
func TestFault_RedisPaused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	url := server.URL()
	stores, handles, ids := startNodes(t, fibersession.Config{Timeouts: fibersession.Timeouts{Storage: time.Second}}, 4, url, url)
	l := startIncrements(t, handles)
	for range 2 {
		l.waitForProgress("increments under load")
		server.Pause()
		refused := l.refused.Load()
		waitFor(t, "calls to fail", func() bool { return l.refused.Load() > refused+20 })
		server.Resume()
	}
	l.waitForProgress("increments after the pauses")
	l.stopAndCheck(stores[1], ids)
	waitForWatchedCopies(t, handles[0], stores[1], ids)
}

// A master is killed and Sentinel promotes its replica: the nodes follow. Redis may lose
// writes that were not replicated yet; here the replica had caught up.
func TestFault_SentinelFailsOver(t *testing.T) {
	t.Parallel()
	f := redistest.StartFailover(t)
	url := f.URL()
	stores, handles, ids := startNodes(t, fibersession.Config{}, 2, url, url)
	l := startIncrements(t, handles)
	l.waitForProgress("increments under load")
	l.pause()
	f.WaitForReplication()
	f.Master.Kill()
	l.resume(handles)
	l.waitForProgress("increments on the new master")
	l.stopAndCheck(stores[1], ids)
	waitForWatchedCopies(t, handles[0], stores[1], ids)
}

// A node that lost its connection serves tracked reads that are at most MaxLag old. After
// that, reads fail.
func TestFault_ANodeThatIsCutOffServesNothingOlderThanMaxLag(t *testing.T) {
	t.Parallel()
	const maxLag = time.Second
	server := redistest.Start(t)
	network := redistest.NewProxy(t, server.Addr())
	a := newStore(t, fibersession.Config{Storage: openStorage(t, network.URL()), Freshness: fibersession.Tracked, Tracking: fibersession.Tracking{MaxLag: maxLag}, Timeouts: fibersession.Timeouts{Storage: 2 * time.Second}})
	b := newStore(t, fibersession.Config{Storage: openStorage(t, server.URL())})
	h, hb, rec := sharedSession(t, a, b, nil)
	waitFor(t, "a tracked read that asks no store", func() bool { must(t, h.Refresh(ctx, 0)); return a.Stats().SkippedReads > 0 })
	network.Pause()
	must(t, hb.Destroy(ctx))
	ended := time.Now()
	served := 0
	for {
		began := time.Now()
		err := h.Refresh(ctx, 0)
		if err != nil {
			if !errors.Is(err, fibersession.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			break
		}
		served++
		if d := began.Sub(ended); d > maxLag {
			t.Fatalf("a read succeeded %v after the logout, want at most %v", d, maxLag)
		}
	}
	t.Logf("%d reads succeeded, the last within %v of the logout", served, time.Since(ended).Round(time.Millisecond))
	network.Resume()
	if e := rec.nextOfKind(fibersession.Ended); !errors.Is(e.Cause, fibersession.ErrDestroyed) {
		t.Errorf("after the connection is back: got cause %v, want ErrDestroyed", e.Cause)
	}
}

// A node that is killed loses at most the one write that was in flight.
func TestFault_ANodeIsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newStore(t, fibersession.Config{Storage: openStorage(t, server.URL())})
	h := storedSession(t, a, map[string]any{"n": 0})
	rec := recordEvents(t, h)
	for round := range 3 {
		node := exec.Command(os.Args[0], "-test.run=^TestFault_NodeProcess$")
		node.Env = append(os.Environ(), "FAULT_NODE="+server.URL(), "FAULT_SESSION="+h.ID())
		out, err := node.StdoutPipe()
		must(t, err)
		must(t, node.Start())
		acked, before := 0, valueOf[int](h, "n")
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if !strings.HasPrefix(lines.Text(), "acked") {
				continue
			}
			if acked++; acked == 50 {
				must(t, node.Process.Kill())
			}
		}
		_ = node.Wait() // it was killed
		must(t, h.Reload(ctx))
		if got := valueOf[int](h, "n") - before; got < acked || got > acked+1 || acked < 50 {
			t.Errorf("round %d: got %d acknowledged and %d stored increments, want at least 50 and at most one more stored", round, acked, got)
		}
		if _, err := h.Incr(ctx, "n", 1); err != nil { // the killed node left no lock
			t.Error(err)
		}
	}
	rec.nextOfKind(fibersession.Changed)
}

// TestFault_NodeProcess is the process that TestFault_ANodeIsKilled starts and kills.
func TestFault_NodeProcess(t *testing.T) {
	url := os.Getenv("FAULT_NODE")
	if url == "" {
		return
	}
	s := newStore(t, fibersession.Config{Storage: openStorage(t, url)})
	h := handleOf(t, s, os.Getenv("FAULT_SESSION"))
	for {
		if _, err := h.Incr(ctx, "n", 1); err != nil {
			t.Fatal(err)
		}
		fmt.Println("acked")
	}
}
