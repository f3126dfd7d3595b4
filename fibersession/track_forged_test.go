package fibersession_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

// forgedChanges returns notices that a client of Redis can publish on a session's channel, after
// it has read the value: the session is gone, has another user, has another ID, is rubbish.
func forgedChanges(t *testing.T, real storage.Change) []storage.Change {
	t.Helper()
	forge := func(change func(val []byte) []byte) storage.Change {
		val := change(bytes.Clone(real.Item.Value))
		return storage.Change{Kind: storage.Written, Key: real.Key, Item: storage.Item{Value: val, Revision: storage.Revision(rune('0' + len(val)%7))}}
	}
	other := forge(func(val []byte) []byte {
		binary.BigEndian.PutUint64(val[8:], 1000) // a later revision of the same session
		if !bytes.Contains(val, []byte("ann")) {
			t.Fatal("the value does not contain the user: has its format changed?")
		}
		return bytes.ReplaceAll(val, []byte("ann"), []byte("eve"))
	})
	moved := forge(func(val []byte) []byte {
		val[4] = 2 // the session has a new ID
		return append(val[:104:104], bytes.Repeat([]byte{1}, 32)...)
	})
	return []storage.Change{
		{Kind: storage.Removed, Key: real.Key}, other, moved,
		forge(func([]byte) []byte { return []byte("rubbish") }),
		forge(func([]byte) []byte { return nil }),
	}
}

// Row 44: a forged notice neither ends a session nor changes it: the store is read.
func TestFeed_ForgedNoticesAreNotBelieved(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		h, hb, rec := ft.shareSession(nil)
		hb.Set("user", "ann")
		must(t, hb.Save(ctx))
		synctest.Wait()
		rec.nextOfKind(fibersession.Changed)
		all := ft.feed.changes()
		for i, c := range forgedChanges(t, all[len(all)-1]) {
			loads := ft.a.Stats().Loads
			ft.feed.deliver(c)
			synctest.Wait()
			if h.Get("user") != "ann" || h.Err() != nil || len(rec.events) != 0 {
				t.Errorf("forged notice %d: got the user %v, the error %v and %d events, want ann and none", i, h.Get("user"), h.Err(), len(rec.events))
			}
			if n := ft.a.Stats().Loads - loads; n != 1 {
				t.Errorf("forged notice %d: %d reads, want 1", i, n)
			}
		}
	})
}

// Row 44: a flood of forged notices costs a bounded number of reads for each session, and a true
// notice among them is late by a second at most. Events read the store meanwhile.
func TestFeed_FloodOfForgedNotices(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		h, hb, rec := ft.shareSession(map[string]any{"n": 0})
		hb.Set("n", 1)
		must(t, hb.Save(ctx))
		synctest.Wait()
		rec.nextOfKind(fibersession.Changed)
		key := ft.feed.changes()[0].Key
		flood := func(d time.Duration, done func() bool) {
			for end := time.Now().Add(d); time.Now().Before(end) && !done(); time.Sleep(time.Millisecond) {
				ft.feed.deliver(storage.Change{Kind: storage.Removed, Key: key})
				synctest.Wait()
			}
		}
		const seconds = 5
		loads := ft.a.Stats().Loads
		flood(seconds*time.Second, func() bool { return h.Err() != nil })
		if n := ft.a.Stats().Loads - loads; n < seconds*16 || n > (seconds+1)*17 || h.Err() != nil {
			t.Errorf("1,000 forged notices per second for %d s: %d reads and the error %v, want 80 to 102 and none", seconds, n, h.Err())
		}
		hb.Set("n", 2)
		must(t, hb.Save(ctx))
		synctest.Wait()
		must(t, h.Refresh(ctx, fibersession.Tracked))
		if h.Get("n") != 2 {
			t.Errorf("during the flood an event sees n = %v, want 2", h.Get("n"))
		}
		must(t, hb.Destroy(ctx))
		began := time.Now()
		flood(10*time.Second, func() bool { return h.Err() != nil })
		if late := time.Since(began); late > 1100*time.Millisecond {
			t.Errorf("a logout during the flood took %v, want about 1s at most", late)
		}
	})
}

