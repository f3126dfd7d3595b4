package engineio

import (
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
)

// The names of the transports.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Config is the configuration of a Server. The zero value of a field means its
// default. A value that makes no sense is refused when the server is made: see
// WithDefaults.
type Config struct {
	// Path is the URL path of the server. It counts from the root of the site, even
	// when the handler is mounted in a group. It must begin and end with a slash. The
	// server also answers requests without the trailing slash, but no longer paths.
	//
	// Optional. Default: "/socket.io/"
	Path string

	// PingInterval is the time between a client's pong and the server's next ping. The
	// server announces it to clients. A client gives up if it gets no ping within
	// PingInterval + PingTimeout. It must be at least 1ms.
	//
	// Optional. Default: 25 * time.Second
	PingInterval time.Duration

	// PingTimeout is how long a client may take to answer a ping. The time during which
	// the Receiver holds up that client's messages does not count. It must be at least
	// 1ms.
	//
	// Optional. Default: 20 * time.Second
	PingTimeout time.Duration

	// MaxPayload is the size of the largest message, and of the largest polling request
	// body, that a client may send, in bytes. The server announces it to clients. For
	// polling, fiber.Config.BodyLimit also applies, and applies first.
	//
	// Optional. Default: 1_000_000
	MaxPayload int

	// Limits bound the number of connections and what each of them may send and queue.
	//
	// Optional. Default: the defaults of Limits
	Limits Limits

	// Timeouts bound the steps of a connection that depend on the client.
	//
	// Optional. Default: the defaults of Timeouts
	Timeouts Timeouts

	// Transports are the transports that the server offers: Polling, WebSocket or both.
	//
	// Optional. Default: []string{Polling, WebSocket}
	Transports []string

	// DisableUpgrades keeps each connection on the transport it was opened with.
	//
	// Optional. Default: false
	DisableUpgrades bool

	// AllowOrigins lists the origins, in addition to the server's own, whose pages may
	// connect with cookies: "https://app.example.com". An entry is either an exact origin
	// with its scheme (and its port, unless it is the scheme's default), or has a wildcard
	// in place of one label: "https://*.example.com" matches every name with exactly one
	// more label than example.com. A page of an allowed origin can act on behalf of its
	// visitor. A wildcard directly below a public suffix (publicsuffix.org) is therefore
	// refused, and so is "*"; see AllowAnyOrigin.
	//
	// "null" stands for pages without an origin: files, sandboxed frames, some webviews
	// (which send "null" or "file://"). Any page can open such a frame, so cookies are
	// ignored with it; see CookiesIgnored. The session comes from a ticket or a header.
	//
	// Optional. Default: nil, only the server's own origin
	AllowOrigins []string

	// AllowOriginFunc decides about origins that are neither the server's own nor listed
	// in AllowOrigins. The origin is passed as browsers send it, in lower case and without
	// the scheme's default port: "https://app.example.com". The function is never called
	// for "null". It runs on every such request of every transport, so it must be fast. It
	// may run concurrently. It must not send a response on c.
	//
	// Optional. Default: nil, no other origin
	AllowOriginFunc func(origin string, c *fiber.Ctx) bool

	// AllowHeaders are the request headers that pages of allowed origins may set.
	//
	// Optional. Default: []string{"Content-Type"}
	AllowHeaders []string

	// RequireOrigin refuses requests that have neither an Origin nor a Sec-Fetch-Site
	// header. Clients other than browsers usually send neither.
	//
	// Optional. Default: false
	RequireOrigin bool

	// AllowAnyOrigin lets pages of every origin connect. Cookies are then ignored, so that
	// no page can act on behalf of its visitor; see CookiesIgnored. A session that the
	// request names otherwise, such as in a header, counts. It cannot be combined
	// with AllowOrigins or AllowOriginFunc.
	//
	// Optional. Default: false
	AllowAnyOrigin bool

	// Logger receives messages for the operator. Connection IDs are never logged.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

// Limits bound the number of connections and what each of them may send and queue.
type Limits struct {
	// MaxConns bounds the connections of the server. A further handshake is answered with
	// 503. 0 means no limit.
	//
	// Optional. Default: 0
	MaxConns int

	// MaxConnsPerIP bounds the connections of one address (for IPv6: of one /64 network).
	// A further handshake is answered with 429. Behind a proxy, set ProxyHeader and
	// TrustedProxies in fiber.Config; Server.RemoteIP says which address then counts.
	// Clients whose proxy names no readable address are counted together. A peer on this
	// machine is not counted, unless it sends the ProxyHeader. A negative value means no
	// limit.
	//
	// Optional. Default: 256
	MaxConnsPerIP int

	// ConnRatePerIP bounds how many connections one address may open per second. Addresses
	// are counted as for MaxConnsPerIP. A further handshake is answered with 429. A
	// negative value means no limit.
	//
	// Optional. Default: 50
	ConnRatePerIP int

	// PacketsPerSecond bounds the packets that one connection sends per second, after a burst
	// of twice as many. Each WebSocket frame counts, whatever it carries, and each packet of
	// a polling request; a fragment of 1 KiB or more, after the first of its message, counts
	// for BytesPerSecond only. A client that sends faster is read more slowly, and closed if
	// it stays over the limit for 3 seconds. A negative value means no limit.
	//
	// Optional. Default: 200
	PacketsPerSecond int

	// BytesPerSecond bounds the bytes that one connection sends per second, in the same way.
	// The burst is BytesPerSecond or MaxPayload, whichever is larger, so that one message
	// after a pause is never delayed. A negative value means no limit.
	//
	// Optional. Default: 4 << 20
	BytesPerSecond int

	// MaxPollPackets bounds the number of packets in one polling request body.
	//
	// Optional. Default: 10_000
	MaxPollPackets int

	// MaxQueueBytes is the size of the messages that wait to be sent on one connection from
	// which on senders wait, if they can (transport.Conn.Drained). Other senders queue more,
	// up to MaxBacklogBytes. While a connection is above this size and its client takes
	// nothing for Timeouts.Write, it is closed.
	//
	// Optional. Default: 1 << 20
	MaxQueueBytes int

	// MaxQueueMessages is as MaxQueueBytes, but a number of messages. A message counts once
	// with all its attachments.
	//
	// Optional. Default: 1024
	MaxQueueMessages int

	// MaxBacklogBytes bounds what senders that do not wait, such as broadcasts, may queue
	// on connections that are above MaxQueueBytes or MaxQueueMessages, on all connections
	// together. Data that connections share counts once, and each message adds 64 bytes for
	// each connection. When it is exceeded, the connections above their limits whose
	// clients have taken nothing for longest are closed.
	//
	// One connection may use a quarter of it, where shared data counts in full. A
	// connection that would exceed this is closed. A single larger message is still sent.
	//
	// Optional. Default: 256 << 20
	MaxBacklogBytes int
}

// Timeouts bound the steps of a connection that depend on the client. Each must be at
// least 1ms.
type Timeouts struct {
	// Upgrade is how long opening a WebSocket, and an upgrade from polling to WebSocket,
	// may take.
	//
	// Optional. Default: 10 * time.Second
	Upgrade time.Duration

	// Write is how long a client may take nothing of what is sent to it before its
	// connection is closed. A client that takes a few bytes meanwhile has the time again. On
	// polling, it applies to the answer of a poll, whatever fiber.Config.WriteTimeout is.
	// Between two polls, it applies while the queue is above Limits.MaxQueueBytes or
	// MaxQueueMessages, and PingTimeout applies instead if it is longer.
	//
	// Optional. Default: 10 * time.Second
	Write time.Duration

	// Close is how long a connection that the server closes may take to send its queue
	// and to complete the close handshake. The WebSocket of an upgrade that does not
	// complete has the same time for the handshake.
	//
	// Optional. Default: 5 * time.Second
	Close time.Duration
}

// ConfigDefault holds the default of every field.
var ConfigDefault = Config{
	Path:         "/socket.io/",
	PingInterval: 25 * time.Second,
	PingTimeout:  20 * time.Second,
	MaxPayload:   1_000_000,
	Limits: Limits{
		MaxConnsPerIP:    256,
		ConnRatePerIP:    50,
		PacketsPerSecond: 200,
		BytesPerSecond:   4 << 20,
		MaxPollPackets:   10_000,
		MaxQueueBytes:    1 << 20,
		MaxQueueMessages: 1024,
		MaxBacklogBytes:  256 << 20,
	},
	Timeouts: Timeouts{
		Upgrade: 10 * time.Second,
		Write:   10 * time.Second,
		Close:   5 * time.Second,
	},
	Transports:   []string{Polling, WebSocket},
	AllowHeaders: []string{"Content-Type"},
}
