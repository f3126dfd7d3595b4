package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

// Any program can publish on a channel, so the feed ignores messages in an unknown
// format. Databases of one server share the channels but not the keys, so it also
// ignores the changes of other databases.
func TestFeedIgnoresForeignMessages(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ctx := t.Context()
	s := open(t, server.URL())
	third := open(t, strings.TrimSuffix(server.URL(), "/0")+"/3")
	other := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer other.Close()
	changes := make(chan storage.Change, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { changes <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	for _, msg := range []string{"", "W", "Dx", "X", "w", "\x00", strings.Repeat("Z", 1<<20)} {
		if n, err := other.Publish(ctx, "k:changes", msg).Result(); err != nil || n != 1 {
			t.Fatalf("Publish reached %d subscribers (error %v), want 1: has the channel's name changed?", n, err)
		}
	}
	if err := third.Set("k", []byte("in another database"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("k", []byte("ours"), 0); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; string(c.Item.Value) != "ours" {
		t.Errorf("notified of %.40q of kind %v, want ours", c.Item.Value, c.Kind)
	}
	if got := s.(*redis.Storage).Notices()["redis_feed_foreign"]; got != 6 {
		t.Errorf("%d messages are counted as foreign, want 6", got)
	}
}

// A dead connection, which no packet closes, is detected and replaced.
func TestFeedFindsADeadConnection(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL())
	p := redistest.NewProxy(t, server.Addr())
	s := open(t, p.URL())
	s.(*redis.Storage).SetMaxSilence(20 * time.Millisecond)
	defer func() {
		if s.(*redis.Storage).Notices()["redis_feed_broken"] == 0 {
			t.Error("the broken connection is not counted")
		}
	}()
	changes := make(chan storage.Change, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { changes <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	p.PauseReplies()
	// From now on nothing arrives, and no connection is closed.
	if err := direct.Set("k", []byte("missed"), 0); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"ping", "new connection"} {
		select {
		case <-p.Requests():
		case <-time.After(30 * time.Second):
			t.Fatalf("the feed made no %s", request)
		}
	}
	p.Resume()
	for c := range changes {
		if string(c.Item.Value) == "new" {
			break
		}
		if c.Kind == storage.Gap { // a slow machine may see several
			if err := direct.Set("k", []byte("new"), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Lag grows while the connection is silent, so that it still bounds the age of missed
// changes. When the connection is lost, no bound is known until a ping on the new one
// is answered.
func TestLagGrowsWhileTheConnectionIsSilent(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL())
	p := redistest.NewProxy(t, server.Addr())
	s := open(t, p.URL())
	s.(*redis.Storage).SetMaxSilence(time.Minute) // pings every 6 s, and at once after the first Add
	gaps := make(chan struct{}, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) {
		if c.Kind == storage.Gap {
			gaps <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	lag := w.(storage.LagReporter).Lag
	if _, known := lag(); known {
		t.Error("Lag is known before the first Add")
	}
	if err := w.Add(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "Lag is known", func() bool { _, known := lag(); return known })
	p.PauseReplies()
	if err := direct.Set("k", []byte("missed"), 0); err != nil {
		t.Fatal(err)
	}
	for answered, n := time.Now(), 0; n < 100; n++ {
		since := time.Since(answered)
		if d, known := lag(); known && d < since {
			t.Fatalf("Lag = %v, but a change has been missing for %v", d, since)
		}
		time.Sleep(time.Millisecond)
	}
	p.Pause() // the new connection gets no reply
	p.Disconnect()
	waitFor(t, "Lag is unknown", func() bool { _, known := lag(); return !known })
	p.Resume()
	<-gaps
	waitFor(t, "Lag is known again", func() bool { _, known := lag(); return known })
}

// On a new connection, a ping must not precede the subscriptions: its reply would
// arrive before the Gap, and Lag would claim that nothing is missing.
func TestNoPingBeforeTheSubscriptions(t *testing.T) {
	t.Parallel()
	if redis.PingsBeforeFlush(open(t, redistest.Start(t).URL()).(*redis.Storage)) {
		t.Error("the watch pings before it has subscribed")
	}
}

func TestManyWatchesEndWithTheStorage(t *testing.T) {
	t.Parallel()
	s, err := storage.Open(redistest.Start(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		w, err := s.(storage.Feed).Watch(func(storage.Change) {})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := w.Add(t.Context(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.(storage.Feed).Watch(func(storage.Change) {}); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Watch after Close: %v, want ErrClosed", err)
	}
}
