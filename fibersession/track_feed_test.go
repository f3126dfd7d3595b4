package fibersession_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
)

// After a gap all sessions that are watched are read again, some at a time, and who
// watches is told what was missed.
func TestFeed_AGapIsMadeUpFor(t *testing.T) {
	const sessions = 300
	inWorld(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(w *world) {
		t := w.t
		all := make([]*news, sessions)
		others := make([]*fibersession.Handle, sessions)
		for i := range sessions {
			_, others[i], all[i] = w.share(map[string]any{"n": 0})
		}
		w.radio.set(true, false, 0)
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
		for i, n := range all {
			if len(n.events) != 0 {
				t.Fatalf("session %d was told of %v in spite of all", i, n.next())
			}
		}
		w.radio.set(false, false, 0)
		w.radio.most.Store(0)
		w.faulty.SetPlan(faulty.OnMethod("Load", faulty.Fault{Delay: time.Millisecond}))
		w.radio.tell(storage.Change{Kind: storage.Gap})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		for i, n := range all {
			if len(n.events) != 1 {
				t.Fatalf("session %d was told %d events", i, len(n.events))
			}
			want := []fibersession.EventKind{fibersession.Changed, fibersession.Ended, fibersession.Renewed}[i%3]
			if e := n.next(); e.Kind != want {
				t.Errorf("session %d was told of %v, want %v", i, e.Kind, want)
			}
		}
		if most := w.radio.most.Load(); most > 64 || most < 32 {
			t.Errorf("%d reads at once", most)
		}
		// It follows to the new ID.
		others[2].Set("n", 2)
		must(t, others[2].Save(ctx))
		synctest.Wait()
		if e := all[2].next(); e.Kind != fibersession.Changed {
			t.Errorf("after the new ID: told of %v", e.Kind)
		}
		if g := w.a.Stats().Gaps; g != 1 {
			t.Errorf("%d gaps", g)
		}
	})
}

// A feed that loses changes and does not know costs no more than Recheck.
func TestFeed_WhatItLosesIsFoundByAndBy(t *testing.T) {
	inWorld(t, fibersession.Config{}, func(w *world) {
		t := w.t
		_, hb, n := w.share(nil)
		busy, _, _ := w.share(nil)
		idle, _, _ := w.share(nil)
		w.radio.set(true, false, 0)
		time.Sleep(time.Hour)
		loads := w.a.Stats().Loads
		for range 600 { // one that is read all the time is not read again
			time.Sleep(time.Second)
			must(t, busy.Refresh(ctx, fibersession.Strict))
		}
		// Two are idle: each is read again after 3/4 to 4/4 of the half minute.
		if n := w.a.Stats().Loads - loads - 600; n < 40 || n > 54 {
			t.Errorf("in ten minutes %d sessions were read again", n)
		}
		must(t, hb.Destroy(ctx))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(n.events) != 1 || n.next().Kind != fibersession.Ended {
			t.Error("half a minute after the logout it is not known")
		}
		_ = idle
	})
}

