package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

// pooled is the number of connections in the pool before a failover.
const pooled = 8

// failover is a storage whose address leads to a new master after promote, while its
// connections still lead to the old one.
type failover struct {
	old, new *redistest.Server
	network  *redistest.Proxy
	log      *lockedBuffer
	s        *redis.Storage
	direct   storage.Storage // on the new master
	changes  chan storage.Change
}

// lockedBuffer is a bytes.Buffer that is safe for concurrent use.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.buf.String()), "\n")
}

// newFailover opens the storage with pooled idle connections and a watch of the key
// "watched".
func newFailover(t *testing.T, options string) *failover {
	t.Helper()
	f := &failover{old: redistest.Start(t), new: redistest.Start(t), log: &lockedBuffer{}, changes: make(chan storage.Change, 1000)}
	f.network = redistest.NewProxy(t, f.old.Addr())
	f.direct = open(t, f.new.URL())
	cfg, err := redis.ParseURL(f.network.URL() + "?client_name=fiberbridge&" + options)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(f.log, nil))
	if f.s, err = redis.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.s.Close() })
	w, err := f.s.Watch(func(c storage.Change) { f.changes <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "watched"); err != nil {
		t.Fatal(err)
	}
	if err := f.s.Set("before", []byte("v"), 0); err != nil { // so that the server knows the script
		t.Fatal(err)
	}
	fillPool(t, f.s.Conn().(*goredis.Client))
	return f
}

// fillPool opens connections until the pool has pooled idle ones.
func fillPool(t *testing.T, client *goredis.Client) {
	t.Helper()
	var held []*goredis.Conn
	for range pooled {
		c := client.Conn()
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		_ = c.Close()
	}
	if n := client.PoolStats().IdleConns; n < pooled {
		t.Fatalf("the pool has %d idle connections, want %d", n, pooled)
	}
}

// demote makes the old server a replica of the new one, and waits until it is in sync.
func (f *failover) demote(t *testing.T) {
	t.Helper()
	host, port, _ := net.SplitHostPort(f.new.Addr())
	f.old.Do("replicaof", host, port)
	f.old.WaitForReplica()
}

// waitForGap waits until the watch reports a Gap.
func (f *failover) waitForGap(t *testing.T) {
	t.Helper()
	f.waitForChange(t, "a Gap", func(c storage.Change) bool { return c.Kind == storage.Gap })
}

// waitForValue waits until the watch reports a value.
func (f *failover) waitForValue(t *testing.T, want string) {
	t.Helper()
	f.waitForChange(t, "the value "+want, func(c storage.Change) bool { return string(c.Item.Value) == want })
}

func (f *failover) waitForChange(t *testing.T, event string, wanted func(storage.Change) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		select {
		case c := <-f.changes:
			if wanted(c) {
				return
			}
		case <-ctx.Done():
			t.Fatalf("timed out waiting for %s", event)
		}
	}
}

func isCertain(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome)
}