// Row 44: a copy of an earlier notice does not hide the true one that waits to be applied.
func TestFeed_ForgedNoticeHidesNothing(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		h, hb, _ := ft.shareSession(map[string]any{"n": 0})
		save := func(n int) storage.Change {
			hb.Set("n", n)
			must(t, hb.Save(ctx))
			synctest.Wait()
			all := ft.feed.changes()
			return all[len(all)-1]
		}
		present := save(1)
		ft.feed.set(true, false, 0) // the next changes are delivered by hand
		hold := make(chan struct{})
		ft.feed.mu.Lock()
		ft.feed.hold = hold
		ft.feed.mu.Unlock()
		done := make(chan error)
		go func() { done <- h.Reload(ctx) }() // the receive below waits for it
		synctest.Wait()                       // it has read revision 1, and has not applied it
		later := save(2)
		ft.feed.deliver(later)
		ft.feed.deliver(present)
		ft.feed.deliver(storage.Change{Kind: storage.Written, Key: later.Key, Item: storage.Item{Value: []byte("x"), Revision: "x"}})
		ft.feed.deliver(present)
		close(hold)
		must(t, <-done)
		synctest.Wait()
		if h.Get("n") != 2 {
			t.Errorf("got n = %v, want 2: the notice of the change was lost", h.Get("n"))
		}

		// The copy is of a revision that a read has found and not applied yet.
		hold = make(chan struct{})
		ft.feed.mu.Lock()
		ft.feed.hold = hold
		ft.feed.mu.Unlock()
		third := save(3)
		go func() { done <- h.Reload(ctx) }() // the receive below waits for it
		synctest.Wait()                       // it has read revision 3
		ft.feed.deliver(save(4))
		ft.feed.deliver(third)
		close(hold)
		must(t, <-done)
		synctest.Wait()
		if h.Get("n") != 4 {
			t.Errorf("got n = %v, want 4: a copy of the notice before it replaced the notice", h.Get("n"))
		}
	})
}

// A session that another node removed shortly before its end counts as expired: the other node's
// clock may be ahead.
func TestFeed_RemovedAtItsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		left time.Duration
		want error
	}{"within the skew": {500 * time.Millisecond, fibersession.ErrExpired}, "before": {1500 * time.Millisecond, fibersession.ErrDestroyed}} {
		t.Run(name, func(t *testing.T) {
			runFeedTest(t, fibersession.Config{Expiration: time.Minute}, func(ft *feedTest) {
				h, hb, _ := ft.shareSession(nil)
				time.Sleep(time.Minute - tt.left)
				must(ft.t, hb.Destroy(ctx))
				synctest.Wait()
				if err := h.Err(); !errors.Is(err, tt.want) {
					ft.t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// During an outage, a session that had a notice is not served from its copy: the notice may
// have been that of the logout.
func TestFeed_NoticeEndsTheOutageGrace(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1, OutageGrace: time.Hour}}, func(ft *feedTest) {
		t := ft.t
		h, hb, _ := ft.shareSession(map[string]any{"n": 0})
		ft.failStore(true)
		must(t, h.Refresh(ctx, fibersession.Strict))
		ft.feed.set(false, false, 0) // the feed works, reads fail
		noticed := time.Now()
		must(t, hb.Destroy(ctx))
		synctest.Wait()
		time.Sleep(time.Minute)
		if err := h.Refresh(ctx, fibersession.Tracked); err == nil {
			t.Error("the session is served after the notice of its logout")
		}
		if at := h.Confirmed(); at.After(noticed) {
			t.Errorf("the copy counts as confirmed %v after the notice", at.Sub(noticed))
		}
	})
}

// Row 44: a client of the Redis that publishes 4,000 forged notices on the channels of a session
// neither ends nor changes it, and costs a fraction of the reads. A true change arrives.
func TestFeed_HostilePublisherOnRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	open := func() *fibersession.Store {
		st := storage.MustOpen(server.URL() + "?prefix=shop:")
		t.Cleanup(func() { _ = st.Close() })
		return newStore(t, fibersession.Config{Storage: st, Tracking: fibersession.Tracking{Recheck: -1}})
	}
	a, b := open(), open()
	h := storedSession(t, a, map[string]any{"n": 0})
	rec := recordEvents(t, h)
	hb := handleOf(t, b, h.ID())
	hostile := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = hostile.Close() })
	var channels []string
	waitFor(t, "the session is watched", func() bool {
		channels = hostile.PubSubChannels(ctx, "shop:*:changes").Val()
		return len(channels) == 1
	})
	before := a.Stats()
	value := hostile.Get(ctx, strings.TrimSuffix(channels[0], ":changes")).Val()
	const rounds = 1000
	for range rounds {
		_, err := hostile.Pipelined(ctx, func(p goredis.Pipeliner) error {
			p.Publish(ctx, channels[0], "D")
			p.Publish(ctx, channels[0], "Wrubbish")
			p.Publish(ctx, channels[0], "W"+value) // a copy of the true one
			p.Publish(ctx, channels[0], "X")
			return nil
		})
		must(t, err)
	}
	hb.Set("n", 1)
	must(t, hb.Save(ctx))
	if e := rec.nextEvent(); e.Kind != fibersession.Changed {
		t.Errorf("got the event %v, want Changed", e.Kind)
	}
	if h.Err() != nil || h.Get("n") != 1 {
		t.Errorf("got the error %v and n = %v, want none and 1", h.Err(), h.Get("n"))
	}
	if n := a.Stats().Loads - before.Loads; n == 0 || n > rounds/2 {
		t.Errorf("%d forged notices that could be true cost %d reads, want a fraction", 2*rounds, n)
	}
}
