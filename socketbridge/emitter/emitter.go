package emitter

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/setting"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// Config is the configuration of an Emitter.
type Config struct {
	// Adapter links the process with the servers. It has their settings, and implements
	// adapter.Emitter, as all adapters of this module do. An adapter belongs to one Emitter.
	// redisadapter.For returns nil for a storage in memory, through which other processes
	// cannot be reached.
	//
	// Required.
	Adapter adapter.Adapter

	// Sessions is a store with the storage, the prefix and the UserKey of the servers'.
	// Without it, users cannot be addressed: ToUser, OnlineUsers, Online. It is not closed
	// with the Emitter.
	//
	// Optional. Default: nil
	Sessions *fibersession.Store

	// Logger receives what operators need to know.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

// Emitter sends to the sockets of a cluster. Its Namespace is the default one, "/". Create it
// with New. All methods are safe for concurrent use.
type Emitter struct {
	Namespace
	server *socketbridge.Server
}

// New returns an Emitter. It does not wait for a connection: calls right after it wait until the
// adapter has begun, and return an error that names the cause if it cannot reach the other nodes.
// It panics if Config.Adapter is nil or no adapter.Emitter.
func New(cfg Config) *Emitter {
	if cfg.Adapter == nil {
		setting.Refuse("emitter: Config.Adapter", "is nil: give it the adapter of the servers. redisadapter.For returns nil for a storage that is not on Redis, such as memory://, which other processes cannot reach")
	}
	link, ok := cfg.Adapter.(adapter.Emitter)
	if !ok {
		setting.Refuse("emitter: Config.Adapter", fmt.Sprintf("is a %T: it must implement adapter.Emitter", cfg.Adapter))
	}
	server := socketbridge.New(socketbridge.Config{
		Adapter:  adapter.EmitOnly{Emitter: link},
		Sessions: cfg.Sessions,
		Logger:   cfg.Logger,
	})
	return &Emitter{Namespace: Namespace{server.Of("/")}, server: server}
}

// Server returns the server that sends for the Emitter, to observe it: for Server.Observe,
// bridgeotel.Observe and metrics.New. It has no sockets.
func (e *Emitter) Server() *socketbridge.Server { return e.server }

// Close ends the Emitter and returns when everything that it started has ended, or when ctx
// ends. Calls that still wait for replies end with an error. Events were sent when Emit returned,
// so there is nothing to flush.
func (e *Emitter) Close(ctx context.Context) error { return e.server.Shutdown(ctx) }

// Of returns another namespace, such as "/admin". It panics if no client could join a namespace
// of this name: see socketbridge.Server.Of.
func (e *Emitter) Of(name string) Namespace { return Namespace{e.server.Of(name)} }

// OnlineUsers yields the IDs of the users who are online in the cluster: see
// socketbridge.Server.OnlineUsers. Without Config.Sessions, its UserKey or a storage with an
// index, it yields socketbridge.ErrNoPresence.
func (e *Emitter) OnlineUsers(ctx context.Context) iter.Seq2[string, error] {
	return e.server.OnlineUsers(ctx)
}

// Online reports whether a user is online in the cluster, or was less than the servers'
// Config.Presence.Grace ago. Its errors are those of OnlineUsers.
func (e *Emitter) Online(ctx context.Context, user string) (bool, error) {
	return e.server.User(user).OnlineAnywhere(ctx)
}

// Notices returns how often each problem was reported to the log, by the names in
// docs/troubleshooting.md.
func (e *Emitter) Notices() map[string]uint64 { return e.server.Stats().Notices }
