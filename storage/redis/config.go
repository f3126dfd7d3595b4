package redis

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
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

	// TLSConfig enables TLS. With InsecureSkipVerify, New logs a warning.
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

	// Logger receives warnings: a server that refuses requests, as after a failover,
	// and TLS without verification. They never contain a secret.
	// Optional. Default: slog.Default()
	Logger *slog.Logger
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
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
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
