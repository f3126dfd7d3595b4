package contribws

import (
	"log/slog"
	"time"

	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/internal/setting"
)

// Config is the configuration of a route. The zero value of a field means its default. New
// panics if a number is negative.
type Config struct {
	// Namespace is the namespace of the route's sockets.
	//
	// Optional. Default: "/"
	Namespace string

	// Connect is the callback that the app passed to socketio.New. It is called for each
	// connection, before the listeners of socketio.EventConnect. The socket is connected
	// and its session is loaded.
	//
	// Optional. Default: nil
	Connect func(kws *socketio.Websocket)

	// MaxBehind bounds the number of messages of one connection that wait for the app's
	// listeners of socketio.EventMessage. If a client exceeds it, the server reads its
	// messages only as fast as the listeners handle them.
	//
	// Optional. Default: 256
	MaxBehind int

	// MaxBehindBytes bounds the total size of these messages, in bytes. A single larger
	// message may still wait.
	//
	// Optional. Default: 1 MiB
	MaxBehindBytes int

	// EndTimeout is how long the end of a connection waits for its listeners of
	// socketio.EventDisconnect.
	//
	// Optional. Default: 5 * time.Second
	EndTimeout time.Duration

	// Logger receives messages for the operator. Session IDs are never logged.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

// ConfigDefault holds the default of every field.
var ConfigDefault = Config{
	Namespace:      "/",
	MaxBehind:      256,
	MaxBehindBytes: 1 << 20,
	EndTimeout:     5 * time.Second,
}

func configDefault(config ...Config) Config {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Namespace == "" {
		cfg.Namespace = ConfigDefault.Namespace
	}
	setting.Default("contribws: Config.MaxBehind", &cfg.MaxBehind, ConfigDefault.MaxBehind)
	setting.Default("contribws: Config.MaxBehindBytes", &cfg.MaxBehindBytes, ConfigDefault.MaxBehindBytes)
	setting.Default("contribws: Config.EndTimeout", &cfg.EndTimeout, ConfigDefault.EndTimeout)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}
