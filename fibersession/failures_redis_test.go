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

// load is increments of sessions from several nodes, with the outcome of each kept: as
// told, and as it must be then.
type incrementLoad struct {
	t       testing.TB
	stop    chan struct{}
	wg      sync.WaitGroup
	acked   []atomic.Int64 // by session
	unknown []atomic.Int64
	refused atomic.Int64
	total   atomic.Int64 // of acked
}

// newLoad makes each node count up each of its handles, one for each session, until
// end. Every call has to end by itself.
func startIncrements(t testing.TB, nodes [][]*fibersession.Handle) *incrementLoad {
	l := &incrementLoad{t: t, acked: make([]atomic.Int64, len(nodes[0])), unknown: make([]atomic.Int64, len(nodes[0]))}
	l.resume(nodes)
	return l
}

func (l *incrementLoad) resume(nodes [][]*fibersession.Handle) {
	l.stop = make(chan struct{})
	for _, handles := range nodes {
		for i, h := range handles {
			l.wg.Go(func() { // pause waits
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
		time.Sleep(time.Millisecond) // as a client would
	default:
		l.t.Errorf("session %d: %v", i, err)
		time.Sleep(10 * time.Millisecond)
	}
}

// progress waits until work is done that begins now.
func (l *incrementLoad) waitForProgress(what string) {
	l.t.Helper()
	before := l.total.Load()
	waitFor(l.t, what, func() bool { return l.total.Load() > before+200 || l.t.Failed() })
}

// end ends the load and compares what the store has with what was told.
func (l *incrementLoad) stopAndCheck(read *fibersession.Store, ids []string) {
	l.t.Helper()
	l.pause()
	var acked, unknown int64
	for i, id := range ids {
		var h *fibersession.Handle
		waitFor(l.t, "the session is read", func() (done bool) {
			var err error
			h, err = read.GetByID(ctx, id)
			return err == nil
		})
		got := int64(fibersession.Value[int](h, "n"))
		h.Release()
		low := l.acked[i].Load()
		high := low + l.unknown[i].Load()
		if got < low || got > high {
			l.t.Errorf("session %d has %d; %d were acknowledged, and %d of unknown outcome", i, got, low, high-low)
		}
		acked, unknown = acked+low, unknown+high-low
	}
	l.t.Logf("%d increments acknowledged, %d of unknown outcome, %d refused", acked, unknown, l.refused.Load())
}

// caughtUp waits until what the first node shows, without asking, is what is stored.
func waitForWatchedCopies(t testing.TB, watching []*fibersession.Handle, read *fibersession.Store, ids []string) {
	t.Helper()
	for i, id := range ids {
		h := handleOf(t, read, id)
		waitFor(t, "the copy that is watched catches up", func() bool { return watching[i].Get("n") == h.Get("n") })
	}
}

// Redis is killed and started again under load: nothing that was acknowledged is lost,
// and the nodes go on by themselves, pushed changes included.
func TestFault_RedisKilledUnderLoad(t *testing.T) {
	t.Parallel()
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
		l.waitForProgress("the load runs")
		server.Kill()
		refused, gaps := l.refused.Load(), stores[0].Stats().Gaps
		waitFor(t, "calls are refused", func() bool { return l.refused.Load() > refused+20 })
		server.Restart()
		back, total := time.Now(), l.total.Load()
		waitFor(t, "the first write after it", func() bool { return l.total.Load() > total })
		t.Logf("the first write came %v after Redis was back", time.Since(back).Round(time.Millisecond))
		waitFor(t, "the feed is back", func() bool { return stores[0].Stats().Gaps > gaps })
		t.Logf("the feed was back after %v", time.Since(back).Round(time.Millisecond))
	}
	l.waitForProgress("the load runs on")
	l.stopAndCheck(stores[1], ids)
	waitForWatchedCopies(t, handles[0], stores[1], ids)
	if gaps := stores[0].Stats().Gaps; gaps < 3 {
		t.Errorf("the feed told of %d gaps", gaps)
	}
	waitFor(t, "no goroutine is left over", func() bool { return runtime.NumGoroutine() <= before+20 })
}

// The network between a node and Redis breaks again and again, in the middle of
// whatever is under way.
func TestFault_ConnectionsCutUnderLoad(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one, two := redistest.NewProxy(t, server.Addr()), redistest.NewProxy(t, server.Addr())
	stores, handles, ids := startNodes(t, fibersession.Config{}, 4, one.URL(), two.URL(), server.URL())
	l := startIncrements(t, handles)
	for i := range 20 {
		l.waitForProgress("the load runs")
		if i%2 == 0 {
			one.Disconnect()
		} else {
			two.Disconnect()
		}
	}
	l.stopAndCheck(stores[2], ids)
	waitForWatchedCopies(t, handles[0], stores[2], ids)
}

// Redis stands still: every call is answered all the same, and then all goes on.
func TestFault_RedisStandsStill(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	url := server.URL()
	stores, handles, ids := startNodes(t, fibersession.Config{Timeouts: fibersession.Timeouts{Storage: time.Second}}, 4, url, url)
	l := startIncrements(t, handles)
	for range 2 {
		l.waitForProgress("the load runs")
		server.Pause()
		refused := l.refused.Load()
		waitFor(t, "calls are refused", func() bool { return l.refused.Load() > refused+20 })
		server.Resume()
	}
	l.waitForProgress("the load runs on")
	l.stopAndCheck(stores[1], ids)
	waitForWatchedCopies(t, handles[0], stores[1], ids)
}

// A master fails and its replica takes over: the nodes follow. What was acknowledged
// and never replicated is Redis' to lose; here the replica had caught up.
func TestFault_SentinelFailsOver(t *testing.T) {
	t.Parallel()
	f := redistest.StartFailover(t)
	url := f.URL()
	stores, handles, ids := startNodes(t, fibersession.Config{}, 2, url, url)
	l := startIncrements(t, handles)
	l.waitForProgress("the load runs")
	l.pause()
	f.WaitForReplication()
	f.Master.Kill()
	l.resume(handles)
	l.waitForProgress("the load runs on the other server")
	l.stopAndCheck(stores[1], ids)
	waitForWatchedCopies(t, handles[0], stores[1], ids)
}

// A node that is cut off keeps to its word: Tracked serves nothing that is older than
// MaxLag, however long it takes anybody to notice; then it refuses.
func TestFault_ANodeThatIsCutOffServesNothingOlderThanMaxLag(t *testing.T) {
	t.Parallel()
	const maxLag = time.Second
	server := redistest.Start(t)
	network := redistest.NewProxy(t, server.Addr())
	a := newStore(t, fibersession.Config{Storage: openStorage(t, network.URL()), Freshness: fibersession.Tracked, Tracking: fibersession.Tracking{MaxLag: maxLag}, Timeouts: fibersession.Timeouts{Storage: 2 * time.Second}})
	b := newStore(t, fibersession.Config{Storage: openStorage(t, server.URL())})
	h, hb, rec := sharedSession(t, a, b, nil)
	waitFor(t, "it is tracked", func() bool { must(t, h.Refresh(ctx, 0)); return a.Stats().Spared > 0 })
	network.Pause()
	must(t, hb.Destroy(ctx))
	ended := time.Now()
	served := 0
	for {
		began := time.Now()
		err := h.Refresh(ctx, 0)
		if err != nil {
			if !errors.Is(err, fibersession.ErrUnavailable) {
				t.Errorf("cut off: %v", err)
			}
			break
		}
		served++
		if d := began.Sub(ended); d > maxLag {
			t.Fatalf("%v after the logout it is served", d)
		}
	}
	t.Logf("it was served %d times, until %v after the logout", served, time.Since(ended).Round(time.Millisecond))
	network.Resume()
	if e := rec.nextOfKind(fibersession.Ended); !errors.Is(e.Cause, fibersession.ErrDestroyed) {
		t.Errorf("it ended with %v", e.Cause)
	}
}

// A node that is killed takes nothing along but what it had under way.
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
		acked, before := 0, fibersession.Value[int](h, "n")
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if !strings.HasPrefix(lines.Text(), "acked") {
				continue
			}
			if acked++; acked == 50 {
				must(t, node.Process.Kill())
			}
		}
		_ = node.Wait() // killed
		must(t, h.Reload(ctx))
		if got := fibersession.Value[int](h, "n") - before; got < acked || got > acked+1 || acked < 50 {
			t.Errorf("round %d: the node said %d times that it was stored; %d are there", round, acked, got)
		}
		if _, err := h.Incr(ctx, "n", 1); err != nil { // nothing is locked
			t.Error(err)
		}
	}
	rec.nextOfKind(fibersession.Changed)
}

// TestFault_NodeProcess is the other process of TestFault_ANodeIsKilled.
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
