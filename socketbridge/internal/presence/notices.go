package presence

import (
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// What a Registry reports: see docs/troubleshooting.md.
var (
	failedNotice = notice.Kind{
		Name: "presence_failed", Level: slog.LevelWarn,
		Text:    "socketbridge: presence cannot be updated at present: the sessions' storage failed",
		Setting: "Config.Sessions.Storage",
	}
	entryStaysNotice = notice.Kind{
		Name: "presence_entry_stays", Level: slog.LevelWarn,
		Text:    "socketbridge: presence: an entry of a user stays in the storage until its node ends",
		Setting: "Config.Sessions.Storage",
	}
	staysRegisteredNotice = notice.Kind{
		Name: "presence_not_unregistered", Level: slog.LevelWarn,
		Text:    "socketbridge: presence: this node cannot be unregistered; other nodes will remove it once it counts as dead",
		Setting: "Config.Presence.TTL",
	}
)