// The address leads to another server, and the old one refuses requests on each pooled
// connection. The first refusal replaces them all.
func TestFailoverOneRefusalHealsAllConnections(t *testing.T) {
	t.Parallel()
	write := func(ctx context.Context, s *redis.Storage, i int) error {
		_, err := s.CompareAndSwap(ctx, "key "+strconv.Itoa(i), storage.Absent, []byte("v"), 0)
		return err
	}
	for reply, tt := range map[string]struct {
		demote  func(t *testing.T, f *failover)
		request func(ctx context.Context, s *redis.Storage, i int) error
	}{
		"READONLY": {func(t *testing.T, f *failover) { f.demote(t) }, write},
		"READONLY to a command": {func(t *testing.T, f *failover) { f.demote(t) }, func(ctx context.Context, s *redis.Storage, i int) error {
			return s.RemoveMember(ctx, "set", "member")
		}},
		"MASTERDOWN": {func(_ *testing.T, f *failover) {
			f.old.Do("config", "set", "replica-serve-stale-data", "no")
			f.old.Do("replicaof", "127.0.0.1", "1")
		}, write},
		"MASTERDOWN to a read": {func(_ *testing.T, f *failover) {
			f.old.Do("config", "set", "replica-serve-stale-data", "no")
			f.old.Do("replicaof", "127.0.0.1", "1")
		}, func(ctx context.Context, s *redis.Storage, _ int) error {
			if _, err := s.Load(ctx, "k"); !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			return nil
		}},
		"NOREPLICAS": {func(_ *testing.T, f *failover) { f.old.Do("config", "set", "min-replicas-to-write", "1") }, write},
		"LOADING": {func(_ *testing.T, f *failover) {
			f.new.Do("eval", "for i = 1, 20000 do redis.call('set', 'filler ' .. i, string.rep('x', 100)) end", "0")
			f.old.Do("config", "set", "key-load-delay", "500", "loading-process-events-interval-bytes", "1024")
			host, port, _ := net.SplitHostPort(f.new.Addr())
			f.old.Do("replicaof", host, port)
			f.old.WaitFor("the old master loads", func(info string) bool { return strings.Contains(info, "loading:1") }, "info", "persistence")
		}, write},
	} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			f := newFailover(t, "timeout=1m")
			f.network.Retarget(f.new.Addr())
			tt.demote(t, f)
			err := tt.request(t.Context(), f.s, 0)
			code, _, _ := strings.Cut(reply, " ")
			if !isCertain(err) || !strings.Contains(err.Error(), code) {
				t.Fatalf("the first request: %v, want ErrUnavailable with %s", err, code)
			}
			refused := 0
			for i := range 10 * pooled {
				if err := tt.request(t.Context(), f.s, i+1); err != nil {
					refused++
				}
			}
			if refused > 0 {
				t.Errorf("after the first refusal, %d of %d requests failed", refused, 10*pooled)
			}
			// All idle connections lead to the new server.
			client := f.s.Conn().(*goredis.Client)
			fillPool(t, client)
			for range pooled {
				c := client.Conn()
				defer c.Close()
				if id := infoField(t, c.Info(t.Context(), "server").Val(), "run_id"); id != infoField(t, f.new.Do("info", "server"), "run_id") {
					t.Error("a pooled connection leads to the old server")
				}
			}
			f.waitForGap(t)
			// Since then, the feed is connected to the new server.
			if err := f.direct.Set("watched", []byte("new"), 0); err != nil {
				t.Fatal(err)
			}
			f.waitForValue(t, "new")
			if lines := f.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], code) || !strings.Contains(lines[0], "Config.Addrs") || !strings.Contains(lines[0], "notice=redis_refuses") {
				t.Errorf("log %q, want one line with %s", lines, code)
			}
		})
	}
}

func infoField(t *testing.T, info, name string) string {
	t.Helper()
	for line := range strings.Lines(info) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key == name {
			return value
		}
	}
	t.Fatalf("INFO has no field %s", name)
	return ""
}

// Connections that nothing uses again, and those of other subscribers of the client, do
// not stay with the old server.
func TestFailoverClosesRetiredConnections(t *testing.T) {
	t.Parallel()
	f := newFailover(t, "timeout=2s")
	ps := f.s.Conn().Subscribe(t.Context(), "other")
	defer ps.Close()
	if _, err := ps.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.network.Retarget(f.new.Addr())
	f.demote(t)
	if err := f.s.Set("k", []byte("v"), 0); !isCertain(err) {
		t.Fatalf("Set: %v, want ErrUnavailable", err)
	}
	f.old.WaitFor("the old server has no connection of the storage", func(list string) bool {
		return !strings.Contains(list, "name=fiberbridge")
	}, "client", "list")
	if err := f.s.Set("k", []byte("v"), 0); err != nil {
		t.Errorf("Set on the new server: %v", err)
	}
}

// A request in flight on an old connection gets its reply.
func TestFailoverKeepsRequestsInFlight(t *testing.T) {
	t.Parallel()
	f := newFailover(t, "timeout=1m")
	f.network.Retarget(f.new.Addr())
	f.demote(t)
	result := make(chan error, 1)
	go func() { // received below
		result <- f.s.Conn().Do(context.Background(), "xread", "block", "0", "streams", "stream", "$").Err()
	}()
	f.old.WaitFor("the request is in flight", func(list string) bool { return strings.Contains(list, "cmd=xread") }, "client", "list")
	if err := f.s.Set("k", []byte("v"), 0); !isCertain(err) {
		t.Fatalf("Set: %v, want ErrUnavailable", err)
	}
	f.waitForGap(t)
	f.new.Do("xadd", "stream", "*", "k", "v") // replicated to the old server
	if err := <-result; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
}

