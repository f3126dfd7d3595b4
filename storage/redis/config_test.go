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
		{"redis://host:1?db=3", redis.Config{Addrs: []string{"host:1"}, Database: 3}},
		{"redis://host:1/3?db=3", redis.Config{Addrs: []string{"host:1"}, Database: 3}},
		{"unix:///run/redis.sock?db=1&prefix=shop:", redis.Config{Addrs: []string{"/run/redis.sock"}, Database: 1, Prefix: "shop:"}},
		{"unix://user:p%40ss@/run/my%20redis.sock", redis.Config{Addrs: []string{"/run/my redis.sock"}, Username: "user", Password: "p@ss"}},
		{"rediss://host:1?tls_server_name=db&tls_min_version=1.3", redis.Config{
			Addrs: []string{"host:1"}, TLSConfig: &tls.Config{ServerName: "db", MinVersion: tls.VersionTLS13},
		}},
		{"rediss-cluster://a,b?tls_skip_verify=true&tls_min_version=1.2", redis.Config{
			Addrs: []string{"a:6379", "b:6379"}, Cluster: true, TLSConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
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
		"redis://host/0?prefix=me@x:", "redis://host/1?db=2", "redis://host?db=x", "redis://host?db=-1", "redis-cluster://host?db=1",
		"unix://", "unix:///", "unix://host/run/redis.sock", "unix://run/redis.sock", "unix:///run/redis.sock?master=m",
		"unix:///run/redis.sock?tls_server_name=x", "redis://host?tls_ca_file=/ca.pem", "redis-sentinel://host?master=m&tls_skip_verify=true",
		"rediss://host?tls_min_version=1.1", "rediss://host?tls_skip_verify=perhaps", "rediss://host?tls_skip_verify=",
		"rediss://host?tls_ca_file=/nowhere.pem", "rediss://host?tls_ca_file=/dev/null", "rediss://host?tls_ca_file=",
		"rediss://host?tls_cert_file=/cert.pem", "rediss://host?tls_key_file=/key.pem", "rediss://host?tls_cert_file=/dev/null&tls_key_file=/dev/null",
		"rediss://host?tls_ca_file=/dev/null&tls_skip_verify=true", "rediss://host?tls=true", "redis://host?sentinel_password=x",
	} {
		if cfg, err := redis.ParseURL(url); !errors.Is(err, storage.ErrBadURL) {
			t.Errorf("ParseURL(%q) = %+v, %v, want ErrBadURL", url, cfg, err)
		}
	}
}

// The error for an unknown option names it, unless it may be a piece of a secret.
func TestParseURLNamesTheUnknownOption(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, has, hasNot string }{
		{"redis://user:pw@host?prefx=a", `unknown option "prefx"`, "pw"},
		{"redis://host?timeout=soon", "option timeout", "soon"},
		{"rediss://host?tls_ca=x", `unknown option "tls_ca"`, ""},
		{"redis://host?tls_ca_file=x", "tls_ca_file needs TLS: rediss", ""},
		{"redis-sentinel://host?master=m&sentinel_password=XQZ&JKV", `write "&" as %26`, "JKV"},
		{"redis-sentinel://host?master=m&sentinel_password=XQZ#JKV", `"#" as %23`, "JKV"},
	} {
		if _, err := redis.ParseURL(tt.url); err == nil || !strings.Contains(err.Error(), tt.has) || tt.hasNot != "" && strings.Contains(err.Error(), tt.hasNot) {
			t.Errorf("ParseURL(%q): %v, want %q and not %q", tt.url, err, tt.has, tt.hasNot)
		}
	}
}

// unencoded are URLs with "%s" in the place of a secret.
var unencoded = []string{
	"redis://user:%s@host:1/0", "redis://:%s@host:1/0?prefix=a:", "redis://%s@host", "rediss://user:%s@host", "unix://user:%s@/run/redis.sock",
	"redis-cluster://user:%s@host,host:2", "redis-sentinel://user:%s@host/0?master=m", "redis-sentinel://host?master=m&sentinel_password=%s",
	"redis-sentinel://host?sentinel_password=%s&master=m",
}

