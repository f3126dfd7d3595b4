package redisadapter

import (
	"errors"
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// What the data and the settings of other nodes make an adapter report.
var (
	malformed = notice.Kind{
		Name: "malformed_message", Level: slog.LevelWarn,
		Text:    "redisadapter: dropped a malformed message: something else writes to these channels or this stream, or another node has another mode",
		Setting: "Config.Mode, Key, ChannelPrefix",
	}
	tooLarge = notice.Kind{
		Name: "message_too_large", Level: slog.LevelWarn,
		Text:    "redisadapter: dropped a message of another node that is too large",
		Setting: "Config.MaxMessage",
	}
	unanswered = notice.Kind{
		Name: "request_unanswered", Level: slog.LevelWarn,
		Text:    "redisadapter: did not answer a request of another node: too many are being answered already",
		Setting: "Config.MaxAnswers",
	}
	refused = notice.Kind{
		Name: "subscription_refused", Level: slog.LevelWarn,
		Text:    "redisadapter: Redis refuses to subscribe this node, which receives no messages or no requests of other nodes: the Redis user needs permission for the channels",
		Setting: "Config.Key, ChannelPrefix",
	}
	unreachable = notice.Kind{
		Name: "unreachable_node", Level: slog.LevelWarn,
		Text:    "redisadapter: another node adds to the stream but does not listen for requests (FetchSockets, ServerSideEmit, acknowledgements): its channelPrefix or its useShardedPubSub is another, or this node has the mode StreamsOnly and the other has version 0.3",
		Setting: "Config.ChannelPrefix, Mode",
	}
	mixed = notice.Kind{
		Name: "mixed_versions", Level: slog.LevelWarn,
		Text: "redisadapter: servers with @socket.io/redis-streams-adapter 0.2 and 0.3 are in one cluster: this node works with both, but they do not answer each other's requests (fetchSockets, serverSideEmit, acknowledgements); give all the same version",
	}
	unread = notice.Kind{
		Name: "unread_stream", Level: slog.LevelInfo, // without servers for Node it is no problem
		Text:    "redisadapter: servers for Node do not read the stream of this namespace, neither their own broadcasts nor those of this node: with a streamCount, their adapter reads no stream with a negative number; if there are such servers, give the namespace another name",
		Setting: "Config.StreamCount",
	}
	replyLost = notice.Kind{
		Name: "reply_lost", Level: slog.LevelWarn,
		Text: "redisadapter: could not send a reply to another node; its request stays incomplete",
	}
	unreadable = notice.Kind{
		Name: "stream_unreadable", Level: slog.LevelWarn,
		Text: "redisadapter: the stream cannot be read; messages of other nodes are delayed until it can",
	}
	messagesLost = notice.Kind{
		Name: "messages_lost", Level: slog.LevelError,
		Text:    "redisadapter: messages are lost: this node was disconnected or slow for longer than the stream keeps entries, or Redis lost data",
		Setting: "Config.MaxLen",
	}
	streamReset = notice.Kind{
		Name: "stream_reset", Level: slog.LevelError,
		Text: "redisadapter: Redis has lost entries of the stream that this node has read already; it continues at the end of the stream",
	}
	closeUnannounced = notice.Kind{
		Name: "close_unannounced", Level: slog.LevelInfo,
		Text: "redisadapter: could not tell other nodes that this node closes; servers with @socket.io/redis-streams-adapter 0.2 count it until their heartbeatTimeout",
	}
)

// What Config.Secrets makes an adapter report.
var (
	unsigned = notice.Kind{
		Name: "unsigned_message", Level: slog.LevelWarn,
		Text:    "redisadapter: dropped a message without a signature: it comes from a node without secrets, from a server or an emitter for Node, or from another client of Redis",
		Setting: "Config.Secrets, AcceptUnsigned",
	}
	forged = notice.Kind{
		Name: "forged_message", Level: slog.LevelWarn,
		Text:    "redisadapter: dropped a message whose signature is not of Config.Secrets: its sender has another secret, or another client of Redis wrote or moved it",
		Setting: "Config.Secrets",
	}
	replayed = notice.Kind{
		Name: "replayed_message", Level: slog.LevelWarn,
		Text: "redisadapter: dropped a copy of an earlier message, or a message with another time than Redis's: another client of Redis publishes what it has read, or the clock of Redis was changed",
	}
	unsignedAccepted = notice.Kind{
		Name: "unsigned_accepted", Level: slog.LevelInfo,
		Text:    "redisadapter: accepted a message without a signature: another node has no secrets yet",
		Setting: "Config.AcceptUnsigned",
	}
	acceptsUnsigned = notice.Kind{
		Name: "accepts_unsigned", Level: slog.LevelWarn,
		Text:    "redisadapter: messages without a signature are accepted, so Config.Secrets does not protect this node: remove AcceptUnsigned when all nodes have secrets",
		Setting: "Config.AcceptUnsigned",
	}
	clockUnread = notice.Kind{
		Name: "clock_unread", Level: slog.LevelWarn,
		Text: "redisadapter: the clock of Redis, by which signatures are dated, cannot be read: before the first reading, this node exchanges no messages with others; the Redis user needs permission for TIME",
	}
)

// isAccepted reports whether a message with this result of its verification is accepted, and
// counts it if it is unsigned or refused.
func (a *Adapter) isAccepted(signed bool, err error) bool {
	switch {
	case err == nil:
		if !signed && a.cfg.AcceptUnsigned {
			a.notices.Report(&unsignedAccepted, "")
		}
		return true
	case errors.Is(err, errUnsigned):
		a.notices.Report(&unsigned, "")
	case errors.Is(err, errForged):
		a.notices.Report(&forged, "")
	default:
		a.notices.Report(&replayed, "")
	}
	return false
}

// Notices implements adapter.Reporter. It returns how often this adapter dropped something or
// found that another node does not fit, by the names in docs/troubleshooting.md. Each is also
// logged, in a bounded number of lines per minute. It is safe for concurrent use.
func (a *Adapter) Notices() map[string]uint64 { return a.notices.Counts() }

var _ adapter.Reporter = (*Adapter)(nil)

func (a *Adapter) reportTooLarge(size int) {
	a.notices.Report(&tooLarge, "", "bytes", size, "limit", a.cfg.MaxMessage)
}

func (a *Adapter) reportMalformed(err error) { a.notices.Report(&malformed, "", "error", err) }

// reportRefused reports that Redis refused a subscription. The adapter tries again.
func (a *Adapter) reportRefused(err error) { a.notices.Report(&refused, "", "error", err) }
