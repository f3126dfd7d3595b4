package redisadapter

import (
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
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
)

func newNotices(log *slog.Logger) *notice.Board {
	return notice.New(log, &malformed, &tooLarge, &unanswered, &refused, &unreachable, &mixed, &unread)
}

// Counts returns how often this adapter dropped something or found that another node does not
// fit, by name: malformed_message, message_too_large, request_unanswered,
// subscription_refused, unreachable_node, mixed_versions, unread_stream. Those that never
// happened are missing. Each is also logged, in a bounded number of lines per minute.
func (a *Adapter) Counts() map[string]uint64 { return a.notices.Counts() }

func (a *Adapter) reportTooLarge(size int) {
	a.notices.Report(&tooLarge, "", "bytes", size, "limit", a.cfg.MaxMessage)
}

func (a *Adapter) reportMalformed(err error) { a.notices.Report(&malformed, "", "error", err) }

// reportRefused reports that Redis refused a subscription. The adapter tries again.
func (a *Adapter) reportRefused(err error) { a.notices.Report(&refused, "", "error", err) }
