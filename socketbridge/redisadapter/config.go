package redisadapter

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/setting"
)

// Mode is the wire format that an Adapter uses.
type Mode uint8

const (
	// Classic is the format of createAdapter: plain pub/sub, which every Redis
	// supports. A Redis Cluster forwards each message to all of its nodes.
	Classic Mode = iota + 1
	// Sharded is the format of createShardedAdapter: sharded pub/sub (Redis 7) with
	// one channel for each room, except for the rooms that hold a single socket under
	// its own ID. This is Node's subscriptionMode "dynamic", its default. A node does
	// not receive broadcasts to rooms in which it has no sockets.
	Sharded
	// ShardedStatic is Sharded with one channel per namespace (subscriptionMode
	// "static").
	ShardedStatic
	// ShardedPrivate is Sharded with a channel for each room, including the rooms of
	// the sockets' own IDs (subscriptionMode "dynamic-private").
	ShardedPrivate
	// Streams is the format of @socket.io/redis-streams-adapter: broadcasts go through a
	// stream, and requests, such as FetchSockets, over plain pub/sub, as in version 0.3.
	// Servers with version 0.2, which sends requests through the stream too, are noticed
	// by their heartbeats and included. For returns a *StreamsAdapter in this mode; New
	// does not support it.
	Streams
	// StreamsSharded is Streams with sharded pub/sub (Redis 7): the option
	// useShardedPubSub.
	StreamsSharded
	// StreamsOnly sends requests through the stream too, as version 0.2 does, and uses no
	// pub/sub: for a Redis that offers none. It does not exchange requests with servers
	// that have version 0.3.
	StreamsOnly
)

// isStreams reports whether broadcasts go through a stream.
func (m Mode) isStreams() bool { return m >= Streams && m <= StreamsOnly }

var modeNames = [...]string{Classic: "Classic", Sharded: "Sharded", ShardedStatic: "ShardedStatic", ShardedPrivate: "ShardedPrivate", Streams: "Streams", StreamsSharded: "StreamsSharded", StreamsOnly: "StreamsOnly"}

