package redisadapter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

// Adapter connects one socketbridge.Server with others through Redis. It implements
// adapter.Adapter, adapter.RoomWatcher and adapter.Emitter. Its methods are safe for concurrent use; Run or
// RunEmitter is called once.
type Adapter struct {
	cfg         Config
	client      goredis.UniversalClient
	link        link
	localRooms  roomCounts
	answerSlots chan struct{}  // holds one element for each request that is being answered
	answering   sync.WaitGroup // goroutines that answer requests
	notices     *notice.Board
	signer      *signer
	clock       *redisClock // runs if there are secrets

	opening sync.Mutex // held while a namespace is subscribed to or unsubscribed from, which does not block

	begun       chan struct{} // closed when Run or RunEmitter has begun
	beginOnce   sync.Once     // closes begun
	receiving   chan struct{} // closed when an emitter begins to receive
	receiveOnce sync.Once     // closes receiving

	mu         sync.Mutex // guards the fields below; nothing is called while it is held
	node       adapter.Node
	emitter    *emitterNode // the node in RunEmitter; nil in Run
	ctx        context.Context
	namespaces map[string]bool
	listening  map[string]bool            // the namespaces in which an emitter receives replies
	prepared   map[string]bool            // the namespaces in which an emitter knows the nodes
	requests   map[string]*pendingRequest // by request ID
}

var (
	_ adapter.Adapter     = (*Adapter)(nil)
	_ adapter.Closer      = (*Adapter)(nil)
	_ adapter.Pinger      = (*Adapter)(nil)
	_ adapter.RoomWatcher = (*Adapter)(nil)
)

// New returns an adapter for one of the pub/sub modes. For Config.Mode Streams, use
// NewStreams. It neither changes nor closes the client. The client should not retry
// (MaxRetries: -1), because a retried publish can be delivered twice. The sharded modes
// need a *redis.Client or a *redis.ClusterClient.
//
// New panics if the client is nil or the configuration is invalid.
func New(client goredis.UniversalClient, config ...Config) *Adapter {
	return newPubSub(client, newConfig("", config...))
}

func newPubSub(client goredis.UniversalClient, cfg Config) *Adapter {
	a := newAdapter(client, cfg)
	switch {
	case cfg.Mode == Classic:
		a.link = newClassicLink(a)
	case cfg.Mode.isStreams():
		panic(fmt.Sprintf("redisadapter: Config.Mode is %s: New supports the pub/sub modes only; use NewStreams", modeNames[cfg.Mode]))
	default:
		a.link = newShardedLink(a)
	}
	return a
}

// newAdapter returns an adapter without a link. The configuration has its defaults.
func newAdapter(client goredis.UniversalClient, cfg Config) *Adapter {
	if client == nil {
		panic("redisadapter: the Redis client is nil")
	}
	a := &Adapter{
		cfg:         cfg,
		client:      client,
		answerSlots: make(chan struct{}, cfg.MaxAnswers),
		notices:     notice.New(cfg.Logger),
		begun:       make(chan struct{}),
		receiving:   make(chan struct{}),
		namespaces:  make(map[string]bool),
		listening:   make(map[string]bool),
		prepared:    make(map[string]bool),
		requests:    make(map[string]*pendingRequest),
	}
	a.clock = &redisClock{a: a, tried: make(chan struct{})}
	a.signer = newSigner(&cfg, a.clock.now)
	a.cfg.Secrets = nil // the signer has a copy
	if cfg.AcceptUnsigned {
		a.notices.Report(&acceptsUnsigned, "")
	}
	return a
}

// For returns an adapter that uses the client of a storage on Redis: one that was opened
// with redis://, redis-sentinel:// or redis-cluster://, or a view of it such as
// storage.Prefix. For any other storage it returns nil, and the server runs without other
// nodes. Close the storage after the server's Shutdown.
//
// With one of the streams modes, For returns a *StreamsAdapter, otherwise an *Adapter. It
// panics if the configuration is invalid.
func For(s storage.Basic, config ...Config) adapter.Adapter {
	prefix := ""
	for s != nil {
		if p, ok := s.(interface{ Prefix() string }); ok {
			prefix = p.Prefix() + prefix
		}
		if onRedis, ok := s.(interface {
			Conn() goredis.UniversalClient
		}); ok {
			cfg := newConfig(prefix, config...)
			if cfg.Mode.isStreams() {
				return newStreams(onRedis.Conn(), cfg)
			}
			return newPubSub(onRedis.Conn(), cfg)
		}
		view, ok := s.(interface {
			Unwrap() storage.Basic
		})
		if !ok {
			return nil
		}
		s = view.Unwrap()
	}
	return nil
}

