package fibersession_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

// New rejects contradictory configurations with a message that names the field to change.
func TestN7_ExpressConfig(t *testing.T) {
	t.Parallel()
	good := &fibersession.Express{Secrets: []string{expressSecret}}
	for want, cfg := range map[string]fibersession.Config{
		"Express.Secrets is empty": {Express: &fibersession.Express{}},
		"empty secret, number 2":   {Express: &fibersession.Express{Secrets: []string{"a", ""}}},
		"Express with Builtin":     {Express: good, Builtin: true},
		"Codec with Express":       {Express: good, Codec: fibersession.JSON{}},
		"set Express.Secrets":      {Express: good, Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1)}}},
		"Timeouts.Absolute":        {Express: good, Timeouts: fibersession.Timeouts{Absolute: time.Hour}},
	} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("New panicked with %q, want a message about %q", p, want)
				}
			}()
			cfg.Logger = discardLogger
			fibersession.New(cfg)
		}()
	}
	var log bytes.Buffer
	newStore(t, fibersession.Config{Express: &fibersession.Express{Secrets: []string{"keyboard cat"}}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if text := log.String(); !strings.Contains(text, "fewer than 32 bytes") || strings.Contains(text, "keyboard") {
		t.Errorf("want a warning about a short secret, without the secret; got\n%s", text)
	}
	secrets := []string{expressSecret}
	s := newStore(t, fibersession.Config{Express: &fibersession.Express{Secrets: secrets}})
	before := s.CookieValue("", expressID)
	secrets[0] = "changed by its owner, after the fact"
	if s.CookieValue("", expressID) != before {
		t.Error("a change of the caller's slice changed the store's secret")
	}
}

// A watched session is read again at intervals, to find changes by Express. All its
// watchers share one read.
func TestN7_ExpressRecheck(t *testing.T) {
	withFakeClock(t, expressConfig(fibersession.Config{}), func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, map[string]any{"n": 1})
		defer h.Release()
		var events []string
		for range 5 {
			stop := h.Watch(func(e fibersession.Event) { events = append(events, fmt.Sprint(e.Kind, e.Keys, e.Cause)) })
			defer stop()
		}
		synctest.Wait() // a session is read once when its subscription starts
		before := s.Stats().Loads
		time.Sleep(time.Minute)
		if loads := s.Stats().Loads - before; loads < 5 || loads > 9 || len(events) != 0 {
			t.Errorf("got %d reads in a minute, want 5 to 9; got the events %q, want none", loads, events)
		}
	})
}

// Nodes of this package notify one another of changes and of the end, as with the other
// layouts. A new ID ends the session on the other nodes, because nothing leads them to it.
func TestN7_ExpressNodes(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		cfg := expressConfig(fibersession.Config{Storage: st, Tracking: fibersession.Tracking{Recheck: -1}, Freshness: fibersession.Tracked})
		one, two := newStore(t, cfg), newStore(t, cfg)
		for name, act := range map[string]func(h *fibersession.Handle) error{
			"Destroy":    func(h *fibersession.Handle) error { return h.Destroy(ctx) },
			"Regenerate": func(h *fibersession.Handle) error { return h.Regenerate(ctx) },
		} {
			near := expressSession(t, one, st, `{"cookie":{"originalMaxAge":3600000},"n":1}`)
			far := handleOf(t, two, expressID)
			events := make(chan fibersession.Event, 100)
			stop := far.Watch(func(e fibersession.Event) { events <- e })
			next := func() fibersession.Event {
				t.Helper()
				select {
				case e := <-events:
					return e
				case <-time.After(20 * time.Second):
					t.Fatalf("%s: no event within 20s", name)
					panic("unreachable")
				}
			}
			near.Set("n", 2)
			must(t, near.Save(ctx))
			if e := next(); e.Kind != fibersession.Changed || fmt.Sprint(e.Keys) != "[n]" || far.Get("n") != 2 {
				t.Errorf("%s: got event %v and n = %v, want Changed [n] and 2", name, e, far.Get("n"))
			}
			loads := two.Stats().Loads // Express reports no changes, so every read asks the store
			must(t, far.Refresh(ctx, 0))
			if two.Stats().Loads == loads {
				t.Errorf("%s: a tracked read did not ask the store", name)
			}
			must(t, act(near))
			if e := next(); e.Kind != fibersession.Ended || !errors.Is(e.Cause, fibersession.ErrDestroyed) {
				t.Errorf("%s: got event %v, want Ended with ErrDestroyed", name, e)
			}
			stop()
			near.Release()
			far.Release()
		}
	})
}
