package fibersession_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
)

// After a gap all watched sessions are read again, with bounded concurrency, and their
// watchers are notified of the missed changes.
func TestFeed_GapRereadsAllWatched(t *testing.T) {
	const sessions = 300
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		all := make([]*eventRecorder, sessions)
		others := make([]*fibersession.Handle, sessions)
		for i := range sessions {
			_, others[i], all[i] = ft.shareSession(map[string]any{"n": 0})
		}
		ft.feed.set(true, false, 0)
		for i, hb := range others {
			switch i % 3 {
			case 0:
				hb.Set("n", 1)
				must(t, hb.Save(ctx))
			case 1:
				must(t, hb.Destroy(ctx))
			case 2:
				must(t, hb.Regenerate(ctx))
			}
		}
		synctest.Wait()
		for i, rec := range all {
			if len(rec.events) != 0 {
				t.Fatalf("session %d: got the event %v while the feed dropped all changes", i, rec.nextEvent())
			}
		}
		ft.feed.set(false, false, 0)
		ft.feed.maxReads.Store(0)
		ft.faulty.SetPlan(faulty.OnMethod("Load", faulty.Fault{Delay: time.Millisecond}))
		ft.feed.deliver(storage.Change{Kind: storage.Gap})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		for i, rec := range all {
			if len(rec.events) != 1 {
				t.Fatalf("session %d: got %d events, want 1", i, len(rec.events))
			}
			want := []fibersession.EventKind{fibersession.Changed, fibersession.Ended, fibersession.Renewed}[i%3]
			if e := rec.nextEvent(); e.Kind != want {
				t.Errorf("session %d: got the event %v, want %v", i, e.Kind, want)
			}
		}
		if most := ft.feed.maxReads.Load(); most > 64 || most < 32 {
			t.Errorf("got %d concurrent reads, want 32 to 64", most)
		}
		// The subscription follows to the new ID.
		others[2].Set("n", 2)
		must(t, others[2].Save(ctx))
		synctest.Wait()
		if e := all[2].nextEvent(); e.Kind != fibersession.Changed {
			t.Errorf("after the new ID: got the event %v, want Changed", e.Kind)
		}
		if g := ft.a.Stats().Gaps; g != 1 {
			t.Errorf("got Gaps %d, want 1", g)
		}
	})
}

// Changes that the feed loses without a gap are found by Recheck.
func TestFeed_RecheckFindsLostChanges(t *testing.T) {
	runFeedTest(t, fibersession.Config{}, func(ft *feedTest) {
		t := ft.t
		_, hb, rec := ft.shareSession(nil)
		busy, _, _ := ft.shareSession(nil)
		idle, _, _ := ft.shareSession(nil)
		ft.feed.set(true, false, 0)
		// Rechecks happen at multiples of Recheck/64 after the first watch. The extra
		// millisecond keeps them off the ends of the interval that is counted.
		time.Sleep(time.Hour + time.Millisecond)
		loads := ft.a.Stats().Loads
		for range 600 { // a session that is read all the time needs no recheck
			time.Sleep(time.Second)
			must(t, busy.Refresh(ctx, fibersession.Strict))
		}
		// Two sessions are idle. Each is read again after 3/4 to 4/4 of 30 s.
		if n := ft.a.Stats().Loads - loads - 600; n < 40 || n > 54 {
			t.Errorf("got %d rechecks in ten minutes, want 40 to 54", n)
		}
		must(t, hb.Destroy(ctx))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(rec.events) != 1 || rec.nextEvent().Kind != fibersession.Ended {
			t.Errorf("30s after the logout: got %d events, want one Ended", len(rec.events))
		}
		_ = idle
	})
}

