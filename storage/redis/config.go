package redis

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Config configures New.
type Config struct {
	// Addrs are the "host:port" addresses of the server, of some nodes of the
	// cluster, or of the Sentinels. More than one needs Cluster or Master. A single
	// address that begins with "/" is the path of a Unix socket.
	// Optional. Default: []string{"127.0.0.1:6379"}
	Addrs []string

	// Cluster means that Addrs are nodes of a Redis Cluster. It excludes Master and
	// a Database other than 0.
	// Optional. Default: false
	Cluster bool

	// Master is the name of the master that the Sentinels at Addrs monitor. Setting
	// it means that Addrs are Sentinels.
	// Optional. Default: ""
	Master string

	// Username is the ACL user on the server.
	// Optional. Default: ""
	Username string

	// Password is the server's password. It never appears in errors or logs.
	// Optional. Default: ""
	Password string

	// SentinelUsername is the ACL user on the Sentinels. It needs Master.
	// Optional. Default: ""
	SentinelUsername string

	// SentinelPassword is the Sentinels' password. It needs Master. It never appears
	// in errors or logs.
	// Optional. Default: ""
	SentinelPassword string

	// Database is the number of the database. A cluster only has database 0.
	// Optional. Default: 0
	Database int

	// TLSConfig enables TLS.
	// Optional. Default: nil
	TLSConfig *tls.Config

	// Prefix is prepended to every key, set and channel of this storage, so that
	// apps can share one Redis. Reset then removes only the keys with the prefix.
	// End it with a separator ("shop:").
	// Optional. Default: ""
	Prefix string

	// AllowFlush allows Reset of a storage without a prefix to remove everything in
	// the database, including the keys of other programs.
	// Optional. Default: false
	AllowFlush bool

	// Timeout bounds each request to the server, and so every call that has no
	// context. At least 1 ms.
	// Optional. Default: 3 * time.Second
	Timeout time.Duration

	// ConnectTimeout bounds New (and storage.Open). Each later attempt to connect is
	// bounded by the shorter of Timeout and ConnectTimeout. At least 1 ms.
	// Optional. Default: 5 * time.Second
	ConnectTimeout time.Duration

	// PoolSize is the maximum number of connections per node. The storage itself
	// uses two, and one for each watch; the rest is available to users of Conn.
	// Optional. Default: 10 per CPU
	PoolSize int

	// ClientName is the name of the connections in Redis' CLIENT LIST.
	// Optional. Default: ""
	ClientName string
}

// ConfigDefault has the default values of Config.
var ConfigDefault = Config{
	Addrs:          []string{"127.0.0.1:6379"},
	Timeout:        3 * time.Second,
	ConnectTimeout: 5 * time.Second,
}

// minTimeout is the shortest timeout within which a server can answer at all.
const minTimeout = time.Millisecond

// configDefault returns config with its defaults. It returns an error that names the
// field if a value is not allowed, or if two values contradict each other.
func configDefault(config ...Config) (Config, error) {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if len(cfg.Addrs) == 0 {
		cfg.Addrs = slices.Clone(ConfigDefault.Addrs)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = ConfigDefault.Timeout
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = ConfigDefault.ConnectTimeout
	}
	return cfg, cfg.validate()
}

func (cfg *Config) validate() error {
	switch {
	case cfg.Timeout < minTimeout:
		return badConfig("Timeout is %v: must be at least %v, or 0 for the default (%v)", cfg.Timeout, minTimeout, ConfigDefault.Timeout)
	case cfg.ConnectTimeout < minTimeout:
		return badConfig("ConnectTimeout is %v: must be at least %v, or 0 for the default (%v)", cfg.ConnectTimeout, minTimeout, ConfigDefault.ConnectTimeout)
	case cfg.PoolSize < 0:
		return badConfig("PoolSize is %d: must be positive, or 0 for the default (10 per CPU)", cfg.PoolSize)
	case cfg.Database < 0:
		return badConfig("Database is %d: must be 0 or more", cfg.Database)
	case cfg.Cluster && cfg.Master != "":
		return badConfig("Cluster and Master (Sentinel) are both set: set only one")
	case cfg.Cluster && cfg.Database != 0:
		return badConfig("Database is %d: must be 0 with Cluster, because a cluster only has database 0", cfg.Database)
	case cfg.Master == "" && (cfg.SentinelUsername != "" || cfg.SentinelPassword != ""):
		return badConfig("SentinelUsername or SentinelPassword is set without Master (redis-sentinel://)")
	case len(cfg.Addrs) > 1 && !cfg.Cluster && cfg.Master == "":
		return badConfig("Addrs has %d addresses: several need Cluster (redis-cluster://) or Master (redis-sentinel://)", len(cfg.Addrs))
	}
	for i, addr := range cfg.Addrs {
		if strings.HasPrefix(addr, "/") && len(cfg.Addrs) == 1 {
			continue // go-redis takes it for a Unix socket
		}
		// The error does not repeat the address: it may be a URL with a password.
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return badConfig(`Addrs[%d] must be "host:port"`, i)
		}
	}
	return nil
}