// Open implements adapter.Adapter.
func (a *Adapter) Open(namespace string) {
	a.opening.Lock()
	defer a.opening.Unlock()
	a.mu.Lock()
	node, isOpen, isNode := a.node, a.namespaces[namespace], a.emitter == nil
	a.namespaces[namespace] = true
	a.mu.Unlock()
	if node != nil && !isOpen && isNode {
		a.link.subscribe(namespace, node.ID())
	}
}

// Close implements adapter.Closer.
func (a *Adapter) Close(namespace string) {
	a.opening.Lock()
	defer a.opening.Unlock()
	a.mu.Lock()
	node, isOpen, isNode := a.node, a.namespaces[namespace], a.emitter == nil
	delete(a.namespaces, namespace)
	a.mu.Unlock()
	if node != nil && isOpen && isNode {
		a.link.unsubscribe(namespace, node.ID())
	}
}

// Run implements adapter.Adapter.
func (a *Adapter) Run(ctx context.Context, n adapter.Node) error {
	a.start(ctx, n)
	return a.run(ctx)
}

// begin ends the waiting of calls that came before Run.
func (a *Adapter) begin() { a.beginOnce.Do(func() { close(a.begun) }) }

func (a *Adapter) run(ctx context.Context) error {
	if !a.signer.isOn() {
		a.runLink(ctx)
	} else if a.clock.start(ctx) {
		var clock sync.WaitGroup
		clock.Go(func() { a.clock.run(ctx) }) // ends with ctx; waited for below
		a.runLink(ctx)
		clock.Wait()
	}
	a.answering.Wait()
	return ctx.Err()
}

// start subscribes to the namespaces that are open.
func (a *Adapter) start(ctx context.Context, n adapter.Node) {
	a.opening.Lock()
	defer a.opening.Unlock()
	a.mu.Lock()
	a.node, a.ctx = n, ctx
	namespaces := make([]string, 0, len(a.namespaces))
	for ns := range a.namespaces {
		namespaces = append(namespaces, ns)
	}
	a.mu.Unlock()
	for _, ns := range namespaces {
		a.link.subscribe(ns, n.ID())
	}
	a.begin()
}

// RoomOpened implements adapter.RoomWatcher.
func (a *Adapter) RoomOpened(namespace, room string, private bool) {
	a.localRooms.add(namespace, room, 1)
	a.link.roomChanged(namespace, room, private, true)
}

// RoomClosed implements adapter.RoomWatcher.
func (a *Adapter) RoomClosed(namespace, room string, private bool) {
	a.localRooms.add(namespace, room, -1)
	a.link.roomChanged(namespace, room, private, false)
}

