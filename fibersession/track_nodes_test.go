package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

func TestN2_ChangesOfOtherNodesArePushed(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{}, func(t *testing.T, a, b *fibersession.Store) {
		ha, hb, rec := sharedSession(t, a, b, map[string]any{"same": 1, "old": 1, "removed": 1})
		fork := ha.Fork()
		ha.Set("mine", "unsaved")
		hb.Set("old", 2)
		hb.Set("new", []string{"x"})
		hb.Delete("removed")
		must(t, hb.Save(ctx))
		e := rec.nextOfKind(fibersession.Changed)
		slices.Sort(e.Keys)
		if !slices.Equal(e.Keys, []string{"new", "old", "removed"}) {
			t.Errorf("got the changed keys %q, want new, old and removed", e.Keys)
		}
		if ha.Get("old") != 2 || fork.Get("old") != 2 || ha.Get("removed") != nil || ha.Get("mine") != "unsaved" {
			t.Errorf("got old = %v and %v (fork), removed = %v, mine = %v; want 2, 2, nil, unsaved", ha.Get("old"), fork.Get("old"), ha.Get("removed"), ha.Get("mine"))
		}
		loads := a.Stats().Loads
		must(t, ha.Save(ctx)) // onto the pushed revision: neither a conflict nor a load
		if s := a.Stats(); s.Loads != loads || s.Conflicts != 0 {
			t.Errorf("the following save: got %d loads and %d conflicts, want none", s.Loads-loads, s.Conflicts)
		}
		if s := a.Stats(); s.Notifications != 1 {
			t.Errorf("got %d notifications, want 1", s.Notifications)
		}
	})
}

func TestN3_LogoutOnAnotherNodeEndsTheSessionHere(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{UserKey: "user"}, func(t *testing.T, a, b *fibersession.Store) {
		for name, end := range map[string]func(hb *fibersession.Handle) error{
			"Destroy": func(hb *fibersession.Handle) error { return hb.Destroy(ctx) },
			"EndAll":  func(*fibersession.Handle) error { _, err := b.EndAll(ctx, "ann"); return err },
			"EndDevice": func(hb *fibersession.Handle) error {
				return b.EndDevice(ctx, "ann", hb.Pseudonym("device"))
			},
			"EndOthers": func(*fibersession.Handle) error {
				_, err := storedSession(t, b, map[string]any{"user": "ann"}).EndOthers(ctx)
				return err
			},
			"Delete": func(hb *fibersession.Handle) error { return b.Delete(hb.ID()) },
		} {
			ha, hb, rec := sharedSession(t, a, b, map[string]any{"user": "ann"})
			must(t, end(hb))
			if e := rec.nextOfKind(fibersession.Ended); !errors.Is(e.Cause, fibersession.ErrDestroyed) {
				t.Errorf("%s: got cause %v, want ErrDestroyed", name, e.Cause)
			}
			if !errors.Is(ha.Err(), fibersession.ErrSessionGone) {
				t.Errorf("%s: got Err %v, want ErrSessionGone", name, ha.Err())
			}
			ha.Set("n", 1)
			if err := ha.Save(ctx); !errors.Is(err, fibersession.ErrSessionGone) {
				t.Errorf("%s: a late save got %v, want ErrSessionGone", name, err)
			}
		}
		waitFor(t, "no session to be tracked", func() bool { return a.Stats().Tracked == 0 })
	})
}

func TestN5_NewIDOnAnotherNodeIsFollowed(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{UserKey: "user"}, func(t *testing.T, a, b *fibersession.Store) {
		ha, hb, rec := sharedSession(t, a, b, map[string]any{"n": 0})
		old := ha.ID()
		for i := 1; i <= 5; i++ {
			must(t, hb.Regenerate(ctx))
			rec.nextOfKind(fibersession.Renewed)
			hb.Set("n", i)
			must(t, hb.Save(ctx))
			rec.nextOfKind(fibersession.Changed)
			if ha.Get("n") != i || ha.Epoch() != uint64(i) || ha.ID() != "" {
				t.Errorf("after new ID number %d: got n = %v, epoch %d and an ID of %d characters; want n and the epoch to equal that number, and no ID", i, ha.Get("n"), ha.Epoch(), len(ha.ID()))
			}
		}
		must(t, hb.Login(ctx, "ann")) // a new ID and a change in one write
		for ha.User() != "ann" {
			rec.nextOfKind(fibersession.Changed)
		}
		if _, err := a.GetByID(ctx, old); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("the old ID: got %v, want ErrNotFound", err)
		}
		must(t, hb.Destroy(ctx))
		rec.nextOfKind(fibersession.Ended)
	})
}

