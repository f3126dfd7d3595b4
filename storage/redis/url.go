package redis

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// ParseURL parses the URLs that storage.Open accepts:
//
//	redis://[[user]:password@]host[:port][/database][?options]
//	redis-sentinel://[[user]:password@]host[:port],host[:port]…[/database]?master=name[&options]
//	redis-cluster://[[user]:password@]host[:port],host[:port]…[?options]
//	unix://[[user]:password@]/path/of/the/socket[?options]
//
// with rediss instead of redis for TLS. The default port is 6379, and 26379 for
// Sentinels. User and password are those of the server (ACL), also behind Sentinels.
//
// In user, password and options, percent-encode every character other than letters,
// digits and - . _ ~: "@" is %40, ":" %3A, "/" %2F, "?" %3F, "#" %23, "%" %25, "&" %26
// and "+" %2B. An "@" after the host is refused, because it would be a sign of a
// password that is not encoded.
//
// The options, of which the first ones are named after the fields of Config:
//
//	prefix, master, client_name, pool_size
//	sentinel_username, sentinel_password
//	timeout, connect_timeout               Go durations: 500ms
//	allow_flush                            true or false
//	db                                     the database, instead of the path
//	tls_ca_file                            PEM file of the authorities to trust, instead of the system's
//	tls_cert_file, tls_key_file            PEM files of the client's certificate and its key
//	tls_server_name                        the name in the server's certificate, if it is not the host
//	tls_min_version                        1.2 (the default) or 1.3
//	tls_skip_verify                        true accepts any certificate: anyone on the path can read
//	                                       and change everything, and New logs a warning
//
// The options of TLS need a rediss scheme, and apply to the Sentinels too. ParseURL
// reads the files. It refuses an option that it does not know.
//
// Errors wrap storage.ErrBadURL and never repeat a part of user, password or
// sentinel_password. Fields that the URL does not set stay zero, for New to default.
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
	if !slices.Contains([]string{"redis", "redis-sentinel", "redis-cluster", "unix"}, kind) {
		return cfg, badURL("its scheme must be redis, redis-sentinel or redis-cluster (with rediss for TLS), or unix")
	}

	// net/url supports only one host, so the authority is parsed here.
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	if strings.Contains(tail, "@") {
		// What comes before the last "@" may be a password that contains "/", "?" or
		// "#". No error may repeat it, so nothing of it is parsed.
		return cfg, badURL(`it has an "@" after the host. ` + howToEncode + ` In a path or an option, write "@" as %40`)
	}
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		user, password, _ := strings.Cut(authority[:at], ":")
		var err1, err2 error
		cfg.Username, err1 = url.PathUnescape(user)
		cfg.Password, err2 = url.PathUnescape(password)
		if err1 != nil || err2 != nil {
			return cfg, badURL("user or password has an invalid percent-encoding. " + howToEncode)
		}
	}
	u, err := url.Parse(tail)
	if err != nil || u.Fragment != "" || u.Host != "" {
		return cfg, badURL("the part after the host is invalid. " + howToEncode)
	}
	if kind == "unix" {
		if hosts != "" || len(u.Path) < 2 {
			return cfg, badURL("unix needs the absolute path of a socket, and no host: unix:///run/redis.sock")
		}
		cfg.Addrs = []string{u.Path}
	} else if err := cfg.network(kind, hosts, u.Path); err != nil {
		return cfg, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return cfg, badURL("its options have an invalid encoding. " + howToEncode)
	}
	if err := cfg.options(query); err != nil {
		return cfg, err
	}
	if err := cfg.tlsOptions(query, secure); err != nil {
		return cfg, err
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

// howToEncode is the advice for a URL that cannot be parsed.
const howToEncode = `Percent-encode these characters of user and password: ` +
	`"@" as %40, ":" as %3A, "/" as %2F, "?" as %3F, "#" as %23, "%" as %25.`

// network sets the addresses and the database.
func (cfg *Config) network(kind, hosts, path string) (err error) {
	port := "6379"
	if kind == "redis-sentinel" {
		port = "26379"
	}
	if cfg.Addrs, err = addrs(hosts, port); err != nil {
		return err
	}
	cfg.Cluster = kind == "redis-cluster"
	if path = strings.Trim(path, "/"); path != "" {
		if cfg.Database, err = strconv.Atoi(path); err != nil {
			return badURL("the path must be a database number")
		}
	}
	return nil
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
			return nil, badURL("a host must be name, name:port, or [IPv6]:port. " + howToEncode)
		}
		all = append(all, addr)
	}
	return all, nil
}

func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

// options sets all fields but TLSConfig from the options.
func (cfg *Config) options(query url.Values) error {
	path := cfg.Database
	for name, values := range query {
		known, err := cfg.option(name, values[len(values)-1])
		switch {
		case !known && query.Has("sentinel_password"):
			// The name may be the rest of a password with an "&".
			return badURL(`it has an unknown option. In the value of sentinel_password, write "&" as %26`)
		case !known:
			return badURL(fmt.Sprintf("unknown option %q", name))
		case err != nil:
			return badURL(fmt.Sprintf("the value of the option %s is invalid", name))
		}
	}
	if query.Has("db") && path != 0 && path != cfg.Database {
		return badURL("the path and the option db name different databases")
	}
	return nil
}

func (cfg *Config) option(name, value string) (known bool, err error) {
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
	case "db":
		cfg.Database, err = strconv.Atoi(value)
	case "pool_size":
		cfg.PoolSize, err = strconv.Atoi(value)
	case "timeout":
		cfg.Timeout, err = time.ParseDuration(value)
	case "connect_timeout":
		cfg.ConnectTimeout, err = time.ParseDuration(value)
	default:
		return slices.Contains(tlsOptionNames, name), nil
	}
	return true, err
}

func badURL(problem string) error { return fmt.Errorf("%w: redis: %s", storage.ErrBadURL, problem) }
