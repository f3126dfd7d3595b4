package socketbridge

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/setting"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// SessionMode says when a socket's session is read and written.
type SessionMode uint8

const (
	// SessionPerPacket reloads the session before each event and saves what the
	// handler changed when it returns. A handler never sees a stale session, and
	// none runs for a session that has ended. It is the default.
	SessionPerPacket SessionMode = iota + 1
	// SessionPerConnection loads the session at connect and saves what a handler
	// changed when it returns, and the rest at disconnect. Changes made on this node
	// are seen at once, those of other nodes when the storage's feed tells of them.
	SessionPerConnection
	// SessionManual loads the session at connect; reading again and saving are
	// the handlers' business.
	SessionManual
	// SessionNone shares no session.
	SessionNone
)

// Config configures a Server. Zero values mean the defaults. New panics when fields
// contradict each other or hold a value that cannot be meant; the panic names the field
// and what is allowed.
type Config struct {
	// Sessions is the store whose sessions the sockets share: the one that the app's HTTP
	// handlers use.
	//
	// Optional. Default: nil, no session is shared.
	Sessions *fibersession.Store

	// Mode says when a socket's session is read and written. A namespace can have its own
	// (Namespace.SetMode).
	//
	// Optional. Default: SessionPerPacket
	Mode SessionMode

	// Freshness says how the session is read before an event in SessionPerPacket, and by
	// Reload: fibersession.Strict asks the store for each event, fibersession.Tracked only
	// when this node's copy is not known to be current.
	//
	// Optional. Default: that of Sessions (fibersession.Config.Freshness), Strict
	Freshness fibersession.Freshness

	// OnExpiry decides what happens to a socket whose session expired, such as
	// Always(ActionReconnect). ActionStay counts as ActionDisconnect. It must not block.
	//
	// Optional. Default: nil, Always(ActionDisconnect)
	OnExpiry Policy

	// OnRegenerate decides what happens to a socket whose session got a new ID
	// (Regenerate, Login). It must not block and can be called more than once.
	//
	// Optional. Default: nil, Always(ActionStay): the socket follows its session
	OnRegenerate Policy

	// DisableTouch keeps events from extending the idle timeout of their session: only
	// HTTP requests and saves do then. Heartbeats never do.
	//
	// Optional. Default: false
	DisableTouch bool

	// Concurrency is how many events of one socket are handled at the same time. With 1
	// they are handled one after the other, in the order they arrived.
	//
	// Optional. Default: 1
	Concurrency int

	// Limits bound what one client can use.
	//
	// Optional. Default: see Limits
	Limits Limits

	// Timeouts bound how long the server waits for clients and other nodes.
	//
	// Optional. Default: see Timeouts
	Timeouts Timeouts

	// Presence says when users count as online.
	//
	// Optional. Default: see Presence
	Presence Presence

	// Recovery gives clients whose connection broke their socket back, with the events
	// they missed (Socket.IO's connection state recovery).
	//
	// Optional. Default: Recovery{}, off
	Recovery Recovery

	// Adapter links this node with others: broadcasts, rooms and users then reach all of
	// them (see package adapter, and redisadapter).
	//
	// Optional. Default: nil, this node stands alone
	Adapter adapter.Adapter

	// Engine configures the transport: path, heartbeat, sizes, origins. Its Logger
	// defaults to Config.Logger.
	//
	// Optional. Default: engineio.ConfigDefault
	Engine engineio.Config

	// Logger receives what operators need to know. It never sees a session ID.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger

	// Trace has hooks for metrics, logs and spans.
	//
	// Optional. Default: Trace{}, no hooks
	Trace Trace

	// limits of the codec; zero means its own defaults. Tests narrow them.
	limits siopacket.Limits
}

// Limits is the part of Config that bounds what one client can use. Beside these, a
// client can join at most 64 namespaces, a socket can wait for at most 1024
// acknowledgements, and the binary attachments of a packet must arrive within 10 s.
type Limits struct {
	// EventsPerSecond bounds the rate of packets of one connection, after a burst of
	// twice as many. A client that sends faster is read from more slowly, and
	// disconnected when it keeps on for 3 seconds. A negative number means no limit.
	//
	// Optional. Default: 200
	EventsPerSecond int

	// BytesPerSecond bounds the volume of one connection in the same way, with a burst of
	// the same size or of one largest message (engineio.Config.MaxPayload), whichever is
	// larger. A negative number means no limit.
	//
	// Optional. Default: 4 << 20
	BytesPerSecond int

	// MaxInbox is how many events of one socket can wait for their handler. A client that
	// sends more is read from more slowly.
	//
	// Optional. Default: 256
	MaxInbox int

	// MaxRooms is how many rooms one socket can be in.
	//
	// Optional. Default: 1000
	MaxRooms int

	// MaxConnsPerSession is how many connections one session can have on this node. A
	// negative number means no limit.
	//
	// Optional. Default: 32
	MaxConnsPerSession int

	// MaxConnsPerUser is how many connections with sockets one user (see
	// fibersession.Config.UserKey) can have on this node. One more socket is refused, or
	// disconnected if a login makes it one too many. A negative number means no limit.
	//
	// Optional. Default: 64
	MaxConnsPerUser int
}

