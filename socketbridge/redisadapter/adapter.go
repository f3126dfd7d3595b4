package redisadapter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

var errClient = errors.New("redisadapter: the sharded format needs a *redis.Client or a *redis.ClusterClient")

// Adapter links one server with others through Redis. It is an adapter.Adapter and an
// adapter.RoomWatcher, for one socketbridge.Server.
type Adapter struct {
	cfg       Config
	client    goredis.UniversalClient
	link      link
	rooms     rooms
	answering chan struct{} // a place for each question that is worked on
	working   sync.WaitGroup

	mu         sync.Mutex // guards what follows; nothing is called under it
	node       adapter.Node
	ctx        context.Context
	namespaces map[string]bool
	questions  map[string]*question
}

var (
	_ adapter.Adapter     = (*Adapter)(nil)
	_ adapter.RoomWatcher = (*Adapter)(nil)
)

// New returns an adapter on a client, which it neither changes nor closes. The client
// should not retry (MaxRetries: -1): what is published again may arrive twice. New
// panics when the configuration contradicts itself.
//
// Streams are made by NewStreams.
func New(client goredis.UniversalClient, config ...Config) *Adapter {
	a := newAdapter(client, config...)
	switch a.cfg.Mode {
	case Classic:
		a.link = newClassicLink(a)
	case Streams:
		panic("redisadapter: New with Config.Mode Streams; use NewStreams")
	default:
		a.link = newShardedLink(a)
	}
	return a
}

func newAdapter(client goredis.UniversalClient, config ...Config) *Adapter {
	if client == nil {
		panic("redisadapter: New(nil)")
	}
	a := &Adapter{
		cfg:        configDefault(config...),
		client:     client,
		namespaces: make(map[string]bool),
		questions:  make(map[string]*question),
	}
	a.answering = make(chan struct{}, a.cfg.MaxAnswers)
	return a
}

// For returns an adapter on the Redis that a storage is on (storage.Open with
// redis://, redis-sentinel:// or redis-cluster://; also a view of it), on the storage's
// own client, or nil when it is on none: then a program runs on its own. The storage is
// to be closed after the server's Shutdown.
func For(s storage.Basic, config ...Config) adapter.Adapter {
	prefix := ""
	for s != nil {
		if on, ok := s.(interface {
			Conn() goredis.UniversalClient
		}); ok {
			if p, ok := s.(interface{ Prefix() string }); ok {
				prefix = p.Prefix() + prefix
			}
			cfg := withPrefix(prefix, config)
			if cfg.Mode == Streams {
				return NewStreams(on.Conn(), cfg)
			}
			return New(on.Conn(), cfg)
		}
		view, ok := s.(interface {
			Unwrap() storage.Basic
		})
		if !ok {
			return nil
		}
		if p, ok := s.(interface{ Prefix() string }); ok {
			prefix = p.Prefix() + prefix
		}
		s = view.Unwrap()
	}
	return nil
}

// withPrefix gives the default keys the storage's prefix, so that apps that share a
// Redis by their prefixes do not share their messages.
func withPrefix(prefix string, config []Config) Config {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Key == "" {
		cfg.Key = prefix + ConfigDefault.Key
	}
	if cfg.SessionKey == "" {
		cfg.SessionKey = prefix + ConfigDefault.SessionKey
	}
	return cfg
}

// Open implements adapter.Adapter.
func (a *Adapter) Open(namespace string) {
	a.mu.Lock()
	node, was := a.node, a.namespaces[namespace]
	a.namespaces[namespace] = true
	a.mu.Unlock()
	if node != nil && !was {
		a.link.open(namespace, node.ID())
	}
}

// Run implements adapter.Adapter.
func (a *Adapter) Run(ctx context.Context, n adapter.Node) error {
	a.mu.Lock()
	a.node, a.ctx = n, ctx
	namespaces := make([]string, 0, len(a.namespaces))
	for ns := range a.namespaces {
		namespaces = append(namespaces, ns)
	}
	a.mu.Unlock()
	for _, ns := range namespaces {
		a.link.open(ns, n.ID())
	}
	a.link.run(ctx)
	a.working.Wait()
	return ctx.Err()
}

// RoomOpened implements adapter.RoomWatcher.
func (a *Adapter) RoomOpened(namespace, room string, private bool) {
	a.rooms.add(namespace, room, 1)
	a.link.room(namespace, room, private, true)
}

// RoomClosed implements adapter.RoomWatcher.
func (a *Adapter) RoomClosed(namespace, room string, private bool) {
	a.rooms.add(namespace, room, -1)
	a.link.room(namespace, room, private, false)
}

// ready says whether something can be sent at all.
func (a *Adapter) ready(ctx context.Context) error {
	a.mu.Lock()
	running := a.ctx
	a.mu.Unlock()
	if running == nil || running.Err() != nil {
		return adapter.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	return nil
}

// Publish implements adapter.Adapter.
func (a *Adapter) Publish(ctx context.Context, m *adapter.Message) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	return a.send(ctx, m, "")
}

func (a *Adapter) send(ctx context.Context, m *adapter.Message, requestID string) error {
	a.mu.Lock()
	uid := a.node.ID()
	a.mu.Unlock()
	channel, data, err := a.link.message(m, uid, requestID)
	if err != nil {
		return err
	}
	return a.publish(ctx, m.Namespace, channel, data)
}

func (a *Adapter) publish(ctx context.Context, namespace, channel string, data []byte) error {
	if len(data) > a.cfg.MaxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", adapter.ErrTooLarge, len(data), a.cfg.MaxMessage)
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	return explain(a.link.send(ctx, namespace, channel, data))
}

// Nodes implements adapter.Adapter. A node counts when it is subscribed; one that
// died without closing its connection counts until Redis notices.
func (a *Adapter) Nodes(ctx context.Context, namespace string) (int, error) {
	if err := a.ready(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	n, err := a.link.nodes(ctx, namespace)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	return n, nil
}

// errUnsent is an error of something before a publish.
type errUnsent struct{ error }

func (e errUnsent) Unwrap() error { return e.error }

// explain turns what go-redis says of a publish into what is then known: that nothing
// happened only where that is certain.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var (
		answer goredis.Error
		dial   *net.OpError
		unsent errUnsent
	)
	switch {
	case errors.As(err, &answer), // Redis refused
		errors.As(err, &unsent),
		errors.As(err, &dial) && dial.Op == "dial",
		errors.Is(err, goredis.ErrClosed), errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", adapter.ErrUnknownOutcome, err)
}

// read handles what came from Redis.
func (a *Adapter) read(data []byte, parse func() (*frame, error)) {
	if len(data) > a.cfg.MaxMessage {
		a.cfg.Logger.Warn("redisadapter: a message was dropped: it is too large", "bytes", len(data), "limit", a.cfg.MaxMessage)
		return
	}
	f, err := parse()
	switch {
	case err != nil:
		a.cfg.Logger.Warn("redisadapter: a message was dropped", "error", err)
	case f.message != nil:
		a.asked(f)
	default:
		a.replied(f)
	}
}

// rooms counts for what rooms this node has sockets: a room may be opened as a
// socket's own and as one that others have joined.
type rooms struct {
	mu sync.Mutex
	m  map[[2]string]int
}

func (r *rooms) add(namespace, room string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = make(map[[2]string]int)
	}
	key := [2]string{namespace, room}
	if r.m[key] += n; r.m[key] <= 0 {
		delete(r.m, key)
	}
}

func (r *rooms) has(namespace, room string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m[[2]string{namespace, room}] > 0
}
