package socketbridge

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/setting"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// SessionMode determines when a socket's session is loaded and saved.
type SessionMode uint8

const (
	// SessionPerPacket loads the session before each event, and saves a handler's changes
	// when it returns. Handlers never see a stale session, and no handler runs for a
	// session that has ended. It is the default.
	SessionPerPacket SessionMode = iota + 1
	// SessionPerConnection loads the session at connect. A handler's changes are saved
	// when it returns, other changes at disconnect. Handlers see changes made on this node
	// at once, and those of other nodes when the storage's feed reports them.
	SessionPerConnection
	// SessionManual loads the session at connect. Handlers reload and save it themselves.
	SessionManual
	// SessionNone shares no session.
	SessionNone
)

// Config configures a Server. The zero value of a field means its default. New panics if
// a field has an invalid value or contradicts another; the panic names the field and the
// allowed values.
type Config struct {
	// Sessions is the store whose sessions the sockets share. It must be the store of the
	// app's HTTP handlers.
	//
	// Optional. Default: nil, no session is shared.
	Sessions *fibersession.Store

	// Mode determines when a socket's session is loaded and saved. Namespace.SetMode
	// overrides it for one namespace.
	//
	// Optional. Default: SessionPerPacket
	Mode SessionMode

	// Freshness determines how SessionPerPacket and Reload load the session:
	// fibersession.Strict asks the store for every event, fibersession.Tracked only if this
	// node's copy may be out of date.
	//
	// Optional. Default: fibersession.Config.Freshness of Sessions
	Freshness fibersession.Freshness

	// OnExpiry decides what happens to a socket whose session expired, for example
	// Always(ActionReconnect). ActionStay has the effect of ActionDisconnect. OnExpiry must
	// not block.
	//
	// Optional. Default: nil, Always(ActionDisconnect)
	OnExpiry Policy

	// OnRegenerate decides what happens to a socket whose session got a new ID
	// (Regenerate, Login). It must not block, and can be called more than once for one new
	// ID.
	//
	// Optional. Default: nil, Always(ActionStay)
	OnRegenerate Policy

	// DisableTouch stops events from extending the idle timeout of their session. HTTP
	// requests and saves still extend it. Heartbeats never do.
	//
	// Optional. Default: false
	DisableTouch bool

	// Parser is the encoding of packets. A client with another parser is refused with
	// CodeWrongParser. Clients of Namespace.WebSocket are not concerned.
	//
	// Optional. Default: JSONParser
	Parser Parser

	// DisableServeClient stops Handler from serving the official client below the engine's
	// path (/socket.io/socket.io.js and its other builds), as serveClient: false does in
	// Socket.IO for Node. The bridge's own client is still served.
	//
	// Optional. Default: false
	DisableServeClient bool

	// Concurrency is the number of events of one socket that are handled at the same time.
	// With 1, they are handled in the order in which they arrived.
	//
	// Optional. Default: 1
	Concurrency int

	// Limits bound the resources that one client can use.
	//
	// Optional. Default: see Limits
	Limits Limits

	// Timeouts bound how long the server waits for clients and other nodes.
	//
	// Optional. Default: see Timeouts
	Timeouts Timeouts

	// Presence determines when users count as online.
	//
	// Optional. Default: see Presence
	Presence Presence

	// Recovery restores the sockets of clients that reconnect after a broken connection,
	// and resends the events they missed (Socket.IO's connection state recovery).
	//
	// Optional. Default: Recovery{}, off
	Recovery Recovery

	// Repeats bounds what Idempotent remembers of the events that it handled.
	//
	// Optional. Default: see Repeats
	Repeats Repeats

	// Drain determines the pace at which Shutdown sends clients to other nodes.
	//
	// Optional. Default: Drain{}, all at once
	Drain Drain

	// Adapter connects this node with others, so that broadcasts, rooms and users span all
	// nodes. See packages adapter and redisadapter.
	//
	// Optional. Default: nil, a single node
	Adapter adapter.Adapter

	// Engine configures the transport: path, heartbeat, sizes, origins. Its Logger
	// defaults to Config.Logger.
	//
	// Optional. Default: engineio.ConfigDefault
	Engine engineio.Config

	// Logger receives messages for the operator. Session IDs are never logged.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger

	// Trace holds hooks for metrics, logs and tracing. Observe adds more.
	//
	// Optional. Default: Trace{}, no hooks
	Trace Trace
}