// Both nodes watch and write a session: no change is lost, and both copies end up equal.
func TestN1_BothNodesWriteAndWatch(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{}, func(t *testing.T, a, b *fibersession.Store) {
		ha, hb, na := sharedSession(t, a, b, map[string]any{"n": 0})
		nb := recordEvents(t, hb)
		const writers, each = 8, 25
		var wg sync.WaitGroup
		for i := range writers {
			for node, h := range []*fibersession.Handle{ha, hb} {
				wg.Go(func() { // wg.Wait below waits for it
					f := h.Fork()
					for range each {
						if err := f.Update(ctx, func(tx *fibersession.Tx) error {
							tx.Set("n", valueOf[int](tx, "n")+1)
							return nil
						}); err != nil {
							t.Error(err)
						}
						f.Set(fmt.Sprint(node, "/", i), true)
						if err := f.Save(ctx); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		for name, h := range map[string]*fibersession.Handle{"a": ha, "b": hb} {
			waitFor(t, name+" to have all changes of both nodes", func() bool {
				return h.Get("n") == 2*writers*each && len(h.Keys()) == 1+2*writers
			})
		}
		for _, rec := range []*eventRecorder{na, nb} {
			for len(rec.events) > 0 {
				if e := rec.nextEvent(); e.Kind != fibersession.Changed {
					t.Errorf("got the event %+v, want Changed", e)
				}
			}
		}
	})
}

// A store subscribes to the sessions that are watched, and to no others.
func TestFeed_SubscribesToWatchedSessionsOnly(t *testing.T) {
	t.Parallel()
	st, err := storage.Open(redistest.Start(t).URL())
	must(t, err)
	t.Cleanup(func() { _ = st.Close() })
	s := newStore(t, fibersession.Config{Storage: st})
	channels := func() int {
		all, err := st.(*redis.Storage).Conn().PubSubChannels(ctx, "*").Result()
		must(t, err)
		return len(all)
	}
	idle := storedSession(t, s, nil)
	h := storedSession(t, s, nil)
	f := h.Fork()
	var stop, again func()
	waitForSubscription(t, s, func() {
		stop, again = h.Watch(func(fibersession.Event) {}), f.Watch(func(fibersession.Event) {})
	})
	if n := channels(); n != 1 || s.Stats().Tracked != 1 {
		t.Errorf("one session with two watches: got %d channels and Tracked %d, want 1 and 1", n, s.Stats().Tracked)
	}
	must(t, h.Regenerate(ctx))
	waitFor(t, "the new ID's channel to replace the old one's", func() bool {
		all, _ := st.(*redis.Storage).Conn().PubSubChannels(ctx, "*").Result()
		return len(all) == 1 && s.Stats().Rereads > 1
	})
	stop()
	if s.Stats().Tracked != 1 {
		t.Error("Tracked is not 1 while one watch is left")
	}
	again()
	waitFor(t, "no channel to be left", func() bool { return channels() == 0 })
	stop = idle.Watch(func(fibersession.Event) {})
	defer stop()
	waitFor(t, "the channel of the other session", func() bool { return channels() == 1 })
	idle.Release() // its watch was never stopped
	waitFor(t, "no channel to be left after the release of the last handle", func() bool { return channels() == 0 })
}

// Channels and messages contain no session ID.
func TestN6_NoIDTravelsOverAChannel(t *testing.T) {
	t.Parallel()
	st, err := storage.Open(redistest.Start(t).URL())
	must(t, err)
	t.Cleanup(func() { _ = st.Close() })
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	sub := st.(*redis.Storage).Conn().PSubscribe(ctx, "*")
	defer func() { _ = sub.Close() }()
	_, err = sub.Receive(ctx)
	must(t, err)
	h := storedSession(t, s, map[string]any{"n": 1})
	ids := []string{h.ID()}
	for range 3 {
		must(t, h.Regenerate(ctx))
		ids = append(ids, h.ID())
	}
	must(t, h.Login(ctx, "ann"))
	ids = append(ids, h.ID())
	must(t, h.Destroy(ctx))
	messages := 0
	limit, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for {
		m, err := sub.ReceiveMessage(limit)
		must(t, err)
		messages++
		for _, id := range ids {
			if strings.Contains(m.Channel+m.Payload, id) {
				t.Fatalf("message %d contains an ID", messages)
			}
		}
		if m.Payload == "D" {
			break
		}
	}
	if messages < 8 {
		t.Errorf("got %d messages, want at least 8", messages)
	}
}
