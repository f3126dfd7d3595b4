package socketbridge

import (
	"log/slog"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
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

// Config is the configuration of a Server.
type Config struct {
	// Sessions is the store whose sessions the sockets share. It is the one that
	// the app's HTTP handlers use.
	//
	// Optional. Default: nil, no session is shared.
	Sessions *fibersession.Store

	// Mode says when a socket's session is read and written. A namespace may
	// have its own (Namespace.SetMode).
	//
	// Optional. Default: SessionPerPacket
	Mode SessionMode

	// Freshness says how the session is read before an event, in SessionPerPacket and
	// by Reload: fibersession.Strict asks the store for each event,
	// fibersession.Tracked only when this node's copy is not known to be good.
	//
	// Optional. Default: that of Sessions (fibersession.Config.Freshness), Strict
	Freshness fibersession.Freshness

	// TicketField is the field of a client's auth option that holds a ticket
	// (Server.Ticket).
	//
	// Optional. Default: "ticket"
	TicketField string

	// DisableTouch keeps events from moving the idle limit of their session: only
	// HTTP requests and saves do then. Heartbeats never do.
	//
	// Optional. Default: false
	DisableTouch bool

	// OnExpiry decides what becomes of a socket whose session expired, such as
	// Always(FateReconnect). FateStay counts as FateDisconnect. It must not block.
	//
	// Optional. Default: nil, Always(FateDisconnect)
	OnExpiry Policy

	// OnRegenerate decides what becomes of a socket whose session got a new ID
	// (Regenerate, Login). It must not block, and may be asked more than once.
	//
	// Optional. Default: nil, Always(FateStay): it follows
	OnRegenerate Policy

	// Engine configures the transport: path, heartbeat, sizes, origins. Its Logger
	// defaults to Config.Logger.
	//
	// Optional. Default: engineio.ConfigDefault
	Engine engineio.Config

	// ConnectTimeout is how long a client may stay without joining a namespace.
	//
	// Optional. Default: 45 * time.Second
	ConnectTimeout time.Duration

	// AttachmentTimeout is how long the binary attachments of a packet may take
	// to arrive.
	//
	// Optional. Default: 10 * time.Second
	AttachmentTimeout time.Duration

	// AckTimeout is how long EmitWithAck waits for an answer when neither its
	// context nor Timeout says otherwise.
	//
	// Optional. Default: 30 * time.Second
	AckTimeout time.Duration

	// Concurrency is how many events of one socket are handled at the same time.
	// With 1 they are handled one by one in the order they came.
	//
	// Optional. Default: 1
	Concurrency int

	// MaxInbox is how many events of one socket may wait for their handler. A
	// client that sends more is read from more slowly.
	//
	// Optional. Default: 256
	MaxInbox int

	// MaxPendingAcks is how many answers of one socket may be awaited.
	//
	// Optional. Default: 1024
	MaxPendingAcks int

	// MaxNamespaces is how many namespaces one client may join. As many more of its
	// sockets may still be ending, their handlers at work.
	//
	// Optional. Default: 64
	MaxNamespaces int

	// MaxRooms is how many rooms one socket may be in.
	//
	// Optional. Default: 1000
	MaxRooms int

	// MaxConnsPerSession is how many connections one session may have on this
	// node. A negative number means no limit.
	//
	// Optional. Default: 32
	MaxConnsPerSession int

	// MaxConnsPerUser is how many connections with sockets one user (see
	// fibersession.Config.UserKey) may have on this node. A socket that would be of
	// one more is refused, and disconnected when it is one more by a login. A
	// negative number means no limit.
	//
	// Optional. Default: 64
	MaxConnsPerUser int

	// PresenceGrace is how long a user may be without a socket before OnPresence
	// tells of it, so that a page that reloads or a network that stumbles is no
	// news. A negative duration means none.
	//
	// Optional. Default: 5 * time.Second
	PresenceGrace time.Duration

	// EventsPerSecond and EventBurst bound the rate of packets of one connection:
	// a client that sends faster is read from more slowly, and closed when it
	// goes on for 3 seconds. A negative EventsPerSecond means no limit.
	//
	// Optional. Default: 200
	EventsPerSecond int

	// EventBurst is how many packets may come at once before EventsPerSecond is
	// enforced.
	//
	// Optional. Default: 400
	EventBurst int

	// BytesPerSecond bounds the volume of one connection in the same way, with a
	// burst of the same size or one largest packet. A negative number means no
	// limit.
	//
	// Optional. Default: 4 << 20
	BytesPerSecond int

	// Adapter links this node with others: broadcasts, rooms and users then reach
	// across all of them (see package adapter, and redisadapter).
	//
	// Optional. Default: nil, this node stands alone
	Adapter adapter.Adapter

	// PresenceTTL is how long a node is not heard of until the other nodes take it for
	// dead, and its users for gone. It matters with an Adapter only.
	//
	// Optional. Default: 15 * time.Second
	PresenceTTL time.Duration

	// RequestTimeout is how long other nodes' replies are awaited (FetchSockets,
	// ServerSideEmitWithAck) when the context has no deadline.
	//
	// Optional. Default: 5 * time.Second
	RequestTimeout time.Duration

	// Recovery gives clients whose connection broke their socket back, with what
	// they missed (Socket.IO's connection state recovery). See Recovery.
	//
	// Optional. Default: Recovery{}, off
	Recovery Recovery

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

// Trace is a set of hooks; nil ones are skipped. They run on the goroutine of
// what they tell of and must not block.
type Trace struct {
	// Connected is called when a socket has joined its namespace.
	Connected func(s *Socket)
	// Disconnected is called when a socket has left, after its own handlers.
	Disconnected func(s *Socket, reason Reason)
	// Handled is called when an event was handled, its session saved and its
	// answer sent. err is what it ended with.
	Handled func(p *Packet, err error)
}

// ConfigDefault is what New uses where Config says nothing.
var ConfigDefault = Config{
	Mode:               SessionPerPacket,
	TicketField:        "ticket",
	Engine:             engineio.ConfigDefault,
	ConnectTimeout:     45 * time.Second,
	AttachmentTimeout:  10 * time.Second,
	AckTimeout:         30 * time.Second,
	Concurrency:        1,
	MaxInbox:           256,
	MaxPendingAcks:     1024,
	MaxNamespaces:      64,
	MaxRooms:           1000,
	MaxConnsPerSession: 32,
	MaxConnsPerUser:    64,
	PresenceGrace:      5 * time.Second,
	EventsPerSecond:    200,
	EventBurst:         400,
	BytesPerSecond:     4 << 20,
	RequestTimeout:     5 * time.Second,
	PresenceTTL:        15 * time.Second,
}

func configDefault(config ...Config) Config {
	if len(config) == 0 {
		config = []Config{ConfigDefault}
	}
	cfg, def := config[0], ConfigDefault
	if cfg.Freshness > fibersession.Tracked {
		panic("socketbridge: Config.Freshness is neither Strict nor Tracked")
	}
	if cfg.Mode > SessionNone {
		panic("socketbridge: Config.Mode is none of the SessionMode constants")
	}
	orDefault(&cfg.Mode, def.Mode)
	if cfg.TicketField == "" {
		cfg.TicketField = def.TicketField
	}
	orDefault(&cfg.ConnectTimeout, def.ConnectTimeout)
	orDefault(&cfg.AttachmentTimeout, def.AttachmentTimeout)
	orDefault(&cfg.AckTimeout, def.AckTimeout)
	orDefault(&cfg.Concurrency, def.Concurrency)
	orDefault(&cfg.MaxInbox, def.MaxInbox)
	orDefault(&cfg.MaxPendingAcks, def.MaxPendingAcks)
	orDefault(&cfg.MaxNamespaces, def.MaxNamespaces)
	orDefault(&cfg.MaxRooms, def.MaxRooms)
	if cfg.MaxConnsPerSession == 0 {
		cfg.MaxConnsPerSession = def.MaxConnsPerSession
	}
	if cfg.MaxConnsPerUser == 0 {
		cfg.MaxConnsPerUser = def.MaxConnsPerUser
	}
	if cfg.PresenceGrace == 0 {
		cfg.PresenceGrace = def.PresenceGrace
	}
	if cfg.EventsPerSecond == 0 {
		cfg.EventsPerSecond = def.EventsPerSecond
	}
	orDefault(&cfg.EventBurst, def.EventBurst)
	orDefault(&cfg.RequestTimeout, def.RequestTimeout)
	orDefault(&cfg.PresenceTTL, def.PresenceTTL)
	if cfg.BytesPerSecond == 0 {
		cfg.BytesPerSecond = def.BytesPerSecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Engine.Logger == nil {
		cfg.Engine.Logger = cfg.Logger
	}
	cfg.Engine = cfg.Engine.WithDefaults() // the limits below Server read its fields
	return cfg
}

// orDefault replaces what is not positive.
func orDefault[T ~int | ~int64 | ~uint8](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
