package redis

import (
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// What a Storage reports: see docs/troubleshooting.md. Failed calls are reported by their
// caller.
var (
	refusedNotice = notice.Kind{
		Name: "redis_refuses", Level: slog.LevelWarn,
		Text: "redis: the server refuses requests, as after a failover: all connections to it are replaced, and watched keys are " +
			"loaded again. If this repeats, the address does not lead to the master: check Config.Addrs",
		Setting: "Config.Addrs",
	}
	feedForeignNotice = notice.Kind{
		Name: "redis_feed_foreign", Level: slog.LevelWarn,
		Text:    "redis: a message on a channel of the feed was ignored: another program published it, and can disturb the app",
		Setting: "Config.Prefix",
	}
	feedBrokenNotice = notice.Kind{
		Name: "redis_feed_broken", Level: slog.LevelDebug,
		Text: "redis: a connection that watches keys broke, and is replaced; the watched keys are loaded again",
	}
)

// Notices returns how often the storage has reported what it also writes to its log, by the
// names in docs/troubleshooting.md. The log is bounded, the counts are not. It is safe for
// concurrent use.
func (s *Storage) Notices() map[string]uint64 { return s.notices.Counts() }
