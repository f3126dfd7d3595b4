package reliability_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

// skewed is the storage of a node whose wall clock is ahead of the others' by a duration. Only
// differences between clocks can be seen, so the node keeps the clock of the process, and the
// three times in each session's envelope (layout_sealed.go in fibersession) are shifted: later
// where it writes them, earlier where it reads them. A TTL is a duration and stays.
type skewed struct {
	storage.Storage
	storage.Feed
	storage.Index
	storage.TTLReader
	ahead *atomic.Int64 // nanoseconds
}

func newSkewed(s storage.Storage, ahead *atomic.Int64) storage.Storage {
	return skewed{s, s.(storage.Feed), s.(storage.Index), s.(storage.TTLReader), ahead}
}

func (s skewed) shift(val []byte, by time.Duration) []byte {
	if !strings.HasPrefix(string(val), "fbs\x02") {
		return val
	}
	val = append([]byte(nil), val...)
	for _, at := range []int{24, 32, 40} { // created, expiry, absolute limit
		if n := binary.BigEndian.Uint64(val[at:]); n != 0 {
			binary.BigEndian.PutUint64(val[at:], n+uint64(by))
		}
	}
	return val
}

func (s skewed) Load(ctx context.Context, key string) (storage.Item, error) {
	item, err := s.Storage.Load(ctx, key)
	item.Value = s.shift(item.Value, -time.Duration(s.ahead.Load()))
	return item, err
}

func (s skewed) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	return s.Storage.CompareAndSwap(ctx, key, old, s.shift(val, time.Duration(s.ahead.Load())), ttl)
}

// R22: three nodes, one whose clock is an hour ahead and one whose clock is an hour behind.
// With idle limits from half an hour to a day, no visitor is logged out on any of them, by
// requests or sockets, and a visitor who stays on one node keeps the session alive. A session
// whose time is over by Redis's clock too is ended by all.
//
// Limits on a fake clock are in fibersession's TestExpiry tests and socketbridge's
// session_expiry_test.go, the clock of signatures in redisadapter's TestSign_ tests.
func TestR22_ClocksAnHourApart(t *testing.T) {
	t.Parallel()
	names := []string{"true", "ahead", "behind"}
	visitors := scaled(6, 300)
	for _, idle := range []time.Duration{30 * time.Minute, time.Hour, 24 * time.Hour} {
		t.Run(idle.String(), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			var nodes []*clusterNode
			for _, ahead := range []time.Duration{0, time.Hour, -time.Hour} {
				var by atomic.Int64
				by.Store(int64(ahead))
				nodes = append(nodes, startClusterNodes(t, 1, clusterConfig{
					storage:  server.URL(),
					sessions: fibersession.Config{Expiration: idle, Timeouts: fibersession.Timeouts{Storage: 10 * time.Second}},
					wrap:     func(s storage.Storage) storage.Storage { return newSkewed(s, &by) },
					joins:    true,
				})...)
			}
			var loggedOut, checked atomic.Int64
			var running sync.WaitGroup
			slots := make(chan struct{}, 8)
			for i := range visitors {
				slots <- struct{}{}
				running.Go(func() {
					defer func() { <-slots }()
					ctx := t.Context()
					v := newVisitor(fmt.Sprintf("v%d", i), "http://"+nodes[i%3].addr)
					if _, err := v.do(ctx, "POST", "/login/"+v.me); err != nil {
						t.Errorf("login: %v", err)
						return
					}
					var tabs []*tab
					for round := range 6 {
						n := (i + 1 + round) % 3
						v.moveTo("http://" + nodes[n].addr)
						body, err := v.do(ctx, "POST", "/touch")
						if checked.Add(1); err != nil || body != v.me {
							t.Errorf("a session of node %s on node %s: got user %q, %v", names[i%3], names[n], body, err)
							loggedOut.Add(1)
							return
						}
						if round < 3 {
							socket, err := v.open(ctx, nil, nil)
							if err != nil {
								t.Errorf("a socket on node %s: %v", names[n], err)
								loggedOut.Add(1)
								return
							}
							tabs = append(tabs, socket)
							defer socket.close(false)
						}
						for _, socket := range tabs {
							checked.Add(1)
							if _, err := socket.call(ctx, "who"); err != nil {
								t.Errorf("after a visit of node %s: %v", names[n], err)
								loggedOut.Add(1)
							}
						}
					}
				})
			}
			running.Wait()
			checkKeptAlive(t, server, nodes, names, idle)
			report(t, "R22", "clocks an hour apart, idle limit %v: %d visitors on 3 nodes, %d checks, %d logged out; notices clock_differs %d, %d, %d",
				idle, visitors, checked.Load(), loggedOut.Load(),
				nodes[0].sessions.Stats().Notices["clock_differs"], nodes[1].sessions.Stats().Notices["clock_differs"], nodes[2].sessions.Stats().Notices["clock_differs"])
		})
	}
}

