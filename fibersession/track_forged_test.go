package fibersession_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
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

// During an outage, a session that had a notice is not served from its copy: the notice may
// have been that of the logout.
func TestFeed_NoticeEndsTheOutageGrace(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1, OutageGrace: time.Hour}}, func(ft *feedTest) {
		t := ft.t
		h, hb, _ := ft.shareSession(map[string]any{"n": 0})
		ft.failStore(true)
		must(t, h.Refresh(ctx, fibersession.Strict))
		ft.feed.set(false, true, 0)
		must(t, hb.Destroy(ctx))
		synctest.Wait()
		if err := h.Refresh(ctx, fibersession.Strict); err == nil {
			t.Error("the session is served after the notice of its logout")
		}
	})
}
