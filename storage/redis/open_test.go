package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

const secret = "s3cr3t-w0rd"

// Nothing panics and nothing waits for ever on a server that is not there, and
// the password does not come out.
func TestOpenOfAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := closed.Addr().String()
	_ = closed.Close()
	network := redistest.NewProxy(t, redistest.Start(t).Addr())
	network.Pause() // who connects never hears a word
	silent := network.Addr()
	locked := redistest.Start(t, "--requirepass", "another")
	for name, url := range map[string]string{
		"down":             "redis://user:%s@" + down + "/0",
		"down, TLS":        "rediss://user:%s@" + down + "/0",
		"down, cluster":    "redis-cluster://user:%s@" + down + "," + down,
		"down, Sentinel":   "redis-sentinel://user:%s@" + down + "," + down + "/0?master=m",
		"silent":           "redis://user:%s@" + silent + "/0?connect_timeout=50ms&timeout=1h",
		"silent, TLS":      "rediss://user:%s@" + silent + "/0?connect_timeout=50ms&timeout=1h",
		"silent, cluster":  "redis-cluster://user:%s@" + silent + "?connect_timeout=50ms&timeout=1h",
		"silent, Sentinel": "redis-sentinel://user:%s@" + silent + "?master=m&connect_timeout=50ms",
		"wrong password":   "redis://:%s@" + locked.Addr() + "/0",
		"wrong user":       "redis://user:%s@" + locked.Addr() + "/0",
		"no password":      "redis://" + locked.Addr() + "/0",
		"no such database": "redis://:another@" + locked.Addr() + "/9999",
		"not a cluster":    "redis-cluster://:another@" + locked.Addr(),
		"no such host":     "redis://user:%s@host.invalid:6379/0",
		"sentinel secret":  "redis-sentinel://" + down + "?master=m&sentinel_password=%s",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(url, "%s") {
				url = fmt.Sprintf(url, secret)
			}
			s, err := storage.Open(url)
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%v, want ErrUnavailable", err)
			}
			if s != nil {
				t.Error("a storage beside the error")
			}
			if text := fmt.Sprintf("%+v", err); strings.Contains(text, secret) {
				t.Errorf("%q holds the password", text)
			}
		})
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	tests := []struct {
		url  string
		want redis.Config
	}{
		{"redis://", redis.Config{Addrs: []string{"127.0.0.1:6379"}}},
		{"redis://host", redis.Config{Addrs: []string{"host:6379"}}},
		{"redis://host:1/2", redis.Config{Addrs: []string{"host:1"}, Database: 2}},
		{"REDISS://host:1/", redis.Config{Addrs: []string{"host:1"}, TLSConfig: secure}},
		{"redis://:p%40ss%2F%3A@host", redis.Config{Addrs: []string{"host:6379"}, Password: "p@ss/:"}},
		{"redis://user:a:b@c@host", redis.Config{Addrs: []string{"host:6379"}, Username: "user", Password: "a:b@c"}},
		{"redis://user@host", redis.Config{Addrs: []string{"host:6379"}, Username: "user"}},
		{"redis://[::1]:7/0", redis.Config{Addrs: []string{"[::1]:7"}}},
		{"redis://[::1]", redis.Config{Addrs: []string{"[::1]:6379"}}},
		{"redis://host?prefix=a%3A%26&timeout=150ms&connect_timeout=2s&pool_size=7&client_name=me&allow_flush=true", redis.Config{
			Addrs: []string{"host:6379"}, Prefix: "a:&", Timeout: 150 * time.Millisecond, ConnectTimeout: 2 * time.Second,
			PoolSize: 7, ClientName: "me", AllowFlush: true,
		}},
		{"redis-cluster://a,b:2,[::1]:3", redis.Config{Addrs: []string{"a:6379", "b:2", "[::1]:3"}, Cluster: true}},
		{"rediss-sentinel://u:p@a,b:2/3?master=m&sentinel_username=su&sentinel_password=sp", redis.Config{
			Addrs: []string{"a:26379", "b:2"}, Master: "m", Database: 3, Username: "u", Password: "p",
			SentinelUsername: "su", SentinelPassword: "sp", TLSConfig: secure,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			got, err := redis.ParseURL(tt.url)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "redis", "redis:host", "http://host", "redis-ring://host",
		"redis://host:port", "redis://host:0", "redis://host:65536", "redis://a b", "redis://host:1:2", "redis://::1",
		"redis://a,b", "redis://a,", "redis-cluster://a,,b",
		"redis://host/x", "redis://host/1/2", "redis://host/-1", "redis-cluster://host/1",
		"redis://host?timeout=3", "redis://host?timeout=-3s", "redis://host?pool_size=x", "redis://host?pool_size=-1",
		"redis://host?allow_flush=perhaps", "redis://host?unknown=1", "redis://host?%zz=1", "redis://host#fragment",
		"redis://host?master=m", "redis-sentinel://host", "redis-cluster://host?master=m",
		"redis://user:%zz@host", "redis://user:pass/word@host/0",
	} {
		if cfg, err := redis.ParseURL(url); !errors.Is(err, storage.ErrBadURL) {
			t.Errorf("%q: %+v, %v, want ErrBadURL", url, cfg, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, url := range []string{
		"redis://user:pass@host:6379/0?prefix=app:", "rediss://[::1]/1", "redis-sentinel://a,b:1/2?master=m",
		"redis-cluster://a:1,b:2", "redis://@", "redis://:@:", "redis://[::1", "redis://,", "redis://h/%2f?%", "redis:///0",
	} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		cfg, err := redis.ParseURL(url)
		if err != nil {
			if !errors.Is(err, storage.ErrBadURL) {
				t.Errorf("%q: %v does not wrap ErrBadURL", url, err)
			}
			return
		}
		for _, addr := range cfg.Addrs {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
				t.Errorf("%q: address %q", url, addr)
			}
		}
		if len(cfg.Addrs) == 0 || cfg.Database < 0 || len(cfg.Addrs) > 1 && !cfg.Cluster && cfg.Master == "" {
			t.Errorf("%q: %+v", url, cfg)
		}
	})
}

func TestN15_ResetClearsItsPrefixAlone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	plain := open(t, server.URL())
	app := open(t, server.URL()+"?prefix=app:")
	for _, s := range []storage.Storage{plain, app} {
		if err := s.Set("k", []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := plain.Reset(); !errors.Is(err, redis.ErrFlushRefused) {
		t.Errorf("Reset without a prefix: %v, want ErrFlushRefused", err)
	}
	if err := app.Reset(); err != nil {
		t.Error(err)
	}
	if val, _ := app.Get("k"); val != nil {
		t.Error("the prefix was not reset")
	}
	if val, _ := plain.Get("k"); val == nil {
		t.Error("others' keys are gone")
	}
	flusher := open(t, server.URL()+"?allow_flush=true")
	if err := flusher.Reset(); err != nil {
		t.Error(err)
	}
	if val, _ := plain.Get("k"); val != nil {
		t.Error("a flush that is allowed removed nothing")
	}
}

// Other programs read and write the same keys with plain commands.
func TestPlainCommandsOfOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL()+"?prefix=app:")
	other := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer other.Close()
	ctx := t.Context()
	rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("ours"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := other.Get(ctx, "app:k").Val(); got != "ours" {
		t.Errorf("others see %q, want ours", got)
	}
	if ttl := other.PTTL(ctx, "app:k").Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("ttl %v, want an hour at most", ttl)
	}
	if err := other.Set(ctx, "app:k", "theirs", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("x"), 0); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	item, err := s.Load(ctx, "k")
	if err != nil || string(item.Value) != "theirs" {
		t.Fatalf("%q, %v, want theirs", item.Value, err)
	}
	if _, err := s.CompareAndSwap(ctx, "k", item.Revision, []byte("ours again"), 0); err != nil {
		t.Error(err)
	}

	// An empty value counts as absent; another type of value is refused, not destroyed.
	other.Set(ctx, "app:empty", "", 0)
	if _, err := s.Load(ctx, "empty"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an empty value: %v, want ErrNotFound", err)
	}
	if _, err := s.CompareAndSwap(ctx, "empty", storage.Absent, []byte("v"), 0); err != nil {
		t.Errorf("CompareAndSwap over an empty value: %v", err)
	}
	other.RPush(ctx, "app:list", "a")
	if _, err := s.CompareAndSwap(ctx, "list", storage.Absent, []byte("v"), 0); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("CompareAndSwap over a list: %v, want ErrUnavailable", err)
	}
	if n := other.LLen(ctx, "app:list").Val(); n != 1 {
		t.Error("the list is gone")
	}
}

