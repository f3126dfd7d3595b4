package redis_test

import (
	"crypto/tls"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

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
				t.Errorf("ParseURL = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseURLRejects(t *testing.T) {
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
			t.Errorf("ParseURL(%q) = %+v, %v, want ErrBadURL", url, cfg, err)
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
				t.Errorf("ParseURL(%q): %v, want ErrBadURL", url, err)
			}
			return
		}
		for _, addr := range cfg.Addrs {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
				t.Errorf("ParseURL(%q) returned the address %q, want host:port", url, addr)
			}
		}
		if len(cfg.Addrs) == 0 || cfg.Database < 0 || len(cfg.Addrs) > 1 && !cfg.Cluster && cfg.Master == "" {
			t.Errorf("ParseURL(%q) = %+v, which New rejects", url, cfg)
		}
	})
}

// An invalid Config is rejected before New connects. The error names the field and
// what is allowed.
func TestNewRejectsInvalidConfigs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		cfg     redis.Config
		field   string
		allowed string
	}{
		{"negative Timeout", redis.Config{Timeout: -time.Second}, "Config.Timeout is -1s", "must be at least 1ms, or 0 for the default (3s)"},
		{"Timeout too short", redis.Config{Timeout: time.Nanosecond}, "Config.Timeout is 1ns", "must be at least 1ms"},
		{"negative ConnectTimeout", redis.Config{ConnectTimeout: -1}, "Config.ConnectTimeout is -1ns", "must be at least 1ms, or 0 for the default (5s)"},
		{"negative PoolSize", redis.Config{PoolSize: -1}, "Config.PoolSize is -1", "must be positive, or 0"},
		{"negative Database", redis.Config{Database: -1}, "Config.Database is -1", "must be 0 or more"},
		{"Cluster and Master", redis.Config{Cluster: true, Master: "m"}, "Config.Cluster and Master", "set only one"},
		{"Cluster and Database", redis.Config{Cluster: true, Database: 1}, "Config.Database is 1", "must be 0 with Cluster"},
		{"SentinelUsername without Master", redis.Config{SentinelUsername: "u"}, "Config.SentinelUsername", "without Master"},
		{"SentinelPassword without Master", redis.Config{SentinelPassword: secret, Cluster: true}, "SentinelPassword", "without Master"},
		{"several Addrs", redis.Config{Addrs: []string{"a:1", "b:1"}}, "Config.Addrs has 2 addresses", "need Cluster (redis-cluster://) or Master (redis-sentinel://)"},
		{"empty address", redis.Config{Addrs: []string{""}}, "Config.Addrs[0]", `must be "host:port"`},
		{"address without port", redis.Config{Addrs: []string{"a:1", "b"}, Cluster: true}, "Config.Addrs[1]", `must be "host:port"`},
		{"address with empty port", redis.Config{Addrs: []string{"a:"}}, "Config.Addrs[0]", `must be "host:port"`},
		{"URL as address", redis.Config{Addrs: []string{"redis://:" + secret + "@a:1"}}, "Config.Addrs[0]", `must be "host:port"`},
		{"socket path in a cluster", redis.Config{Addrs: []string{"a:1", "/redis.sock"}, Cluster: true}, "Config.Addrs[1]", `must be "host:port"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := redis.New(tt.cfg)
			if !errors.Is(err, storage.ErrBadURL) || s != nil {
				t.Fatalf("New = %v, %v, want nil, ErrBadURL", s, err)
			}
			if text := err.Error(); !strings.Contains(text, tt.field) || !strings.Contains(text, tt.allowed) || strings.Contains(text, secret) {
				t.Errorf("error %q, want %q and %q in it, and no password", text, tt.field, tt.allowed)
			}
		})
	}
}

// The defaults apply to the fields that a Config does not set.
func TestNewAppliesDefaults(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr()
	for name, tt := range map[string]struct {
		cfg                redis.Config
		timeout, dialLimit time.Duration
	}{
		"nothing set":              {redis.Config{}, 3 * time.Second, 3 * time.Second},
		"Timeout":                  {redis.Config{Timeout: time.Minute}, time.Minute, 5 * time.Second},
		"ConnectTimeout":           {redis.Config{ConnectTimeout: time.Second}, 3 * time.Second, time.Second},
		"Timeout below the others": {redis.Config{Timeout: time.Second, ConnectTimeout: time.Minute}, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Addrs = []string{addr}
			s, err := redis.New(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got := s.Conn().(*goredis.Client).Options()
			if got.ReadTimeout != tt.timeout || got.WriteTimeout != tt.timeout || got.DialTimeout != tt.dialLimit {
				t.Errorf("read, write, dial timeout = %v, %v, %v, want %v, %v, %v",
					got.ReadTimeout, got.WriteTimeout, got.DialTimeout, tt.timeout, tt.timeout, tt.dialLimit)
			}
			if got.MaxRetries > 0 || got.Protocol != 2 || !got.ContextTimeoutEnabled || !got.DisableIdentity || got.PoolSize == 0 {
				t.Errorf("options %+v", got)
			}
		})
	}
}
