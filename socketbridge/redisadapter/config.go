package redisadapter

import (
	"log/slog"
	"time"
)

// Mode is what an Adapter speaks.
type Mode uint8

const (
	// Classic is the format of createAdapter: plain pub/sub, which every Redis
	// has. On a Redis Cluster each message goes to all nodes of it.
	Classic Mode = iota + 1
	// Sharded is the format of createShardedAdapter: sharded pub/sub (Redis 7),
	// with a channel for each room that is no socket's own (its subscriptionMode
	// "dynamic", which is its default). A node hears nothing of rooms that it does
	// not have.
	Sharded
	// ShardedStatic is Sharded with one channel per namespace (subscriptionMode
	// "static").
	ShardedStatic
	// ShardedPrivate is Sharded with a channel for each room, those of the sockets'
	// own IDs included (subscriptionMode "dynamic-private").
	ShardedPrivate
	// Streams is the format of @socket.io/redis-streams-adapter, for For: it then
	// returns what NewStreams does.
	Streams
)

// Config says how an Adapter uses its Redis. All nodes of a cluster need the same Mode
// and Key.
type Config struct {
	// Mode is the format.
	//
	// Optional. Default: Classic
	Mode Mode

	// Key begins the names of all channels: the option key (channelPrefix when
	// sharded) of Node's adapters. For streams, it is the name of the stream
	// (streamName). The databases of a Redis share their channels: two
	// apps on one Redis need different keys.
	//
	// Optional. Default: "socket.io", after the storage's prefix with For
	Key string

	// Timeout bounds each exchange with Redis.
	//
	// Optional. Default: 3 * time.Second
	Timeout time.Duration

	// AnswerTimeout bounds how long this node works on an answer to another one.
	//
	// Optional. Default: 1 * time.Minute
	AnswerTimeout time.Duration

	// MaxAnswers is how many questions of other nodes are worked on at a time; what
	// comes beyond is not answered, and logged.
	//
	// Optional. Default: 1024
	MaxAnswers int

	// MaxMessage is the largest message in bytes, in both directions. A larger one
	// is not sent, or dropped and logged.
	//
	// Optional. Default: 16 << 20
	MaxMessage int

	// SharedResponses publishes replies on the channel that all nodes hear, and not on
	// that of who asked: what Node's adapters do without
	// publishOnSpecificResponseChannel. Both are heard by all versions since 7.2.
	//
	// Optional. Default: false
	SharedResponses bool

	// MaxLen is about how many entries a stream keeps: the option maxLen of Node's
	// adapter. The events of all namespaces count, and the heartbeats, two of each
	// node in a namespace in 10 seconds.
	//
	// Optional. Default: 10_000
	MaxLen int64

	// SessionKey begins the keys under which streams keep sockets that may come back
	// to any server: the option sessionKeyPrefix. Those that belong to a session are
	// kept under Key and ":recovery:" instead, where servers of Node do not look.
	//
	// Optional. Default: "sio:session:", after the storage's prefix with For
	SessionKey string

	// Heartbeat is how often a node of a stream says that it is there: the option
	// heartbeatInterval.
	//
	// Optional. Default: 5 * time.Second
	Heartbeat time.Duration

	// HeartbeatTimeout is how long a node of a stream counts when nothing is heard
	// of it.
	//
	// Optional. Default: 10 * time.Second
	HeartbeatTimeout time.Duration

	// Logger receives what operators need to know.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

// ConfigDefault is what an Adapter uses where Config says nothing.
var ConfigDefault = Config{
	Mode:          Classic,
	Key:           "socket.io",
	Timeout:       3 * time.Second,
	AnswerTimeout: time.Minute,
	MaxAnswers:    1024,
	MaxMessage:    16 << 20,

	MaxLen:           10_000,
	SessionKey:       "sio:session:",
	Heartbeat:        5 * time.Second,
	HeartbeatTimeout: 10 * time.Second,
}

func configDefault(config ...Config) Config {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Mode == 0 {
		cfg.Mode = ConfigDefault.Mode
	}
	if cfg.Mode > Streams {
		panic("redisadapter: Config.Mode is none of the Mode constants")
	}
	if cfg.Key == "" {
		cfg.Key = ConfigDefault.Key
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = ConfigDefault.Timeout
	}
	if cfg.AnswerTimeout <= 0 {
		cfg.AnswerTimeout = ConfigDefault.AnswerTimeout
	}
	if cfg.MaxAnswers <= 0 {
		cfg.MaxAnswers = ConfigDefault.MaxAnswers
	}
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = ConfigDefault.MaxMessage
	}
	if cfg.MaxLen <= 0 {
		cfg.MaxLen = ConfigDefault.MaxLen
	}
	if cfg.SessionKey == "" {
		cfg.SessionKey = ConfigDefault.SessionKey
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = ConfigDefault.Heartbeat
	}
	if cfg.HeartbeatTimeout <= 0 {
		cfg.HeartbeatTimeout = ConfigDefault.HeartbeatTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}
