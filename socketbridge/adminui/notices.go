package adminui

import (
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// What an admin namespace reports: see docs/troubleshooting.md.
var (
	refusedNotice = notice.Kind{
		Name: "admin_refused", Level: slog.LevelInfo,
		Text:    "adminui: a client of the Admin UI is refused or disconnected",
		Setting: "Config.Authorize, Username, PasswordHash",
	}
	insecureNotice = notice.Kind{
		Name: "admin_insecure", Level: slog.LevelWarn, Once: true,
		Text:    "adminui: every client can use the Admin UI",
		Setting: "Config.Insecure",
	}
	attemptsNotice = notice.Kind{
		Name: "admin_login_attempts", Level: slog.LevelWarn,
		Text: "adminui: an address has tried too many passwords, and is refused for a minute",
	}
	commandNotice = notice.Kind{
		Name: "admin_command", Level: slog.LevelInfo,
		Text: "adminui: an administrator has given a command",
	}
	commandRefusedNotice = notice.Kind{
		Name: "admin_command_refused", Level: slog.LevelInfo,
		Text:    "adminui: a command of the Admin UI is refused",
		Setting: "Config.ReadOnly, Authorize",
	}
	droppedNotice = notice.Kind{
		Name: "admin_events_dropped", Level: slog.LevelDebug,
		Text:    "adminui: the Admin UI does not show all events: there are too many",
		Setting: "Config.Production",
	}
	hiddenNotice = notice.Kind{
		Name: "admin_sockets_hidden", Level: slog.LevelInfo,
		Text:    "adminui: the Admin UI does not show all sockets: there are too many",
		Setting: "Config.Production",
	}
)
