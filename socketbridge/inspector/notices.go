package inspector

import (
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// What an inspector reports: see docs/troubleshooting.md.
var (
	refusedNotice = notice.Kind{
		Name: "inspector_refused", Level: slog.LevelInfo,
		Text:    "inspector: a visitor was refused",
		Setting: "Config.Authorize",
	}
	endedNotice = notice.Kind{
		Name: "inspector_ended", Level: slog.LevelInfo,
		Text: "inspector: an administrator ended a socket, a session or a user's sessions",
	}
	failedNotice = notice.Kind{
		Name: "inspector_failed", Level: slog.LevelWarn,
		Text: "inspector: a query or an action of an administrator failed",
	}
)

// audit logs what an administrator did. Administrators cause these lines, and none may be left
// out, so each has a board of its own.
func (i *inspector) audit(args ...any) { notice.New(i.cfg.Logger).Report(&endedNotice, "", args...) }