// Timeouts is the part of Config that bounds how long the server waits. Negative values
// are refused.
type Timeouts struct {
	// Connect is how long a client can stay without joining a namespace.
	//
	// Optional. Default: 45 * time.Second
	Connect time.Duration

	// Ack is how long EmitWithAck waits for an acknowledgement when neither its context
	// nor Broadcast.Timeout says otherwise.
	//
	// Optional. Default: 30 * time.Second
	Ack time.Duration

	// Request is how long replies of other nodes are awaited (FetchSockets,
	// ServerSideEmitWithAck) when the context has no deadline.
	//
	// Optional. Default: 5 * time.Second
	Request time.Duration
}

// Presence is the part of Config about when users count as online.
type Presence struct {
	// Grace is how long a user can be without a socket before OnPresence reports the user
	// offline, so that a reloaded page or a short network failure is not reported. A
	// negative duration means none.
	//
	// Optional. Default: 5 * time.Second
	Grace time.Duration

	// TTL is how long a node can stay silent before the other nodes take it for dead and
	// its users for offline. It matters with an Adapter only.
	//
	// Optional. Default: 15 * time.Second
	TTL time.Duration
}

// Limits that are the same for every server: legitimate clients stay far below them.
const (
	maxNamespaces     = 64   // of one client; as many more of its sockets can still be ending
	maxPendingAcks    = 1024 // acknowledgements that one socket can wait for
	attachmentTimeout = 10 * time.Second
	ticketField       = "ticket" // the field of a client's auth option that holds a ticket
)

// Trace is a set of hooks; nil ones are skipped. A hook runs on the goroutine of the
// event that it reports, and must not block.
type Trace struct {
	// Connected is called when a socket has joined its namespace.
	Connected func(s *Socket)
	// Disconnected is called when a socket has left, after its own handlers.
	Disconnected func(s *Socket, reason Reason)
	// Handled is called when an event was handled, its session saved and its
	// acknowledgement sent. err is the handler's error, or why the save failed.
	Handled func(p *Packet, err error)
}

// ConfigDefault holds the defaults.
var ConfigDefault = Config{
	Mode:        SessionPerPacket,
	Concurrency: 1,
	Limits: Limits{
		EventsPerSecond:    200,
		BytesPerSecond:     4 << 20,
		MaxInbox:           256,
		MaxRooms:           1000,
		MaxConnsPerSession: 32,
		MaxConnsPerUser:    64,
	},
	Timeouts: Timeouts{
		Connect: 45 * time.Second,
		Ack:     30 * time.Second,
		Request: 5 * time.Second,
	},
	Presence: Presence{
		Grace: 5 * time.Second,
		TTL:   15 * time.Second,
	},
	Engine: engineio.ConfigDefault,
}

// configDefault returns the configuration with all defaults filled in. It panics on
// values that cannot be meant.
func configDefault(config ...Config) Config {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Freshness > fibersession.Tracked {
		refuse("Freshness", fmt.Sprintf("is %d: it must be Strict or Tracked", cfg.Freshness))
	}
	if cfg.Mode > SessionNone {
		refuse("Mode", fmt.Sprintf("is %d: it must be one of the SessionMode constants", cfg.Mode))
	}
	if cfg.Mode == 0 {
		cfg.Mode = ConfigDefault.Mode
	}
	setting.Default(field("Concurrency"), &cfg.Concurrency, ConfigDefault.Concurrency)

	l, def := &cfg.Limits, ConfigDefault.Limits
	setting.DefaultOrNone(&l.EventsPerSecond, def.EventsPerSecond)
	setting.DefaultOrNone(&l.BytesPerSecond, def.BytesPerSecond)
	setting.Default(field("Limits.MaxInbox"), &l.MaxInbox, def.MaxInbox)
	setting.Default(field("Limits.MaxRooms"), &l.MaxRooms, def.MaxRooms)
	setting.DefaultOrNone(&l.MaxConnsPerSession, def.MaxConnsPerSession)
	setting.DefaultOrNone(&l.MaxConnsPerUser, def.MaxConnsPerUser)

	t, timeouts := &cfg.Timeouts, ConfigDefault.Timeouts
	setting.Default(field("Timeouts.Connect"), &t.Connect, timeouts.Connect)
	setting.Default(field("Timeouts.Ack"), &t.Ack, timeouts.Ack)
	setting.Default(field("Timeouts.Request"), &t.Request, timeouts.Request)

	setting.DefaultOrNone(&cfg.Presence.Grace, ConfigDefault.Presence.Grace)
	setting.Default(field("Presence.TTL"), &cfg.Presence.TTL, ConfigDefault.Presence.TTL)

	r := &cfg.Recovery
	setting.NotNegative(field("Recovery.Window"), r.Window)
	setting.Default(field("Recovery.MaxBytes"), &r.MaxBytes, 64<<20)
	setting.Default(field("Recovery.MaxBytesPerSession"), &r.MaxBytesPerSession, 256<<10)
	setting.Default(field("Recovery.MaxSockets"), &r.MaxSockets, 10_000)

	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Engine.Logger == nil {
		cfg.Engine.Logger = cfg.Logger
	}
	cfg.Engine = cfg.Engine.WithDefaults() // the limits below Server read its fields
	return cfg
}

// refuse panics with the name of a field and why its value is refused.
func refuse(name, why string) { setting.Refuse(field(name), why) }

// field is the full name of a field of Config in messages.
func field(name string) string { return "socketbridge: Config." + name }