// A channel is no safe place: what is not a message of ours is ignored, and other
// databases of the server share the channels but not the keys.
func TestFeedIgnoresOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ctx := t.Context()
	s := open(t, server.URL())
	third := open(t, strings.TrimSuffix(server.URL(), "/0")+"/3")
	other := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer other.Close()
	told := make(chan storage.Change, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { told <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	for _, msg := range []string{"", "W", "Dx", "X", "w", "\x00", strings.Repeat("Z", 1<<20)} {
		if n, err := other.Publish(ctx, "k:changes", msg).Result(); err != nil || n != 1 {
			t.Fatalf("Publish: %d, %v; is the channel's name still right?", n, err)
		}
	}
	if err := third.Set("k", []byte("of another database"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("k", []byte("ours"), 0); err != nil {
		t.Fatal(err)
	}
	if c := <-told; string(c.Item.Value) != "ours" {
		t.Errorf("told %.40q of kind %v, want ours", c.Item.Value, c.Kind)
	}
}

// The rights that the package's documentation names are enough for everything.
func TestSuiteWithTheLeastRights(t *testing.T) {
	server := redistest.Start(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	rules := strings.Fields("ACL SETUSER shop on >" + secret + " ~shop:* &shop:* +@read +@write +@scripting +@pubsub +ping +time")
	args := make([]any, len(rules))
	for i, r := range rules {
		args[i] = r
	}
	if err := admin.Do(context.Background(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(server.URL(), "redis://", "redis://shop:"+secret+"@", 1)
	storagetest.Run(t, opener(url, "shop:"))
}

// A swap that was carried out is not called refused because its message was.
func TestSwapWithoutTheRightToPublish(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	if err := admin.Do(t.Context(), "acl", "setuser", "quiet", "on", ">"+secret, "~*", "resetchannels", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	s := open(t, strings.Replace(server.URL(), "redis://", "redis://quiet:"+secret+"@", 1))
	rev, err := s.CompareAndSwap(t.Context(), "k", storage.Absent, []byte("v"), 0)
	if err != nil {
		t.Errorf("CompareAndSwap: %v", err)
	}
	if err := s.CompareAndDelete(t.Context(), "k", rev); err != nil {
		t.Errorf("CompareAndDelete: %v", err)
	}
}
