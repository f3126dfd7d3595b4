package engineio

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// The names of the transports.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Config is the configuration of a Server. Times must not be negative.
type Config struct {
	// Path is where the server is found, from the root of the site, also when the
	// handler is mounted in a group. It begins and ends with a slash; a request
	// without the last one is served too. What lies below it is not.
	//
	// Optional. Default: "/socket.io/"
	Path string

	// PingInterval is the time from a client's answer to the next ping. Clients
	// are told, and count on a ping within PingInterval + PingTimeout.
	//
	// Optional. Default: 25 * time.Second
	PingInterval time.Duration

	// PingTimeout is how long a client may take to answer a ping. Time in which
	// the core holds back its messages is not counted.
	//
	// Optional. Default: 20 * time.Second
	PingTimeout time.Duration

	// UpgradeTimeout is how long an upgrade to WebSocket, and the opening of a
	// WebSocket, may take.
	//
	// Optional. Default: 10 * time.Second
	UpgradeTimeout time.Duration

	// WriteTimeout is how long one write to a WebSocket may take.
	//
	// Optional. Default: 10 * time.Second
	WriteTimeout time.Duration

	// CloseTimeout is how long a connection that the server closes may take to
	// deliver what is queued and to say goodbye.
	//
	// Optional. Default: 5 * time.Second
	CloseTimeout time.Duration

	// MaxPayload is the size of the largest message, and of the largest polling
	// body, that a client may send, in bytes. Clients are told. (For bodies,
	// Fiber's own BodyLimit applies as well, and first.)
	//
	// Optional. Default: 1_000_000
	MaxPayload int

	// MaxPollPackets is how many packets one polling body may hold.
	//
	// Optional. Default: 10_000
	MaxPollPackets int

	// MaxQueueBytes and MaxQueueMessages bound what waits to be sent on one
	// connection. A client that lets it grow further is disconnected. A message
	// that is larger alone is sent when nothing else waits.
	//
	// Optional. Default: 1 << 20
	MaxQueueBytes int

	// MaxQueueMessages: see MaxQueueBytes.
	//
	// Optional. Default: 1024
	MaxQueueMessages int

	// MaxConns bounds the connections of this server; one more is answered with
	// 503. 0 means no limit.
	//
	// Optional. Default: 0
	MaxConns int

	// MaxConnsPerIP bounds the connections of one address (for IPv6: of one /64
	// network), as Fiber's c.IP() tells it; one more is answered with 429.
	// Loopback addresses are not bounded: they are those of a proxy. Behind any
	// other proxy set ProxyHeader and TrustedProxies of fiber.Config. A negative
	// number means no limit.
	//
	// Optional. Default: 256
	MaxConnsPerIP int

	// ConnRatePerIP bounds how many connections one address may open in a second,
	// in the same way.
	//
	// Optional. Default: 50
	ConnRatePerIP int

	// Transports are the transports that are served: Polling, WebSocket or both.
	//
	// Optional. Default: []string{Polling, WebSocket}
	Transports []string

	// DisableUpgrades keeps connections on the transport they began with.
	//
	// Optional. Default: false
	DisableUpgrades bool

	// AllowOrigins lists the origins, beside the server's own, whose pages may
	// connect, with cookies: "https://app.example.com". An entry is one exact
	// origin with its scheme (and port, unless it is the scheme's own), or has a
	// wildcard for one label: "https://*.example.com" is every name that has one
	// label more than example.com, and nothing else. Every page there can act for
	// its visitor here, so that a wildcard below a public suffix (publicsuffix.org)
	// is refused, and so is "*", see AllowAnyOrigin.
	//
	// Optional. Default: nil, the server's own origin alone
	AllowOrigins []string

	// AllowOriginFunc is asked about origins that are neither the server's own nor
	// in AllowOrigins, as browsers write them: "https://app.example.com", in lower
	// case and without the scheme's own port. It runs for every request of every
	// transport, so that it must be quick, and may run for several at once; c is not
	// to be answered. It is not asked about "null".
	//
	// Optional. Default: nil, no other origin
	AllowOriginFunc func(origin string, c *fiber.Ctx) bool

	// AllowHeaders are the request headers that pages of allowed origins may set.
	//
	// Optional. Default: []string{"Content-Type"}
	AllowHeaders []string

	// RequireOrigin refuses requests that have neither an Origin nor a
	// Sec-Fetch-Site header: clients that are not browsers.
	//
	// Optional. Default: false
	RequireOrigin bool

	// AllowAnyOrigin lets pages of every origin connect. Then cookies are
	// ignored, so that no page can act for its visitor: see CookiesIgnored. It
	// cannot be used with AllowOrigins or AllowOriginFunc.
	//
	// Optional. Default: false
	AllowAnyOrigin bool

	// SessionCookie names the cookie that carries the session of a request. Its
	// value is not kept in the Handshake.
	//
	// Optional. Default: nil, all cookies are kept
	SessionCookie func(c *fiber.Ctx) string

	// Lift takes from a handshake request what its connection needs later, such
	// as its session. It is called once for each connection, on the request's
	// goroutine, when all checks have passed; what it returns becomes
	// Handshake.Lifted. An *Error refuses the connection with that answer, any
	// other error with 403 and code 4; its text is not sent.
	//
	// Optional. Default: nil
	Lift func(c *fiber.Ctx) (any, error)

	// Same reports whether a later request of a connection (a poll, a post, an
	// upgrade) comes from who opened it. A request of somebody else is answered
	// as if there were no such connection, which goes on undisturbed.
	//
	// Optional. Default: nil, whoever knows the connection's ID
	Same func(c *fiber.Ctx, lifted any) bool

	// Dropped is told of a lifted value whose connection the Acceptor never took.
	// (For the others, Receiver.Closed is the end.) It must not block.
	//
	// Optional. Default: nil
	Dropped func(lifted any)

	// Logger receives what operators need to know. It never sees the ID of a
	// connection.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

// ConfigDefault is what New uses where Config says nothing.
var ConfigDefault = Config{
	Path:             "/socket.io/",
	PingInterval:     25 * time.Second,
	PingTimeout:      20 * time.Second,
	UpgradeTimeout:   10 * time.Second,
	WriteTimeout:     10 * time.Second,
	CloseTimeout:     5 * time.Second,
	MaxPayload:       1_000_000,
	MaxPollPackets:   10_000,
	MaxQueueBytes:    1 << 20,
	MaxQueueMessages: 1024,
	MaxConnsPerIP:    256,
	ConnRatePerIP:    50,
	Transports:       []string{Polling, WebSocket},
	AllowHeaders:     []string{"Content-Type"},
}

// configDefault fills what is not said and panics on what contradicts itself.
func configDefault(config ...Config) Config {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	def := ConfigDefault
	if cfg.Path == "" {
		cfg.Path = def.Path
	}
	for _, d := range []struct {
		name      string
		value     *time.Duration
		byDefault time.Duration
	}{
		{"PingInterval", &cfg.PingInterval, def.PingInterval},
		{"PingTimeout", &cfg.PingTimeout, def.PingTimeout},
		{"UpgradeTimeout", &cfg.UpgradeTimeout, def.UpgradeTimeout},
		{"WriteTimeout", &cfg.WriteTimeout, def.WriteTimeout},
		{"CloseTimeout", &cfg.CloseTimeout, def.CloseTimeout},
	} {
		if *d.value < 0 {
			panic("engineio: " + d.name + " is negative")
		}
		if *d.value == 0 {
			*d.value = d.byDefault
		}
	}
	for _, n := range []struct {
		name      string
		value     *int
		byDefault int
	}{
		{"MaxPayload", &cfg.MaxPayload, def.MaxPayload},
		{"MaxPollPackets", &cfg.MaxPollPackets, def.MaxPollPackets},
		{"MaxQueueBytes", &cfg.MaxQueueBytes, def.MaxQueueBytes},
		{"MaxQueueMessages", &cfg.MaxQueueMessages, def.MaxQueueMessages},
	} {
		if *n.value < 0 {
			panic("engineio: " + n.name + " is negative; every connection needs this limit")
		}
		if *n.value == 0 {
			*n.value = n.byDefault
		}
	}
	if cfg.MaxConnsPerIP == 0 {
		cfg.MaxConnsPerIP = def.MaxConnsPerIP
	}
	if cfg.ConnRatePerIP == 0 {
		cfg.ConnRatePerIP = def.ConnRatePerIP
	}
	if len(cfg.Transports) == 0 {
		cfg.Transports = def.Transports
	}
	if cfg.AllowHeaders == nil {
		cfg.AllowHeaders = def.AllowHeaders
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	check(cfg)
	return cfg
}

func check(cfg Config) {
	if !strings.HasPrefix(cfg.Path, "/") || !strings.HasSuffix(cfg.Path, "/") || cfg.Path == "/" {
		panic("engineio: Path must begin and end with a slash, and name something between: \"/socket.io/\"")
	}
	for _, t := range cfg.Transports {
		if t != Polling && t != WebSocket {
			panic("engineio: Transports knows only \"polling\" and \"websocket\", not " + t)
		}
	}
	if cfg.AllowAnyOrigin && (len(cfg.AllowOrigins) > 0 || cfg.AllowOriginFunc != nil) {
		panic("engineio: AllowAnyOrigin and AllowOrigins or AllowOriginFunc contradict each other: choose one")
	}
	for _, o := range cfg.AllowOrigins {
		if err := checkOrigin(o); err != nil {
			panic("engineio: AllowOrigins: " + strconv.Quote(o) + ": " + err.Error())
		}
	}
	for _, h := range cfg.AllowHeaders {
		if !isToken(h) || h == "*" { // which would be the header of that name: cookies are sent
			panic("engineio: AllowHeaders: " + strconv.Quote(h) + " is no header's name: list the names")
		}
	}
}