// checkRunning returns adapter.ErrClosed if the adapter has ended, and adapter.ErrUnavailable
// if ctx has ended, if Run has not begun within Config.Timeout or, with secrets, if the clock of
// Redis is not known.
func (a *Adapter) checkRunning(ctx context.Context) error {
	if err := a.waitUntilBegun(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	running := a.ctx
	a.mu.Unlock()
	if running.Err() != nil {
		return adapter.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	if a.signer.isOn() {
		return a.clock.wait(ctx) // at most Config.Timeout, after Run has begun
	}
	return nil
}

// waitUntilBegun waits for Run, so that a message is not refused because this process has just
// started.
func (a *Adapter) waitUntilBegun(ctx context.Context) error {
	select {
	case <-a.begun:
		return nil
	default:
	}
	limit := time.NewTimer(a.cfg.Timeout)
	defer limit.Stop()
	select {
	case <-a.begun:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, ctx.Err())
	case <-limit.C:
		return fmt.Errorf("%w: %w within Config.Timeout, %v", adapter.ErrUnavailable, adapter.ErrNotBegun, a.cfg.Timeout)
	}
}

// Publish implements adapter.Adapter.
func (a *Adapter) Publish(ctx context.Context, m *adapter.Message) error {
	if err := a.checkRunning(ctx); err != nil {
		return err
	}
	return a.sendMessage(ctx, m, "")
}

// sendMessage encodes and publishes a message. With a requestID, other nodes respond.
func (a *Adapter) sendMessage(ctx context.Context, m *adapter.Message, requestID string) error {
	a.mu.Lock()
	uid := a.node.ID()
	a.mu.Unlock()
	channel, data, err := a.link.encodeMessage(m, uid, requestID)
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
	return publishError(a.link.publish(ctx, namespace, channel, data))
}

// Nodes implements adapter.Adapter. It counts the subscribed nodes: a node that died without
// closing its connection counts until Redis notices. With a stream, it also counts the nodes
// that use no pub/sub (StreamsOnly, and @socket.io/redis-streams-adapter 0.2): those that sent
// something within Config.HeartbeatTimeout. An emitter (RunEmitter) does not count.
func (a *Adapter) Nodes(ctx context.Context, namespace string) (int, error) {
	if err := a.checkRunning(ctx); err != nil {
		return 0, err
	}
	if a.asEmitter() != nil { // the nodes of a stream make themselves known to processes that read it
		if err := a.prepareToAsk(ctx, namespace); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	n, err := a.link.countNodes(ctx, namespace)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	return n, nil
}

// Ping implements adapter.Pinger. It returns nil if Redis answers and the subscriptions, or
// the readers of the streams, of a namespace are up. One namespace is enough, because those
// that clients make (Server.OfPattern of socketbridge) are being subscribed to at any time.
func (a *Adapter) Ping(ctx context.Context) error {
	if err := a.checkRunning(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	if err := a.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	a.mu.Lock()
	namespaces := slices.Collect(maps.Keys(a.namespaces))
	a.mu.Unlock()
	if len(namespaces) > 0 && !slices.ContainsFunc(namespaces, a.link.receivesReplies) {
		return fmt.Errorf("%w: this node does not receive messages at present", adapter.ErrUnavailable)
	}
	return nil
}

// notSentError is an error that occurred before a command was sent.
type notSentError struct{ error }

func (e notSentError) Unwrap() error { return e.error }

// publishError wraps an error of go-redis in adapter.ErrUnavailable if the command
// certainly had no effect, and in adapter.ErrUnknownOutcome otherwise.
func publishError(err error) error {
	if err == nil {
		return nil
	}
	var (
		refused goredis.Error
		network *net.OpError
		notSent notSentError
	)
	switch {
	case errors.As(err, &refused), // Redis replied with an error
		errors.As(err, &notSent),
		errors.As(err, &network) && network.Op == "dial",
		errors.Is(err, goredis.ErrClosed), errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", adapter.ErrUnknownOutcome, err)
}

// receive verifies and decodes what arrived on a channel, and dispatches it.
func (a *Adapter) receive(channel string, data []byte, decode func(data []byte) (*frame, error)) {
	if len(data) > a.cfg.MaxMessage+signSize {
		a.reportTooLarge(len(data))
		return
	}
	data, signed, err := a.signer.open(channelPlace(channel), data)
	if !a.isAccepted(signed, err) {
		return
	}
	if len(data) > a.cfg.MaxMessage {
		a.reportTooLarge(len(data))
		return
	}
	f, err := decode(data)
	switch {
	case err != nil:
		a.reportMalformed(err)
	case f.message != nil:
		a.handleMessage(f)
	default:
		a.handleReply(f)
	}
}

// roomCounts tracks the rooms in which this node has sockets. It counts, because a room
// can be open twice: as one socket's own room and as a room that other sockets joined.
type roomCounts struct {
	mu     sync.Mutex
	counts map[[2]string]int // by namespace and room
}

func (r *roomCounts) add(namespace, room string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[[2]string]int)
	}
	key := [2]string{namespace, room}
	if r.counts[key] += n; r.counts[key] <= 0 {
		delete(r.counts, key)
	}
}

func (r *roomCounts) has(namespace, room string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[[2]string{namespace, room}] > 0
}
