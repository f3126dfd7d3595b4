package contribws

import (
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// What a route reports: see docs/troubleshooting.md.
var (
	panicNotice = notice.Kind{
		Name: "listener_panic", Level: slog.LevelError,
		Text: "contribws: a listener panicked: the stack names the line",
	}
	notAcceptedNotice = notice.Kind{
		Name: "library_refused", Level: slog.LevelError,
		Text: "contribws: the library did not accept a connection; its listeners are not called",
	}
	stillRunningNotice = notice.Kind{
		Name: "listener_still_running", Level: slog.LevelWarn,
		Text:    "contribws: listeners of a connection still run after its end",
		Setting: "Config.EndTimeout",
	}
)
