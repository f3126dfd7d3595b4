package inspector

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Namespace is the namespace of the page. Clients without a pass are refused.
const Namespace = "/fiberbridge/inspector"

// Config is the configuration of an inspector.
type Config struct {
	// Bridge is the server to look into.
	//
	// Required.
	Bridge *socketbridge.Server
	// Authorize decides who may see the page and end sockets, sessions and users. It returns
	// the administrator's name, for the log. An error refuses the request, and the app's
	// ErrorHandler answers it, such as with fiber.ErrNotFound. An empty name refuses it too;
	// the response is then what Authorize has written (a redirect, for example), or 404.
	//
	// It is called for each request of the page: for its files, at least once a minute while
	// the page is open, and before everything that the page ends.
	//
	// Required.
	Authorize func(c *fiber.Ctx) (administrator string, err error)
	// Values are the keys of sessions whose values the page shows. Of all others it shows the
	// names.
	//
	// Optional. Default: nil, no values
	Values []string
	// Logger receives a line for everything that an administrator ends, and for refusals.
	//
	// Optional. Default: the Logger of Bridge
	Logger *slog.Logger
}

// inspector is the part of an inspector on this node.
type inspector struct {
	cfg      Config
	io       *socketbridge.Server
	sessions *fibersession.Store // nil if the server shares none
	ns       *socketbridge.Namespace
	host     string // to tell nodes apart
	pace     pace
	notices  *notice.Board

	passes   passes
	pages    pages
	timeline timeline
	problems problems
	emitted  atomic.Uint64 // summaries, which Stats.Emitted counts too
	counts   counts
	watch    watch
	history  history
}

// pace is how long things take that tests shorten.
type pace struct {
	authorized time.Duration // by one pass
	sample     time.Duration // between two points of the history
}

var defaultPace = pace{authorized: authorizedFor, sample: pointEvery}

// New returns the handler of the page, and opens its namespace. Call it once for each server,
// and mount it with app.Use, on every node:
//
//	app.Use("/inspector", inspector.New(inspector.Config{Bridge: io, Authorize: …}))
//
// The page needs io.Handler() in the same app or behind the same host. New panics without
// Bridge or Authorize. The handler is safe for concurrent use.
func New(cfg Config) fiber.Handler { return newInspector(cfg, defaultPace).handler() }

func newInspector(cfg Config, pace pace) *inspector {
	if cfg.Bridge == nil {
		panic("inspector: Config.Bridge is missing: set it to the socketbridge.Server to look into")
	}
	if cfg.Authorize == nil {
		panic("inspector: Config.Authorize is missing: without it, every visitor could see and end all sessions")
	}
	bridge := cfg.Bridge.Config()
	if cfg.Logger == nil {
		cfg.Logger = bridge.Logger
	}
	cfg.Values = slices.Clone(cfg.Values)
	i := &inspector{
		cfg:      cfg,
		io:       cfg.Bridge,
		sessions: bridge.Sessions,
		notices:  notice.New(cfg.Logger),
		pace:     pace,
	}
	i.host, _ = os.Hostname() // only a label
	i.serveNamespace()
	i.observe()
	_ = i.io.Go(func(ctx context.Context) { i.history.record(ctx, i.pace.sample, i.summarise) }) // an error means that the server has shut down
	return i
}