// A late, repeated or foreign notification changes nothing.
func TestFeed_OldAndForeignChanges(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		h, hb, rec := ft.shareSession(map[string]any{"n": 0})
		other, otherB, _ := ft.shareSession(map[string]any{"n": "other"})
		for i := 1; i <= 3; i++ {
			hb.Set("n", i)
			must(t, hb.Save(ctx))
			synctest.Wait()
			rec.nextOfKind(fibersession.Changed)
		}
		otherB.Set("n", "other's")
		must(t, otherB.Save(ctx))
		synctest.Wait()
		loads := ft.a.Stats().Loads
		var mine, foreign []storage.Change
		for _, c := range ft.feed.changes() {
			if len(mine) == 0 || c.Key == mine[0].Key {
				mine = append(mine, c)
			} else {
				foreign = append(foreign, c)
			}
		}
		if len(mine) != 3 || len(foreign) != 1 {
			t.Fatalf("got %d changes of the session and %d of the other one, want 3 and 1", len(mine), len(foreign))
		}
		for _, c := range mine {
			ft.feed.deliver(c)
			synctest.Wait()
		}
		if h.Get("n") != 3 || len(rec.events) != 0 || ft.a.Stats().Loads != loads+2 {
			t.Errorf("repeated changes: got n = %v, %d events and %d loads; want 3, none, and one for each change but the last", h.Get("n"), len(rec.events), ft.a.Stats().Loads-loads)
		}
		for _, c := range foreign { // another session's value under this session's key
			c.Key = mine[0].Key
			ft.feed.deliver(c)
			synctest.Wait()
		}
		ft.feed.deliver(storage.Change{Kind: storage.Written, Key: mine[0].Key, Item: storage.Item{Value: []byte("rubbish"), Revision: "x"}})
		ft.feed.deliver(storage.Change{Kind: storage.Removed, Key: "no such key"})
		synctest.Wait()
		if h.Get("n") != 3 || len(rec.events) != 0 || h.Err() != nil {
			t.Errorf("foreign changes: got n = %v, %d events and Err %v; want 3, none and nil", h.Get("n"), len(rec.events), h.Err())
		}
		if ft.a.Stats().Loads == loads {
			t.Error("an undecodable value did not cause a load")
		}
		_ = other
	})
}

// A change that arrives during a read, whose result is older, is applied after it.
func TestFeed_ChangeDuringARead(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		h, hb, rec := ft.shareSession(map[string]any{"n": 1})
		hold := make(chan struct{})
		ft.feed.mu.Lock()
		ft.feed.hold = hold
		ft.feed.mu.Unlock()
		done := make(chan error)
		go func() { done <- h.Reload(ctx) }() // the receive below waits for it
		synctest.Wait()
		hb.Set("n", 2)
		must(t, hb.Save(ctx))
		synctest.Wait()
		if h.Get("n") != 1 || len(rec.events) != 0 {
			t.Error("the change was applied during the commit that reads")
		}
		loads := ft.a.Stats().Loads
		close(hold)
		must(t, <-done)
		synctest.Wait()
		if h.Get("n") != 2 || len(rec.events) != 1 || ft.a.Stats().Loads != loads+2 {
			t.Errorf("got n = %v, %d events and %d loads; want 2, one event, and a second load for the change", h.Get("n"), len(rec.events), ft.a.Stats().Loads-loads)
		}
	})
}

// Changes that arrive faster than they are applied are coalesced: the last one counts, and
// the writer does not wait.
func TestFeed_Burst(t *testing.T) {
	runFeedTest(t, fibersession.Config{}, func(ft *feedTest) {
		h, hb, rec := ft.shareSession(map[string]any{"n": 0})
		for i := range 5000 { // more than any queue holds
			hb.Set("n", i)
			must(ft.t, hb.Save(ctx))
		}
		synctest.Wait()
		if h.Get("n") != 4999 || len(rec.events) == 0 {
			ft.t.Errorf("got n = %v after %d events, want 4999 after at least one", h.Get("n"), len(rec.events))
		}
	})
}

// A watcher that blocks delays the events of its own session only.
func TestFeed_BlockedWatcher(t *testing.T) {
	runFeedTest(t, fibersession.Config{}, func(ft *feedTest) {
		h, hb, _ := ft.shareSession(map[string]any{"n": 0})
		_, otherB, rec := ft.shareSession(map[string]any{"n": 0})
		release := make(chan struct{})
		defer h.Watch(func(fibersession.Event) { <-release })()
		hb.Set("n", 1)
		must(ft.t, hb.Save(ctx))
		synctest.Wait()
		otherB.Set("n", 1)
		must(ft.t, otherB.Save(ctx))
		synctest.Wait()
		if len(rec.events) != 1 {
			ft.t.Errorf("the other session: got %d events, want 1", len(rec.events))
		}
		hb.Set("n", 2)
		must(ft.t, hb.Save(ctx))
		synctest.Wait()
		if h.Get("n") != 2 {
			ft.t.Errorf("the session with the blocked watcher: got n = %v, want 2", h.Get("n"))
		}
		close(release)
	})
}