// Config configures an Adapter. All nodes of a cluster need the same Mode and Key. A zero
// field means its default. New, NewStreams and For panic if a field is out of range or
// contradicts another one.
type Config struct {
	// Mode is the wire format.
	//
	// Optional. Default: Classic; with NewStreams: Streams
	Mode Mode

	// Key is the prefix of all channel names: the option key (channelPrefix when
	// sharded) of Node's adapters. With streams it is the name of the stream
	// (streamName). Channels are shared by all databases of a Redis, so two apps on
	// one Redis need different keys.
	//
	// Optional. Default: "socket.io"; For puts the storage's prefix before it
	Key string

	// Timeout bounds each exchange with Redis.
	//
	// Optional. Default: 3 * time.Second
	Timeout time.Duration

	// AnswerTimeout bounds how long this node works on a request of another node.
	//
	// Optional. Default: 1 * time.Minute
	AnswerTimeout time.Duration

	// MaxAnswers is how many requests of other nodes this node works on at once.
	// Further requests are not answered, and logged.
	//
	// Optional. Default: 1024
	MaxAnswers int

	// MaxMessage is the largest message in bytes, in both directions. A larger
	// message is not sent (adapter.ErrTooLarge); if it is received, it is dropped and
	// logged.
	//
	// Optional. Default: 16 << 20
	MaxMessage int

	// SharedResponses publishes responses on the channel that all nodes subscribe to,
	// not on the requesting node's own channel. Node's adapters do so without the
	// option publishOnSpecificResponseChannel. All versions since 7.2 listen on both.
	// Classic only.
	//
	// Optional. Default: false
	SharedResponses bool

	// ChannelPrefix is the prefix of the channels for requests: the option channelPrefix
	// of @socket.io/redis-streams-adapter. There it does not follow the name of the
	// stream: a server for Node with a streamName and no channelPrefix needs
	// "socket.io" here. Streams modes only.
	//
	// Optional. Default: Key
	ChannelPrefix string

	// StreamCount is the number of streams over which namespaces are distributed: the
	// option streamCount. Each takes a connection to Redis while it has a namespace. With
	// more than one, the names of the streams are Key, a hyphen and a number. Streams modes
	// only.
	//
	// Optional. Default: 1
	StreamCount int

	// MaxLen is the approximate number of entries that each stream keeps: the option
	// maxLen of Node's adapter. The events of all namespaces of the stream count. Streams modes
	// only.
	//
	// Optional. Default: 10_000
	MaxLen int64

	// SessionKey is the prefix of the keys that hold the state of disconnected
	// sockets which may resume on any server: the option sessionKeyPrefix. Sockets
	// that belong to a session are stored under Key and ":recovery:" instead, where
	// servers for Node do not look. Streams modes only.
	//
	// Optional. Default: "sio:session:"; For puts the storage's prefix before it
	SessionKey string

	// Heartbeat is the interval of a node's heartbeats: the option heartbeatInterval of
	// @socket.io/redis-streams-adapter 0.2. Without StreamsOnly, heartbeats are sent only
	// while a server with that version is in the cluster. Streams modes only.
	//
	// Optional. Default: 5 * time.Second
	Heartbeat time.Duration

	// HeartbeatTimeout is how long a server that sends heartbeats is counted after its
	// last message. It must be longer than Heartbeat. Streams modes only.
	//
	// Optional. Default: 10 * time.Second
	HeartbeatTimeout time.Duration

	// Secrets sign the messages between nodes, with HMAC-SHA-256. The first one signs, all
	// of them verify. A message without a valid signature is dropped, and so is a copy of an
	// earlier message: other clients of the Redis cannot send events to this node's sockets,
	// disconnect them or answer its requests. Each secret has 32 bytes or more. Servers and
	// emitters for Node cannot sign, so they cannot take part. To begin, see AcceptUnsigned;
	// to replace a secret without losing messages, deploy {old, new}, then {new, old}, then
	// {new}.
	//
	// Optional. Default: nil, nothing is signed and every message is accepted
	Secrets [][]byte

	// AcceptUnsigned accepts messages without a signature too, while nodes get their
	// Secrets one after the other. Deploy it with Secrets to all nodes. When
	// Adapter.Notices no longer counts unsigned_accepted, remove it. Until then the secrets
	// protect nothing, which is logged.
	//
	// Optional. Default: false
	AcceptUnsigned bool

	// Logger receives what operators need to know.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

// ConfigDefault holds the defaults of Config.
var ConfigDefault = Config{
	Mode:          Classic,
	Key:           "socket.io",
	Timeout:       3 * time.Second,
	AnswerTimeout: time.Minute,
	MaxAnswers:    1024,
	MaxMessage:    16 << 20,

	StreamCount:      1,
	MaxLen:           10_000,
	SessionKey:       "sio:session:",
	Heartbeat:        5 * time.Second,
	HeartbeatTimeout: 10 * time.Second,
}

// newConfig returns the given configuration, or the zero one, with its defaults filled
// in. The prefix goes before the default keys, so that apps which share a Redis by their
// storage prefixes do not receive each other's messages. It panics if a field is out of
// range or contradicts another one.
func newConfig(prefix string, config ...Config) Config {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if int(cfg.Mode) >= len(modeNames) {
		setting.Refuse(field("Mode"), fmt.Sprintf("is %d: it must be one of the Mode constants (0 means the default, %s)", cfg.Mode, modeNames[ConfigDefault.Mode]))
	}
	if cfg.Mode == 0 {
		cfg.Mode = ConfigDefault.Mode
	}
	if cfg.Key == "" {
		cfg.Key = prefix + ConfigDefault.Key
	}
	if cfg.ChannelPrefix == "" {
		cfg.ChannelPrefix = cfg.Key
	}
	if cfg.SessionKey == "" {
		cfg.SessionKey = prefix + ConfigDefault.SessionKey
	}
	setting.Default(field("Timeout"), &cfg.Timeout, ConfigDefault.Timeout)
	setting.Default(field("AnswerTimeout"), &cfg.AnswerTimeout, ConfigDefault.AnswerTimeout)
	setting.Default(field("MaxAnswers"), &cfg.MaxAnswers, ConfigDefault.MaxAnswers)
	setting.Default(field("MaxMessage"), &cfg.MaxMessage, ConfigDefault.MaxMessage)
	setting.Default(field("StreamCount"), &cfg.StreamCount, ConfigDefault.StreamCount)
	setting.Default(field("MaxLen"), &cfg.MaxLen, ConfigDefault.MaxLen)
	setting.Default(field("Heartbeat"), &cfg.Heartbeat, ConfigDefault.Heartbeat)
	setting.Default(field("HeartbeatTimeout"), &cfg.HeartbeatTimeout, ConfigDefault.HeartbeatTimeout)
	if cfg.HeartbeatTimeout <= cfg.Heartbeat {
		// Other nodes would stop counting this one between two of its heartbeats.
		setting.Refuse(field("HeartbeatTimeout"), fmt.Sprintf("is %v: it must be longer than Config.Heartbeat, which is %v (0 means the default, %v)",
			cfg.HeartbeatTimeout, cfg.Heartbeat, ConfigDefault.HeartbeatTimeout))
	}
	checkSecrets(&cfg)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}

// field is the full name of a field of Config in messages.
func field(name string) string { return "redisadapter: Config." + name }