// A password that is not percent-encoded either works or gives an error that says which
// characters to encode, and that has no piece of the password.
func TestParseURLKeepsPiecesOfAPassword(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		password string
		advice   string
	}{
		"slash":                       {"XQZ/JKV", `"/" as %2F`},
		"slash after what is a port":  {"48484/JKV", `"/" as %2F`},
		"question mark":               {"XQZ?JKV", `"?" as %3F`},
		"question mark after a port":  {"48484?JKV", `"?" as %3F`},
		"looks like an option":        {"48484?prefix=JKV&XQZ", `"?" as %3F`},
		"hash":                        {"XQZ#JKV", `"#" as %23`},
		"percent":                     {"XQZ%JKV", `"%" as %25`},
		"percent at the end":          {"XQZJKV%", `"%" as %25`},
		"at and slash":                {"XQZ@JKV/VVV", `"@" as %40`},
		"at, port, slash, at":         {"XQZ@VVV:48484/JKV@XQX", `"@" as %40`},
		"slash and a number":          {"48484/48484", `"/" as %2F`},
		"colon and slash":             {"XQZ:JKV/XQZ", `":" as %3A`},
		"at and options":              {"XQZ@VVV?timeout=JKV", `"@" as %40`},
		"an unknown option, a number": {"48484?JKV=XQZ", `"?" as %3F`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, format := range unencoded[:7] {
				rawURL := strings.Replace(format, "%s", tt.password, 1)
				_, err := redis.ParseURL(rawURL)
				if err == nil {
					t.Errorf("ParseURL(%q) accepts it", rawURL)
					continue
				}
				_, err2 := storage.Open(rawURL)
				for _, text := range []string{err.Error(), err2.Error()} {
					for _, piece := range []string{"XQZ", "JKV", "VVV", "484", "XQX"} {
						if strings.Contains(text, piece) {
							t.Errorf("error %q of %q has the piece %q", text, rawURL, piece)
						}
					}
					if !strings.Contains(text, tt.advice) {
						t.Errorf("error %q of %q, want the advice %q", text, rawURL, tt.advice)
					}
				}
			}
		})
	}
}

// No piece of a password is in an error. The passwords consist of letters and digits
// that occur in no text of the package, so that a piece cannot be there by chance, and
// of the characters that have a meaning in a URL.
func FuzzParseURLKeepsThePassword(f *testing.F) {
	const letters, special = "XQZJKV48", "@/?#%:&=+;,[]\"\\ '"
	for _, choice := range []string{"abcdef", "abc\x80def", "abc\x81def", "abc\x82def", "abc\x83def", "abc\x84def", "66666\x8266\x87ab", "ab\x80cd:6666\x81ef"} {
		f.Add([]byte(choice))
	}
	f.Fuzz(func(t *testing.T, choice []byte) {
		var password strings.Builder
		for _, c := range choice {
			if c < 0x80 {
				password.WriteByte(letters[int(c)%len(letters)])
			} else {
				password.WriteByte(special[int(c)%len(special)])
			}
		}
		for _, format := range unencoded {
			rawURL := strings.Replace(format, "%s", password.String(), 1)
			_, err := redis.ParseURL(rawURL)
			if err == nil {
				continue
			}
			for i := range max(password.Len()-2, 0) {
				// Of three characters, two are letters or digits: "://" is a piece of other texts.
				piece, own := password.String()[i:i+3], 0
				for _, c := range []byte(piece) {
					if strings.IndexByte(letters, c) >= 0 {
						own++
					}
				}
				if own >= 2 && strings.Contains(err.Error(), piece) {
					t.Errorf("error %q of %q has the piece %q", err, rawURL, piece)
				}
			}
		}
	})
}

func FuzzParseURL(f *testing.F) {
	for _, url := range []string{
		"redis://user:pass@host:6379/0?prefix=app:", "rediss://[::1]/1", "redis-sentinel://a,b:1/2?master=m",
		"redis-cluster://a:1,b:2", "unix://u:p@/a?db=1", "rediss://h?tls_server_name=x", "redis://@", "redis://:@:", "redis://[::1", "redis://,", "redis://h/%2f?%", "redis:///0",
	} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if strings.Contains(url, "_file") {
			t.Skip("must not read arbitrary files")
		}
		cfg, err := redis.ParseURL(url)
		if err != nil {
			if !errors.Is(err, storage.ErrBadURL) {
				t.Errorf("ParseURL(%q): %v, want ErrBadURL", url, err)
			}
			return
		}
		for _, addr := range cfg.Addrs {
			if strings.HasPrefix(addr, "/") && len(cfg.Addrs) == 1 {
				continue // the path of a socket
			}
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
