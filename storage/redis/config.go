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

// Config says where the Redis is and how it is used.
type Config struct {
	// Addrs are "host:port" addresses: of the server, or some of the cluster's
	// nodes, or the Sentinels. More than one needs Cluster or Master.
	// Optional. Default: []string{"127.0.0.1:6379"}
	Addrs []string

	// Cluster says that Addrs are nodes of a Redis Cluster.
	// Optional. Default: false
	Cluster bool

	// Master is the name of the master that the Sentinels at Addrs watch.
	// Optional. Default: ""
	Master string

	// Username is the server's ACL user.
	// Optional. Default: ""
	Username string

	// Password is the server's password. It never appears in errors or logs.
	// Optional. Default: ""
	Password string

	// SentinelUsername is the Sentinels' ACL user.
	// Optional. Default: ""
	SentinelUsername string

	// SentinelPassword is the Sentinels' password.
	// Optional. Default: ""
	SentinelPassword string

	// Database is the number of the database. A cluster has only 0.
	// Optional. Default: 0
	Database int

	// TLSConfig switches TLS on.
	// Optional. Default: nil
	TLSConfig *tls.Config

	// Prefix begins every key, set and channel of this storage, so that apps share
	// one Redis safely; Reset then clears it alone. End it with a separator.
	// Optional. Default: ""
	Prefix string

	// AllowFlush lets Reset of a storage without a prefix remove everything in the
	// database, other programs' keys included.
	// Optional. Default: false
	AllowFlush bool

	// Timeout bounds each exchange with the server, and so every call that has no
	// context of its own.
	// Optional. Default: 3 * time.Second
	Timeout time.Duration

	// ConnectTimeout bounds New (and storage.Open), and with Timeout each later
	// attempt to connect.
	// Optional. Default: 5 * time.Second
	ConnectTimeout time.Duration

	// PoolSize is how many connections there may be per node. The storage itself
	// uses two, and one for each watch; the rest is for who uses Conn.
	// Optional. Default: 10 for each CPU
	PoolSize int

	// ClientName is shown by Redis' CLIENT LIST.
	// Optional. Default: ""
	ClientName string
}

// ConfigDefault is what New uses where a Config says nothing.
var ConfigDefault = Config{
	Addrs:          []string{"127.0.0.1:6379"},
	Timeout:        3 * time.Second,
	ConnectTimeout: 5 * time.Second,
}

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
	switch {
	case cfg.Timeout < 0 || cfg.ConnectTimeout < 0 || cfg.PoolSize < 0 || cfg.Database < 0:
		return cfg, fmt.Errorf("%w: redis: a timeout, pool size or database number is negative", storage.ErrBadURL)
	case cfg.Cluster && cfg.Master != "":
		return cfg, fmt.Errorf("%w: redis: Cluster and Master (Sentinel) exclude each other", storage.ErrBadURL)
	case cfg.Cluster && cfg.Database != 0:
		return cfg, fmt.Errorf("%w: redis: a cluster has only database 0", storage.ErrBadURL)
	case len(cfg.Addrs) > 1 && !cfg.Cluster && cfg.Master == "":
		return cfg, fmt.Errorf("%w: redis: several addresses need Cluster (redis-cluster://) or Master (redis-sentinel://)", storage.ErrBadURL)
	}
	return cfg, nil
}

// ParseURL reads the URLs that storage.Open takes:
//
//	redis://[[user]:password@]host[:port][/database][?options]
//	redis-sentinel://[[user]:password@]host[:port],host[:port]…[/database]?master=name[&options]
//	redis-cluster://[[user]:password@]host[:port],host[:port]…[?options]
//
// with rediss instead of redis for TLS. Ports default to 6379, Sentinels' to
// 26379. User and password are percent-encoded. Options are prefix, allow_flush,
// timeout, connect_timeout (Go durations), pool_size, client_name, master,
// sentinel_username and sentinel_password, as the fields of Config. Its errors
// wrap storage.ErrBadURL and never repeat the URL.
func ParseURL(rawURL string) (Config, error) {
	var cfg Config
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return cfg, badURL("it has no scheme")
	}
	kind, secure := strings.ToLower(scheme), false
	if tail, ok := strings.CutPrefix(kind, "rediss"); ok {
		kind, secure = "redis"+tail, true
	}
	if !slices.Contains([]string{"redis", "redis-sentinel", "redis-cluster"}, kind) {
		return cfg, badURL("its scheme is none of redis, redis-sentinel, redis-cluster")
	}

	// net/url takes one host only, so the authority is taken apart here.
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
			return cfg, badURL("user or password is not percent-encoded well")
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
		return cfg, badURL("what follows the host cannot be read (is a character of the password not percent-encoded?)")
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if cfg.Database, err = strconv.Atoi(path); err != nil {
			return cfg, badURL("the path must be the number of a database")
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return cfg, badURL("its options cannot be read")
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

// addrs reads "host[:port],host[:port]".
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
		return badURL(fmt.Sprintf("the value of the option %s cannot be read", name))
	}
	return nil
}

func badURL(what string) error { return fmt.Errorf("%w: redis: %s", storage.ErrBadURL, what) }