// A command that was blocked when the server became a replica shows it.
func TestFailoverUnblockedCommand(t *testing.T) {
	t.Parallel()
	f := newFailover(t, "timeout=1m")
	result := make(chan error, 1)
	go func() { // received below
		result <- f.s.Conn().Do(context.Background(), "blpop", "list", "0").Err()
	}()
	f.old.WaitFor("the command is blocked", func(list string) bool { return strings.Contains(list, "cmd=blpop") }, "client", "list")
	f.network.Retarget(f.new.Addr())
	f.demote(t)
	if err := <-result; !goredis.HasErrorPrefix(err, "UNBLOCKED") {
		t.Fatalf("BLPOP: %v, want UNBLOCKED", err)
	}
	f.waitForGap(t)
	if err := f.s.Set("k", []byte("v"), 0); err != nil {
		t.Errorf("the first write: %v", err)
	}
}

// While the address leads to a replica, the storage neither connects nor reports a Gap
// for each refused write. It notices when writes succeed again.
func TestFailoverServerStaysReadOnly(t *testing.T) {
	t.Parallel()
	f := newFailover(t, "timeout=1m")
	f.demote(t)
	connections := func() int {
		n, err := strconv.Atoi(infoField(t, f.old.Do("info", "stats"), "total_connections_received"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := connections()
	const writes = 5000
	for i := range writes {
		if _, err := f.s.CompareAndSwap(t.Context(), fmt.Sprint(i), storage.Absent, []byte("v"), 0); !isCertain(err) || !strings.Contains(err.Error(), "READONLY") {
			t.Fatalf("write %d: %v, want ErrUnavailable with READONLY", i, err)
		}
		if i%100 == 0 { // reads are not held back
			if _, err := f.s.Load(t.Context(), "none"); !errors.Is(err, storage.ErrNotFound) {
				t.Fatalf("Load: %v, want ErrNotFound", err)
			}
		}
	}
	if n := connections() - before; n > writes/10 {
		t.Errorf("%d refused writes opened %d connections", writes, n)
	}
	f.waitForGap(t)
	select {
	case c := <-f.changes:
		t.Errorf("notified of %+v, want no second Gap while the server stays read-only", c)
	default:
	}
	if lines := f.log.lines(); len(lines) != 1 {
		t.Errorf("%d lines are logged, want 1: %q", len(lines), lines)
	}

	f.old.Do("replicaof", "no", "one")
	waitFor(t, "a write succeeds", func() bool { return f.s.Set("k", []byte("v"), 0) == nil })
	f.waitForGap(t)
	for i := range 2 * pooled {
		if err := f.s.Set("k", []byte(strconv.Itoa(i)), 0); err != nil {
			t.Errorf("Set after the first that succeeded: %v", err)
		}
	}
}

// The address leads to the new master only after the old one has refused writes for a
// while. Then, too, nothing stays with the old one.
func TestFailoverAddressFollowsLater(t *testing.T) {
	t.Parallel()
	f := newFailover(t, "timeout=1m")
	f.demote(t)
	for i := range 3 {
		if err := f.s.Set("k", []byte(strconv.Itoa(i)), 0); !isCertain(err) {
			t.Fatalf("Set: %v, want ErrUnavailable", err)
		}
	}
	f.waitForGap(t)
	fillPool(t, f.s.Conn().(*goredis.Client)) // new connections to the old server
	f.network.Retarget(f.new.Addr())
	waitFor(t, "a write succeeds", func() bool { return f.s.Set("k", []byte("v"), 0) == nil })
	f.waitForGap(t)
	for i := range 2 * pooled {
		if err := f.s.Set("k", []byte(strconv.Itoa(i)), 0); err != nil {
			t.Errorf("Set after the first that succeeded: %v", err)
		}
	}
	f.old.Do("replicaof", "no", "one") // it hears no more changes of the new master
	if err := f.direct.Set("watched", []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	f.waitForValue(t, "new")
}