// What comes late, twice, or from elsewhere changes nothing.
func TestFeed_OldAndForeignNews(t *testing.T) {
	inWorld(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(w *world) {
		t := w.t
		h, hb, n := w.share(map[string]any{"n": 0})
		other, otherB, _ := w.share(map[string]any{"n": "other"})
		for i := 1; i <= 3; i++ {
			hb.Set("n", i)
			must(t, hb.Save(ctx))
			synctest.Wait()
			n.kind(fibersession.Changed)
		}
		otherB.Set("n", "other's")
		must(t, otherB.Save(ctx))
		synctest.Wait()
		loads := w.a.Stats().Loads
		var mine, foreign []storage.Change
		for _, c := range w.radio.heard() {
			if len(mine) == 0 || c.Key == mine[0].Key {
				mine = append(mine, c)
			} else {
				foreign = append(foreign, c)
			}
		}
		if len(mine) != 3 || len(foreign) != 1 {
			t.Fatalf("%d and %d changes were told", len(mine), len(foreign))
		}
		for _, c := range mine {
			w.radio.tell(c)
			synctest.Wait()
		}
		if h.Get("n") != 3 || len(n.events) != 0 || w.a.Stats().Loads != loads {
			t.Errorf("old news: it has %v, %d were told, %d reads", h.Get("n"), len(n.events), w.a.Stats().Loads-loads)
		}
		for _, c := range foreign { // another session's value under this key
			c.Key = mine[0].Key
			w.radio.tell(c)
			synctest.Wait()
		}
		w.radio.tell(storage.Change{Kind: storage.Written, Key: mine[0].Key, Item: storage.Item{Value: []byte("rubbish"), Revision: "x"}})
		w.radio.tell(storage.Change{Kind: storage.Removed, Key: "no such key"})
		synctest.Wait()
		if h.Get("n") != 3 || len(n.events) != 0 || h.Err() != nil {
			t.Errorf("foreign news: it has %v, %d were told, %v", h.Get("n"), len(n.events), h.Err())
		}
		if w.a.Stats().Loads == loads {
			t.Error("what cannot be was not looked into")
		}
		_ = other
	})
}

// What is told while a read is under way, whose answer is older, is not lost.
func TestFeed_NewsDuringARead(t *testing.T) {
	inWorld(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(w *world) {
		t := w.t
		h, hb, n := w.share(map[string]any{"n": 1})
		hold := make(chan struct{})
		w.radio.mu.Lock()
		w.radio.hold = hold
		w.radio.mu.Unlock()
		done := make(chan error)
		go func() { done <- h.Reload(ctx) }() // received below
		synctest.Wait()
		hb.Set("n", 2)
		must(t, hb.Save(ctx))
		synctest.Wait()
		if h.Get("n") != 1 || len(n.events) != 0 {
			t.Error("it was applied in the middle of a round")
		}
		loads := w.a.Stats().Loads
		close(hold)
		must(t, <-done)
		synctest.Wait()
		if h.Get("n") != 2 || len(n.events) != 1 || w.a.Stats().Loads != loads+1 {
			t.Errorf("it has %v after %d events and %d reads", h.Get("n"), len(n.events), w.a.Stats().Loads-loads)
		}
	})
}

// Of many changes in a row the last counts, and nobody waits for anybody.
func TestFeed_ABurst(t *testing.T) {
	inWorld(t, fibersession.Config{}, func(w *world) {
		h, hb, n := w.share(map[string]any{"n": 0})
		for i := range 5000 { // more than any queue holds
			hb.Set("n", i)
			must(w.t, hb.Save(ctx))
		}
		synctest.Wait()
		if h.Get("n") != 4999 || len(n.events) == 0 {
			w.t.Errorf("it has %v after %d events", h.Get("n"), len(n.events))
		}
	})
}

// A watcher that hangs holds up its own session only.
func TestFeed_AWatcherThatHangs(t *testing.T) {
	inWorld(t, fibersession.Config{}, func(w *world) {
		h, hb, _ := w.share(map[string]any{"n": 0})
		_, otherB, n := w.share(map[string]any{"n": 0})
		let := make(chan struct{})
		defer h.Watch(func(fibersession.Event) { <-let })()
		hb.Set("n", 1)
		must(w.t, hb.Save(ctx))
		synctest.Wait()
		otherB.Set("n", 1)
		must(w.t, otherB.Save(ctx))
		synctest.Wait()
		if len(n.events) != 1 {
			w.t.Errorf("the other session was told %d events", len(n.events))
		}
		hb.Set("n", 2)
		must(w.t, hb.Save(ctx))
		synctest.Wait()
		if h.Get("n") != 2 {
			w.t.Error("the session itself stands still")
		}
		close(let)
	})
}