// badConfig returns an error that wraps storage.ErrBadURL and names the field first.
func badConfig(format string, args ...any) error {
	return fmt.Errorf("%w: redis: Config."+format, append([]any{storage.ErrBadURL}, args...)...)
}

// ParseURL parses the URLs that storage.Open accepts:
//
//	redis://[[user]:password@]host[:port][/database][?options]
//	redis-sentinel://[[user]:password@]host[:port],host[:port]…[/database]?master=name[&options]
//	redis-cluster://[[user]:password@]host[:port],host[:port]…[?options]
//
// with rediss instead of redis for TLS. The default port is 6379, and 26379 for
// Sentinels. User and password are percent-encoded. The options are named after the
// fields of Config: prefix, allow_flush, timeout and connect_timeout (Go durations),
// pool_size, client_name, master, sentinel_username and sentinel_password. Errors
// wrap storage.ErrBadURL and never repeat the URL. Fields that the URL does not set
// stay zero, for New to default.
func ParseURL(rawURL string) (Config, error) {
	var cfg Config
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return cfg, badURL("it has no scheme, such as redis://")
	}
	kind, secure := strings.ToLower(scheme), false
	if tail, ok := strings.CutPrefix(kind, "rediss"); ok {
		kind, secure = "redis"+tail, true
	}
	if !slices.Contains([]string{"redis", "redis-sentinel", "redis-cluster"}, kind) {
		return cfg, badURL("its scheme must be redis, redis-sentinel or redis-cluster (with rediss for TLS)")
	}

	// net/url supports only one host, so the authority is parsed here.
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		user, password, _ := strings.Cut(authority[:at], ":")
		var err1, err2 error
		cfg.Username, err1 = url.PathUnescape(user)
		cfg.Password, err2 = url.PathUnescape(password)
		if err1 != nil || err2 != nil {
			return cfg, badURL("user or password has an invalid percent-encoding")
		}
	}
	port := "6379"
	if kind == "redis-sentinel" {
		port = "26379"
	}
	var err error
	if cfg.Addrs, err = addrs(hosts, port); err != nil {
		return cfg, err
	}
	if secure {
		cfg.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg.Cluster = kind == "redis-cluster"

	u, err := url.Parse(tail)
	if err != nil || u.Fragment != "" || u.Host != "" {
		return cfg, badURL("the part after the host is invalid (is a character of the password not percent-encoded?)")
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if cfg.Database, err = strconv.Atoi(path); err != nil {
			return cfg, badURL("the path must be a database number")
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return cfg, badURL("its options have an invalid encoding")
	}
	for name, values := range query {
		if err := cfg.option(name, values[len(values)-1]); err != nil {
			return cfg, err
		}
	}
	if kind == "redis-sentinel" && cfg.Master == "" {
		return cfg, badURL("redis-sentinel needs the option master=name")
	}
	if kind != "redis-sentinel" && cfg.Master != "" {
		return cfg, badURL("the option master needs the scheme redis-sentinel")
	}
	_, err = configDefault(cfg)
	return cfg, err
}

// addrs parses "host[:port],host[:port]" with a default port.
func addrs(hosts, port string) ([]string, error) {
	var all []string
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" && hosts == "" {
			host = "127.0.0.1"
		}
		addr := host
		if !hasPort(host) {
			addr = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		name, number, err := net.SplitHostPort(addr)
		n, err2 := strconv.ParseUint(number, 10, 16)
		if err != nil || err2 != nil || n == 0 || name == "" || strings.ContainsAny(name, " \t\r\n%@") {
			return nil, badURL("a host must be name, name:port, or [IPv6]:port")
		}
		all = append(all, addr)
	}
	return all, nil
}

func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

func (cfg *Config) option(name, value string) (err error) {
	switch name {
	case "prefix":
		cfg.Prefix = value
	case "master":
		cfg.Master = value
	case "client_name":
		cfg.ClientName = value
	case "sentinel_username":
		cfg.SentinelUsername = value
	case "sentinel_password":
		cfg.SentinelPassword = value
	case "allow_flush":
		cfg.AllowFlush, err = strconv.ParseBool(value)
	case "pool_size":
		cfg.PoolSize, err = strconv.Atoi(value)
	case "timeout":
		cfg.Timeout, err = time.ParseDuration(value)
	case "connect_timeout":
		cfg.ConnectTimeout, err = time.ParseDuration(value)
	default:
		return badURL(fmt.Sprintf("unknown option %q", name))
	}
	if err != nil {
		return badURL(fmt.Sprintf("the value of the option %s is invalid", name))
	}
	return nil
}

func badURL(problem string) error { return fmt.Errorf("%w: redis: %s", storage.ErrBadURL, problem) }