// checkKeptAlive has the TTL of a session run down in Redis. A request on any node extends it
// while the session lives, and finds the session gone when its time is over.
func checkKeptAlive(t *testing.T, server *redistest.Server, nodes []*clusterNode, names []string, idle time.Duration) {
	t.Helper()
	ttls := nodes[0].store.(storage.TTLReader)
	for i, n := range nodes {
		v := newVisitor("keep", "http://"+nodes[0].addr)
		if _, err := v.do(t.Context(), "POST", "/login/"+v.me); err != nil {
			t.Fatal(err)
		}
		key := onlySessionOf(t, server, nodes[0].store, v.me)
		v.moveTo("http://" + n.addr)
		if i > 0 { // by the node's own clock, the limit is half an hour away at least, or has passed
			server.Do("pexpire", key, fmt.Sprint((3 * time.Minute).Milliseconds()))
			if body, err := v.do(t.Context(), "GET", "/who"); err != nil || body != v.me {
				t.Errorf("node %s, with 2 minutes left: got user %q, %v", names[i], body, err)
			}
			// A clock that is ahead by less than the idle limit sees a session that was not used
			// for an hour. One that is behind sees one that was used in the future.
			if ttl, err := ttls.TTL(t.Context(), key); err != nil || ttl < idle {
				t.Errorf("node %s did not extend the session: its TTL is %v, %v", names[i], ttl, err)
			}
		}
		if i == 1 && idle <= time.Hour {
			v.moveTo("http://" + nodes[0].addr)
			if _, err := v.do(t.Context(), "POST", "/touch"); err != nil { // the node with the true clock writes
				t.Error(err)
			}
			v.moveTo("http://" + n.addr)
			server.Do("pexpire", key, fmt.Sprint((50 * time.Second).Milliseconds())) // within the margin: its time is over
			if body, err := v.do(t.Context(), "GET", "/who"); err != nil || body != "" {
				t.Errorf("a session that is over by Redis's clock too: got user %q, %v; want none", body, err)
			}
			if _, err := nodes[0].store.Load(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("a session that is over by both clocks is still in the store: %v", err)
			}
			continue
		}
		if _, err := v.do(t.Context(), "POST", "/logout"); err != nil {
			t.Error(err)
		}
	}
}

// onlySessionOf returns the key of a user's session.
func onlySessionOf(t *testing.T, server *redistest.Server, store storage.Storage, user string) (found string) {
	t.Helper()
	for key := range strings.Lines(server.Do("--scan")) {
		key = strings.TrimSpace(key)
		item, err := store.Load(t.Context(), key)
		if err == nil && strings.HasPrefix(string(item.Value), "fbs\x02\x01") && strings.Contains(string(item.Value), user) {
			found = key
		}
	}
	if found == "" {
		t.Fatalf("Redis has no session of %s", user)
	}
	return found
}