// Limits bound the resources that one client can use. More limits are fixed: a client can
// join at most 64 namespaces, with 16 KiB of auth each and 128 KiB together; 128 of its
// CONNECTs can be refused in a minute; a socket can have at most 1024 pending
// acknowledgements; and the binary attachments of a packet must arrive within 10 s.
type Limits struct {
	// EventsPerSecond bounds the packets of one connection per second, after a burst of
	// twice as many. Everything that the client sends counts, also acknowledgements,
	// attachments, pongs and WebSocket control frames. A client that sends faster is slowed
	// down, and disconnected if it stays over the limit for 3 seconds. A negative number
	// means no limit. It is the same setting as Engine.Limits.PacketsPerSecond: set one of
	// them.
	//
	// Optional. Default: 200
	EventsPerSecond int

	// BytesPerSecond bounds the bytes that one connection sends per second, in the same
	// way. The burst is BytesPerSecond or engineio.Config.MaxPayload, whichever is larger,
	// so that one message after a pause is never delayed. A negative number means no limit.
	// It is the same setting as Engine.Limits.BytesPerSecond: set one of them.
	//
	// Optional. Default: 4 << 20
	BytesPerSecond int

	// MaxInbox is the number of events of one socket that can wait for their handler. A
	// client that sends more is not read from until there is room. The same holds for a
	// client whose events, waiting or being handled, in all its namespaces, take more than
	// 1 MiB and one Engine.MaxPayload, and for all clients together above 64 MiB. If nothing
	// of a client waits, its next event is always admitted beside those being handled.
	//
	// Optional. Default: 256
	MaxInbox int

	// MaxRooms is the number of rooms that one socket can be in, not counting the server's
	// own rooms.
	//
	// Optional. Default: 1000
	MaxRooms int

	// MaxConnsPerSession is the number of connections that one session can have on this
	// node. A negative number means no limit.
	//
	// Optional. Default: 32
	MaxConnsPerSession int

	// MaxConnsPerUser is the number of connections with sockets that one user (see
	// fibersession.Config.UserKey) can have on this node. A further socket is refused. A
	// socket that a login makes one too many is disconnected. A negative number means no
	// limit.
	//
	// Optional. Default: 64
	MaxConnsPerUser int

	// MaxChildNamespaces is the number of namespaces that clients can create on this node by
	// joining names that match a pattern (Server.OfPattern). A negative number means no
	// limit.
	//
	// Optional. Default: 10_000
	MaxChildNamespaces int
}

// Timeouts bound how long the server waits. They must not be negative.
type Timeouts struct {
	// Connect is how long a client can be connected without being in a namespace.
	//
	// Optional. Default: 45 * time.Second
	Connect time.Duration

	// Ack is how long EmitWithAck waits if its context has no deadline and
	// Broadcast.Timeout is not set.
	//
	// Optional. Default: 30 * time.Second
	Ack time.Duration

	// Request is how long FetchSockets, ServerSideEmitWithAck and other requests wait for
	// the replies of other nodes if the context has no deadline.
	//
	// Optional. Default: 5 * time.Second
	Request time.Duration
}

// Presence determines when users count as online.
type Presence struct {
	// Grace is how long a user can be without a socket before OnPresence reports the user
	// offline. It hides page reloads and short network failures. A negative duration means
	// no grace period.
	//
	// Optional. Default: 5 * time.Second
	Grace time.Duration

	// TTL is how long a node can be silent before the other nodes consider it dead and its
	// users offline, which they are then after TTL and a third of it at most. It only matters
	// with an Adapter.
	//
	// Optional. Default: 10 * time.Second
	TTL time.Duration
}

// Limits that are not configurable, because legitimate clients stay far below them.
const (
	maxNamespaces     = 64   // of one client; as many more of its sockets can still be ending
	maxPendingAcks    = 1024 // of one socket
	attachmentTimeout = 10 * time.Second
	ticketField       = "ticket" // the field of a client's auth option that holds a ticket
)

// ConfigDefault holds the defaults, except of Logger. New without an argument uses it.
var ConfigDefault = Config{
	Mode:        SessionPerPacket,
	Parser:      JSONParser,
	Concurrency: 1,
	Limits: Limits{
		EventsPerSecond:    200,
		BytesPerSecond:     4 << 20,
		MaxInbox:           256,
		MaxRooms:           1000,
		MaxConnsPerSession: 32,
		MaxConnsPerUser:    64,
		MaxChildNamespaces: 10_000,
	},
	Timeouts: Timeouts{
		Connect: 45 * time.Second,
		Ack:     30 * time.Second,
		Request: 5 * time.Second,
	},
	Presence: Presence{
		Grace: 5 * time.Second,
		TTL:   10 * time.Second,
	},
	Recovery: Recovery{
		MaxBytes:           64 << 20,
		MaxBytesPerSession: 256 << 10,
		MaxSockets:         10_000,
	},
	Repeats: Repeats{Window: 24 * time.Hour},
	Engine:  engineio.ConfigDefault,
}

// sameSetting gives a field of Limits and the field of Engine.Limits that stands for the same
// setting one value: of the one that is set, which is neither 0 nor the default. It panics if
// they are set to different values.
func sameSetting(name string, v *int, inner string, engine *int, def int) {
	setting.DefaultOrNone(v, def)
	setting.DefaultOrNone(engine, def)
	switch {
	case *v == def:
		*v = *engine
	case *engine != def && *engine != *v:
		refuseSetting("Limits."+name, fmt.Sprintf("is %d, but Config.Engine.Limits.%s is %d: they are one setting, set one of them", *v, inner, *engine))
	}
	*engine = *v
}

// configDefault returns the configuration with all defaults filled in. It panics if a
// value is invalid.
func configDefault(config ...Config) Config {
	cfg := ConfigDefault
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Freshness > fibersession.Tracked {
		refuseSetting("Freshness", fmt.Sprintf("is %d: it must be Strict or Tracked", cfg.Freshness))
	}
	if cfg.Mode > SessionNone {
		refuseSetting("Mode", fmt.Sprintf("is %d: it must be one of the SessionMode constants", cfg.Mode))
	}
	if cfg.Mode == 0 {
		cfg.Mode = ConfigDefault.Mode
	}
	if cfg.Parser > MsgpackParser {
		refuseSetting("Parser", fmt.Sprintf("is %d: it must be JSONParser or MsgpackParser", cfg.Parser))
	}
	if cfg.Parser == 0 {
		cfg.Parser = ConfigDefault.Parser
	}
	setting.Default(field("Concurrency"), &cfg.Concurrency, ConfigDefault.Concurrency)

	l, def := &cfg.Limits, ConfigDefault.Limits
	rates := &cfg.Engine.Limits
	sameSetting("EventsPerSecond", &l.EventsPerSecond, "PacketsPerSecond", &rates.PacketsPerSecond, def.EventsPerSecond)
	sameSetting("BytesPerSecond", &l.BytesPerSecond, "BytesPerSecond", &rates.BytesPerSecond, def.BytesPerSecond)
	setting.Default(field("Limits.MaxInbox"), &l.MaxInbox, def.MaxInbox)
	setting.Default(field("Limits.MaxRooms"), &l.MaxRooms, def.MaxRooms)
	setting.DefaultOrNone(&l.MaxConnsPerSession, def.MaxConnsPerSession)
	setting.DefaultOrNone(&l.MaxConnsPerUser, def.MaxConnsPerUser)
	setting.DefaultOrNone(&l.MaxChildNamespaces, def.MaxChildNamespaces)

	t, timeouts := &cfg.Timeouts, ConfigDefault.Timeouts
	setting.AtLeast(field("Timeouts.Connect"), &t.Connect, time.Millisecond, timeouts.Connect)
	setting.AtLeast(field("Timeouts.Ack"), &t.Ack, time.Millisecond, timeouts.Ack)
	setting.AtLeast(field("Timeouts.Request"), &t.Request, time.Millisecond, timeouts.Request)

	setting.DefaultOrNone(&cfg.Presence.Grace, ConfigDefault.Presence.Grace)
	setting.AtLeast(field("Presence.TTL"), &cfg.Presence.TTL, time.Millisecond, ConfigDefault.Presence.TTL)

	r := &cfg.Recovery
	setting.NotNegative(field("Recovery.Window"), r.Window)
	setting.Default(field("Recovery.MaxBytes"), &r.MaxBytes, ConfigDefault.Recovery.MaxBytes)
	setting.Default(field("Recovery.MaxBytesPerSession"), &r.MaxBytesPerSession, ConfigDefault.Recovery.MaxBytesPerSession)
	setting.Default(field("Recovery.MaxSockets"), &r.MaxSockets, ConfigDefault.Recovery.MaxSockets)

	setting.AtLeast(field("Repeats.Window"), &cfg.Repeats.Window, time.Minute, ConfigDefault.Repeats.Window)

	setting.NotNegative(field("Drain.Delay"), cfg.Drain.Delay)
	setting.NotNegative(field("Drain.Rate"), cfg.Drain.Rate)

	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Engine.Logger == nil {
		cfg.Engine.Logger = cfg.Logger
	}
	cfg.Engine = cfg.Engine.WithDefaults()
	return cfg
}

// refuseSetting panics with the name of a field and the reason why its value is invalid.
func refuseSetting(name, why string) { setting.Refuse(field(name), why) }

// field returns the full name of a field of Config for messages.
func field(name string) string { return "socketbridge: Config." + name }
